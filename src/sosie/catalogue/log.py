"""Read the log of a library: entries of one person, of one kind, of some days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from sosie.catalogue.contract import Store
from sosie.catalogue.records import LogEntry
from sosie.errors import UsageError

__all__ = ["LogFilter", "day", "entries"]

_PAGE = 500


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which entries are wanted; None wants all. ``since`` and ``until`` are seconds since 1970, the latter excluded."""

    actor: str | None = None
    deed: str | None = None
    since: float | None = None
    until: float | None = None

    def fits(self, entry: LogEntry) -> bool:
        """Tell whether an entry is wanted."""
        in_time = (self.since is None or entry.at >= self.since) and (self.until is None or entry.at < self.until)
        return in_time and self.actor in (None, entry.actor) and self.deed in (None, entry.deed)


def entries(store: Store, wanted: LogFilter, *, limit: int, before: int | None = None) -> list[LogEntry]:
    """Return the last ``limit`` entries that are wanted, those with an id below ``before``, newest first."""
    return list(islice(filter(wanted.fits, _newest_first(store, before, wanted.since)), limit))


def _newest_first(store: Store, before: int | None, since: float | None) -> Iterator[LogEntry]:
    while page := store.log(limit=_PAGE, before=before):
        yield from page
        before = page[-1].id
        if since is not None and page[-1].at < since:
            return


def day(text: str, *, end: bool = False) -> float:
    """Return when a day (YYYY-MM-DD, in UTC) begins, or ends, in seconds since 1970; raise UsageError."""
    try:
        begins = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"{text!r} is no day: write it as 2026-11-30") from None
    return (begins + timedelta(days=end)).timestamp()
