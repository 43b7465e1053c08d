"""Elasticsearch: where a cluster is, and how one speaks to it. What is kept there is the catalogue's business."""

from __future__ import annotations

from sosie.elastic.address import KINDS, SCHEMES, Cluster, folder_of, read_url
from sosie.elastic.connection import Connection

__all__ = ["KINDS", "SCHEMES", "Cluster", "Connection", "folder_of", "read_url"]
