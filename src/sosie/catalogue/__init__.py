"""The truth about a library: what is known of each picture. The only place that speaks SQL."""

from __future__ import annotations

from sosie.catalogue.contract import Condition, Found, Store, View
from sosie.catalogue.records import (
    AddContent,
    AddLocation,
    AddQuarantine,
    AddRegions,
    Change,
    ContentChange,
    ContentRow,
    Decision,
    FactValues,
    Held,
    Job,
    KnownPlace,
    Located,
    LogEntry,
    PairVerdict,
    PictureRecord,
    Place,
    QuarantineRow,
    RegionRow,
    Space,
    Vouched,
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
    "ContentChange",
    "ContentRow",
    "Decision",
    "FactValues",
    "Found",
    "Held",
    "Job",
    "KnownPlace",
    "Located",
    "LogEntry",
    "PairVerdict",
    "PictureRecord",
    "Place",
    "QuarantineRow",
    "RegionRow",
    "Space",
    "Store",
    "View",
    "Vouched",
]
