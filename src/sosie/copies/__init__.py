"""Altered copies: candidates → verify → calibrated verdict."""

from __future__ import annotations
