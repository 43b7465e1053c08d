"""The catalogue of a library on Elasticsearch: one document a picture, with its places, labels and vectors."""

from __future__ import annotations

from sosie.catalogue.elastic.board import Board
from sosie.catalogue.elastic.features import Features
from sosie.catalogue.elastic.journal import Journal
from sosie.catalogue.elastic.labels import Labels
from sosie.catalogue.elastic.neighbours import Neighbours
from sosie.catalogue.elastic.reading import Reading
from sosie.catalogue.elastic.versions import Version, Versions
from sosie.catalogue.elastic.writing import Writing

__all__ = ["ElasticCatalogue", "Version"]


class ElasticCatalogue(Neighbours, Writing, Reading, Labels, Features, Versions, Journal, Board):
    """What is known of each picture, on a cluster; it keeps the contract of ``sosie.catalogue.Store``.

    The cluster's own `dense_vector` index is the index of the library: a commit returns when searches see it.
    """
