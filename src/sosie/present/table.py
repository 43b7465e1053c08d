"""Search results as a table on a terminal, with a strip of thumbnails where the terminal can show pictures."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, TextIO

from sosie.present.duration import duration
from sosie.present.recall import recall_text
from sosie.present.terminal import choose_protocol, strip
from sosie.present.text import display_path, shorten, visible
from sosie.present.verdicts import VERDICTS, percent
from sosie.types import Distance, Hit, LabelValue, SearchResult, number_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["print_results", "results_table"]

_LABEL_WIDTH = 32  # a longer label is cut in its middle


def print_results(
    results: Sequence[SearchResult],
    *,
    thumbnail: Callable[[Hit], bytes | None] | None = None,
    thumbnails: str = "auto",
    distance: Distance | None = None,
    file: TextIO | None = None,
) -> None:
    """Print one table a query to ``file`` (standard output).

    ``thumbnails`` is auto (where the terminal says that it can), always or never; ``thumbnail`` gives a hit's picture.
    Raise UsageError for another value. Names are shown with control, bidi and non-UTF-8 characters as escapes.
    """
    from rich.console import Console

    out = file or sys.stdout
    if isinstance(out, io.TextIOWrapper) and out.errors == "strict":
        out.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter gets its escape, not an exception
    protocol = choose_protocol(thumbnails, is_terminal=out.isatty())
    console = Console(file=out, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 4096  # a pipe is not folded
    for number, result in enumerate(results):
        if number:
            console.print()
        console.print(_headline(result))
        if objects := result.asked.get("objects"):
            console.print("  objects: " + ", ".join(_object(at, each) for at, each in enumerate(objects, 1)))
        if protocol and thumbnail is not None and result.hits:
            out.write(strip([thumbnail(hit) for hit in result], protocol, columns=min(console.width, 120)))
        _print_hits(console, result, distance)


def _print_hits(console: Console, result: SearchResult, distance: Distance | None) -> None:
    """Print the hits, those apart that are no more alike than unrelated pictures are."""
    if not result.hits:
        console.print("  nothing matches")
        return
    for weak, hits in groupby(result.hits, key=lambda hit: hit.weak):
        if weak:
            console.print("  nothing like it; the nearest are:" if not result.has_answer else "  less alike than most:")
        console.print(results_table(replace(result, hits=tuple(hits)), distance=distance))


def results_table(result: SearchResult, *, distance: Distance | None = None) -> Table:
    """Return the hits of one query as a rich table, with a column of distances where one is asked for."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("#", justify="right")
    table.add_column("score", justify="right")
    if distance:
        table.add_column(distance, justify="right")
    table.add_column("verdict", no_wrap=True)
    with_labels = any(hit.labels for hit in result)
    if with_labels:
        table.add_column("labels", overflow="fold", ratio=2)
    table.add_column("picture", overflow="fold", ratio=3)
    for hit in result:
        verdict = Text(_verdict(hit), style=VERDICTS[hit.verdict].terminal)
        far = [Text(f"{hit.distance(result.metric, distance):.4f}")] if distance else []
        cells = [Text(str(hit.rank)), Text(f"{hit.score:.3f}"), *far, verdict]
        if with_labels:
            cells.append(Text(_labels(hit.labels)))
        table.add_row(*cells, Text(display_path(hit.uri) + ("  (gone)" if hit.gone else "")))
    return table


def _headline(result: SearchResult) -> str:
    index = visible(str(result.index.get("kind", "exact")))
    measured = f", recall {recall_text(result.index)}" if isinstance(result.index.get("recall"), float) else ""
    facts = f"{len(result)} hits, {duration(result)}, {index}{measured}"
    return f"{display_path(result.query)}  ({facts}){_class(result)}"


def _object(number: int, found: Mapping[str, Any]) -> str:
    """Name an object by the number that ``--object`` takes."""
    return f"{number} {visible(str(found['label'] or 'thing'))} {found['confidence']:.2f}"


def _class(result: SearchResult) -> str:
    """Say within which class was searched, or why among all pictures."""
    told = result.asked.get("class")
    if told is None:
        return ""
    if told["searched"]:
        return f"  within {visible(' + '.join(told['searched']))} ({told['probability']:.1%})"
    return f"  among all pictures: {told['reason']} ({visible(told['name'])} {told['probability']:.1%})"


def _verdict(hit: Hit) -> str:
    words = VERDICTS[hit.verdict].name
    # how sure it is that a picture is a copy says nothing about one that is only alike
    return words if hit.probability is None or not hit.verdict.is_copy else f"{words} {percent(hit.probability)}"


def _labels(labels: Mapping[str, LabelValue]) -> str:
    return "  ".join(f"{visible(name)}={_value(value)}" for name, value in labels.items())


def _value(value: LabelValue) -> str:
    if isinstance(value, tuple):
        return shorten("+".join(visible(one) for one in value), _LABEL_WIDTH)
    return number_text(value) if isinstance(value, float | int) else shorten(visible(value), _LABEL_WIDTH)
