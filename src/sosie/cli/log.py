"""``sosie log``: who did what to a library, and when."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

import sosie
from sosie.catalogue.deeds import DEEDS
from sosie.catalogue.log import LogFilter, day, entries
from sosie.catalogue.records import LogEntry
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json
from sosie.errors import UsageError
from sosie.present.csv import log_csv
from sosie.present.log import sentence
from sosie.present.text import visible
from sosie.registry import nearest

__all__ = ["log"]

_WHEN = "YYYY-MM-DD, in UTC"


def log(
    library: LibraryOption = None,
    limit: Annotated[int, typer.Option("-n", "--limit", help="How many entries, the latest first.", min=1)] = 50,
    by: Annotated[str | None, typer.Option("--actor", help="Of one person or key alone.", metavar="NAME")] = None,
    deed: Annotated[str | None, typer.Option(help=" | ".join(DEEDS))] = None,
    since: Annotated[str | None, typer.Option(help=f"From this day on: {_WHEN}.", metavar="DAY")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this day, which is included.", metavar="DAY")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line of CSV for each entry instead.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Show who did what, the latest first: labels, removals, decisions, exports, plans carried out and undone.

    Entries can be added and never changed. An entry is written together with the deed itself.
    """
    if deed is not None and deed not in DEEDS:
        raise UsageError(f"nothing is logged as {deed!r}; {nearest(deed, DEEDS)}")
    wanted = LogFilter(by, deed, None if since is None else day(since), None if until is None else day(until, end=True))
    with sosie.open(library, create=False, read_only=True) as lib:
        found = entries(lib.catalogue, wanted, limit=limit)
    if as_json:
        emit_json([entry.to_json() for entry in found])
    elif as_csv:
        sys.stdout.write(log_csv(found))
    else:
        _print(found)
    return 0 if found else 1


def _print(found: Sequence[LogEntry]) -> None:
    for entry in found:
        at = datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        print(f"{at}\t{visible(entry.actor)}\t{entry.deed}\t{visible(sentence(entry))}")
