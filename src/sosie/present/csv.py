"""Search results as CSV, one line a hit, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from sosie.present.text import visible
from sosie.types import Hit, SearchResult

__all__ = ["COLUMNS", "plain_text", "to_csv"]

COLUMNS = ("query", "rank", "id", "score", "verdict", "probability", "uri", "labels", "region")
# A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(results: Sequence[SearchResult]) -> str:
    """Return a header and one line a hit; text that looks like a formula gets a leading apostrophe.

    ``labels`` is a JSON object, ``region`` is x, y, width, height separated by spaces.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in results:
        for hit in result:
            writer.writerow(_row(result.query, hit))
    return buffer.getvalue()


def _row(query: str, hit: Hit) -> list[object]:
    document = hit.to_json()
    region = " ".join(f"{edge:g}" for edge in hit.region) if hit.region else ""
    labels = json.dumps(document["labels"], ensure_ascii=True) if hit.labels else ""
    probability = "" if hit.probability is None else hit.probability
    shown = (document["score"], str(hit.verdict), probability, plain_text(hit.uri), labels, region)
    return [plain_text(query), hit.rank, hit.id, *shown]


def plain_text(value: str) -> str:
    """Return text that no spreadsheet takes for a formula, with characters that cannot be shown as escapes."""
    shown = visible(value)
    return "'" + shown if shown.startswith(_FORMULA) else shown
