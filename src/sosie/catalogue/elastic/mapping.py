"""The indices of a library on Elasticsearch: their names, fields and settings.

    sosie-NAME-pictures        alias of the one version that counts, sosie-NAME-pictures-000001 …
    sosie-NAME-notes           records, spaces, decisions, the epoch, verdicts of pairs, the log, jobs
    sosie-NAME-quarantine      files that could not become pictures
    sosie-NAME-features        local features, read by id alone

A label becomes one term of three fields: ``name NUL text`` (``texts``), the same with A to Z lowered (``folded``, for
``~``), or ``name NUL number`` (``numbers``, in 16 hexadecimal digits that sort as the numbers do). So any number of
names and values costs no field of the mapping, and a range of terms is a range of values.

Regions are nested in the document of their picture. So they come and go with it in one write, meet its filter inside
the search for neighbours, and a search for k regions gives the k pictures that hold them.

Documents have no digests of their own, as rows of SQLite have: Lucene keeps a checksum of each of its files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sosie.catalogue.records import Space
from sosie.elastic import Cluster
from sosie.elastic.vectors import dense_vector

__all__ = ["ADDED", "SCHEMA", "Names", "index_body", "regions_field", "space_field", "vector_field"]

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Names:
    """What the indices of one library are called."""

    library: str

    @property
    def pictures(self) -> str:
        return f"sosie-{self.library}-pictures"

    @property
    def notes(self) -> str:
        return f"sosie-{self.library}-notes"

    @property
    def quarantine(self) -> str:
        return f"sosie-{self.library}-quarantine"

    @property
    def features(self) -> str:
        return f"sosie-{self.library}-features"

    def version(self, number: int) -> str:
        return f"{self.pictures}-{number:06d}"


def vector_field(space_id: int) -> str:
    """Return the name of the field that holds the vectors of a space of whole pictures."""
    return f"vector_{space_id}"


def regions_field(space_id: int | str) -> str:
    """Return the name of the field that holds the regions of a space, each with its vector; ``*`` stands for any."""
    return f"regions_{space_id}"


def space_field(space: Space, kind: str, oversample: float) -> dict[str, Any]:
    """Return the field, by its name, for all that a picture's document holds of a space."""
    vector = dense_vector(space.dim, kind, oversample)
    if space.regions == "whole":
        return {vector_field(space.id): vector}
    return {regions_field(space.id): {"type": "nested", "properties": {**_REGION, "vector": vector}}}


def index_body(cluster: Cluster, properties: Mapping[str, Any], *, kind: str | None = None) -> dict[str, Any]:
    """Return settings and mappings of an index with these fields, and nothing else ever."""
    meta = {"sosie": {"schema": SCHEMA, **({"kind": kind} if kind else {})}}
    return {
        "settings": {
            "number_of_shards": cluster.shards if kind else 1,
            "auto_expand_replicas" if "-" in cluster.replicas else "number_of_replicas": cluster.replicas,
        },
        "mappings": {"dynamic": "strict", "_meta": meta, "properties": dict(properties)},
    }


def pictures(spaces: Sequence[Space], *, kind: str, oversample: float) -> dict[str, Any]:
    """Return the fields of a picture's document."""
    fields = dict(_PICTURES)
    for space in spaces:
        fields |= space_field(space, kind, oversample)
    return fields


_KEYWORD = {"type": "keyword"}
_TERM = {"type": "keyword", "doc_values": False}
_KEPT = {"type": "keyword", "index": False, "doc_values": False}  # in the source, and nowhere else
_NUMBER = {"type": "long"}
_KEPT_NUMBER = {"type": "long", "index": False, "doc_values": False}

_KEPT_MOMENT = {"type": "double", "index": False, "doc_values": False}  # seconds since 1970

_PICTURES: dict[str, Any] = {
    "id": _NUMBER,
    "sha256": _KEYWORD,
    "bytes": _NUMBER,
    "format": _KEYWORD,
    "format_folded": _TERM,
    "width": _NUMBER,
    "height": _NUMBER,
    "pixels": _TERM,
    "pixels_version": {"type": "byte"},  # not there: 1
    "frames": _KEPT_NUMBER,
    "repaired": _KEPT,
    "pdq": _KEPT,
    "pdq_quality": _KEPT_NUMBER,
    "added_at": {"type": "double"},
    "added": _TERM,  # 2026-11-21T08:40:30Z, which --where compares as text
    "live": {"type": "boolean"},
    "spaces": _NUMBER,
    "places": {
        "properties": {
            "uri": _KEYWORD,
            "root": _KEYWORD,
            "size": _KEPT_NUMBER,
            "mtime_ns": _KEPT_NUMBER,
            "inode": _KEPT_NUMBER,
            "seen_at": _KEPT_MOMENT,
            "gone_at": _KEPT_MOMENT,
        }
    },
    "uris_folded": _TERM,
    "labels": {"type": "object", "enabled": False},
    "names": _KEYWORD,
    "texts": _KEYWORD,
    "folded": _TERM,
    "numbers": _KEYWORD,
    "facts": {"type": "object", "enabled": False},  # as labels are kept: once as they are, and as terms
    "fact_names": _KEYWORD,
    "fact_texts": _KEYWORD,
    "fact_folded": _TERM,
    "fact_numbers": _KEYWORD,
}

ADDED: Mapping[int, dict[str, Any]] = {
    2: {
        name: _PICTURES[name]
        for name in (
            "pixels_version", "frames", "repaired", "places",
            "facts", "fact_names", "fact_texts", "fact_folded", "fact_numbers",
        )
    }
}  # fmt: skip
"""What each schema added to the fields of a picture, so that an older library gets it, too."""

_REGION: dict[str, Any] = {
    "box": {"type": "double", "index": False, "doc_values": False},  # x, y, width, height
    "label": _KEPT,
    "confidence": {"type": "double", "index": False, "doc_values": False},
    "half": {"type": "binary"},  # the vector once more, as an exact look at many regions reads it fastest
}

NOTES: dict[str, Any] = {
    "what": _KEYWORD,  # record, space, decision, epoch, pair, log, job, vouched
    "name": _KEYWORD,
    "value": {"type": "object", "enabled": False},
    "at": {"type": "double"},
}

QUARANTINE: dict[str, Any] = {
    "uri": _KEYWORD,
    "reason": _KEYWORD,
    "detail": _KEPT,
    "root": _KEYWORD,
    "size": _KEPT_NUMBER,
    "mtime_ns": _KEPT_NUMBER,
    "inode": _KEPT_NUMBER,
    "tries": _KEPT_NUMBER,
    "at": {"type": "double"},
}

FEATURES: dict[str, Any] = {
    "id": _NUMBER,
    "version": _KEYWORD,
    "data": {"type": "binary"},
    "digest": _KEPT,
}
