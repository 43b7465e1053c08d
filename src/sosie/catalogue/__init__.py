"""The truth about a library: what is known of each picture. The only place that speaks SQL."""

from __future__ import annotations

from sosie.catalogue.records import (
    AddContent,
    AddLocation,
    AddQuarantine,
    Change,
    ContentRow,
    Decision,
    Located,
    PictureRecord,
    QuarantineRow,
    Space,
)
from sosie.catalogue.sqlite import Catalogue

__all__ = [
    "AddContent",
    "AddLocation",
    "AddQuarantine",
    "Catalogue",
    "Change",
    "ContentRow",
    "Decision",
    "Located",
    "PictureRecord",
    "QuarantineRow",
    "Space",
]
