"""``sosie info``: what the library holds."""

from __future__ import annotations

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json
from sosie.present.recall import recall_text

__all__ = ["info"]


def info(library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Say what the library holds and how it answers."""
    with sosie.open(library, create=False) as lib:
        stats = lib.stats()
    if as_json:
        emit_json(stats)
        return 0
    index = stats["index"]
    print(
        f"{stats['path']}: {stats['pictures']} pictures at {stats['locations']} places, {stats['bytes'] / 1e6:.1f} MB"
    )
    print(f"model: {stats['model']}; spaces: {', '.join(space['name'] for space in stats['spaces'])}")
    print(f"index: {index['kind']}, recall {recall_text(index)}, {index['tail']} in the tail")
    if stats["quarantined"]:
        print(f"quarantined: {stats['quarantined']}")
    return 0
