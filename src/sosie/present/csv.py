"""Search results as CSV, one line a hit, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sosie.present.log import sentence
from sosie.present.text import visible
from sosie.types import Distance, Hit, SearchResult

if TYPE_CHECKING:
    from sosie.catalogue import PictureRecord
    from sosie.catalogue.records import LogEntry

__all__ = [
    "COLUMNS",
    "LOG_COLUMNS",
    "PICTURE_COLUMNS",
    "guarded",
    "log_csv",
    "matches_csv",
    "pictures_csv",
    "plain_text",
    "to_csv",
]

COLUMNS = (
    "query",
    "rank",
    "id",
    "score",
    "verdict",
    "probability",
    "uri",
    "labels",
    "region",
    "tags",
    "distance",
    "facts",
)
PICTURE_COLUMNS = (
    "id",
    "uri",
    "width",
    "height",
    "bytes",
    "format",
    "added",
    "sha256",
    "labels",
    "other_places",
    "facts",
)
MATCH_COLUMNS = ("name", "uri", "page", "id", "verdict", "probability")
LOG_COLUMNS = ("id", "at", "actor", "deed", "what", "detail")
# A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TAKEN_FOR_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def to_csv(results: Sequence[SearchResult], *, distance: Distance | None = None) -> str:
    """Return a header and one line a hit; text that looks like a formula gets a leading apostrophe.

    ``labels`` is a JSON object, ``region`` is x, y, width, height separated by spaces, ``tags`` are separated by
    semicolons, ``facts`` are a JSON object of all others that were read from the picture.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in results:
        for hit in result:
            far = "" if result.metric is None else round(hit.distance(result.metric, distance), 6)
            writer.writerow([*_row(result.query, hit), far, _facts(hit.facts)])
    return buffer.getvalue()


def pictures_csv(records: Iterable[PictureRecord]) -> str:
    """Return a header and one line a picture; labels and facts are JSON objects, other places a JSON list."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(PICTURE_COLUMNS)
    for one in records:
        document = one.to_json()
        added = datetime.fromtimestamp(one.added_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        texts = [json.dumps(each) if each else "" for each in (document["labels"], list(one.uris[1:]))]
        size = (one.width, one.height, one.bytes, one.format)
        place = plain_text(one.uris[0] if one.uris else "")
        writer.writerow([one.id, place, *size, added, one.sha256, *texts, _facts(one.facts)])
    return buffer.getvalue()


def log_csv(entries: Iterable[LogEntry]) -> str:
    """Return a header and one line an entry of the log; ``at`` is in UTC, ``detail`` a JSON object."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(LOG_COLUMNS)
    for one in entries:
        at = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        detail = json.dumps(dict(one.detail), ensure_ascii=True)
        writer.writerow([one.id, at, plain_text(one.actor), one.deed, plain_text(sentence(one)), detail])
    return buffer.getvalue()


def matches_csv(found: Iterable[Mapping[str, Any]]) -> str:
    """Return a header and one line for each copy of a watched picture, given as ``sosie watch look`` finds it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(MATCH_COLUMNS)
    for one in found:
        texts = (plain_text(str(one[name] or "")) for name in ("name", "uri", "page"))
        probability = "" if one["probability"] is None else one["probability"]
        writer.writerow([*texts, one["id"], one["verdict"], probability])
    return buffer.getvalue()


def _row(query: str, hit: Hit) -> list[object]:
    document = hit.to_json()
    region = " ".join(f"{edge:g}" for edge in hit.region) if hit.region else ""
    labels = json.dumps(document["labels"], ensure_ascii=True) if hit.labels else ""
    probability = "" if hit.probability is None else hit.probability
    tags = "; ".join(map(str, hit.facts.get("tag", ())))
    shown = (document["score"], str(hit.verdict), probability, plain_text(hit.uri), labels, region, tags)
    return [plain_text(query), hit.rank, hit.id, *shown]


def _facts(facts: Mapping[str, Sequence[str | float]]) -> str:
    others = {name: list(values) for name, values in facts.items() if name != "tag"}
    return json.dumps(others, ensure_ascii=True) if others else ""


def plain_text(value: str) -> str:
    """Return text that no spreadsheet takes for a formula, with characters that cannot be shown as escapes."""
    shown = visible(value)
    return "'" + shown if shown.startswith(_FORMULA) else shown


def guarded(value: object) -> object:
    """Return text that no spreadsheet takes for a formula, by an apostrophe that readers of tables take away again."""
    return f"'{value}" if isinstance(value, str) and _TAKEN_FOR_FORMULA.match(value) else value
