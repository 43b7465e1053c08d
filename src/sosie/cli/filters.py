"""A ``--where`` that speaks of a label that no picture has is a slip of the pen: say so, and which was meant."""

from __future__ import annotations

from sosie.catalogue.where import labels_needed, parse
from sosie.errors import UnknownName
from sosie.library import Library
from sosie.registry import nearest

__all__ = ["check_where"]


def check_where(library: Library, where: str | None) -> None:
    """Raise UnknownName for a label that pictures should have and none has, FilterError for what does not parse.

    What a filter asks not to be there may well be nowhere: ``not reviewed``.
    """
    for name in labels_needed(parse(where)) if where else ():
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if not len(library.catalogue.live_ids(library.catalogue.condition(quoted), limit=1)):
            known = library.labels()
            raise UnknownName(
                f"--where: no picture has a label {name!r}; "
                + (nearest(name, known) if known else "there are none yet")
            )
