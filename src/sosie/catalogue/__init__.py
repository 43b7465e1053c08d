"""The truth about a library: what is known of each picture. The only place that speaks SQL."""

from __future__ import annotations

from sosie.catalogue.contract import Condition, Found, Store, View
from sosie.catalogue.records import (
    AddContent,
    AddLocation,
    AddQuarantine,
    Change,
    ContentRow,
    Decision,
    KnownPlace,
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
    "Condition",
    "ContentRow",
    "Decision",
    "Found",
    "KnownPlace",
    "Located",
    "PictureRecord",
    "QuarantineRow",
    "Space",
    "Store",
    "View",
]
