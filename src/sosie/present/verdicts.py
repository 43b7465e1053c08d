"""How each verdict is written wherever it is shown: one table for terminal, sheets, reports and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sosie.types import Verdict

__all__ = ["VERDICTS", "Wording", "percent"]


@dataclass(frozen=True, slots=True)
class Wording:
    """A verdict in words: its name, its tone (the class of its badge), its colour in a terminal, what it means."""

    name: str
    tone: str
    terminal: str
    meaning: str


VERDICTS: Mapping[Verdict, Wording] = {
    Verdict.IDENTICAL: Wording("identical", "good", "bold green", "The same file, byte for byte."),
    Verdict.SAME_PIXELS: Wording("same pixels", "good", "green", "Another file with the same picture, to the pixel."),
    Verdict.ALTERED_COPY: Wording(
        "altered copy", "note", "magenta", "Made from the same picture by editing: cropped, re-saved, captioned …"
    ),
    Verdict.CONTAINS: Wording("contains it", "warm", "cyan", "It holds the query: the query is a part of it."),
    Verdict.IS_PART_OF: Wording("is part of it", "warm", "cyan", "It is a part of the query."),
    Verdict.SAME_OBJECT: Wording("same object", "cool", "yellow", "Another picture of the same thing."),
    Verdict.SIMILAR: Wording("similar", "", "default", "Looks alike; no claim beyond that."),
}


def percent(probability: float) -> str:
    """Return a probability in per cent; what would round to 100 says that it is less than certain."""
    if probability >= 1:
        return "100 %"
    return "> 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"
