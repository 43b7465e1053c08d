"""The truth about a library: what is known of each picture. The only place that speaks SQL."""

from __future__ import annotations

from sosie.catalogue.contract import Condition, Found, Store, View
from sosie.catalogue.records import (
    AddContent,
    AddLocation,
    AddQuarantine,
    AddRegions,
    Change,
    ContentRow,
    Decision,
    Held,
    KnownPlace,
    Located,
    PictureRecord,
    QuarantineRow,
    RegionRow,
    Space,
)
from sosie.catalogue.sqlite import Catalogue

__all__ = [
    "AddContent",
    "AddLocation",
    "AddQuarantine",
    "AddRegions",
    "Catalogue",
    "Change",
    "Condition",
    "ContentRow",
    "Decision",
    "Found",
    "Held",
    "KnownPlace",
    "Located",
    "PictureRecord",
    "QuarantineRow",
    "RegionRow",
    "Space",
    "Store",
    "View",
]
