"""A plan undone, from its journal: what was moved, linked or trashed is brought back, whatever moment it ended at."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sosie.catalogue import AddLocation, Change, Store
from sosie.catalogue.deeds import write_down
from sosie.copies.apply import one_at_a_time
from sosie.copies.deeds import digest_of_file, move, replace_by_copy
from sosie.copies.journal import Deed, Journal, Recorded, journals, read_journal
from sosie.copies.plans import Refusal
from sosie.copies.trash import in_trash
from sosie.errors import BadPicture, NotFound
from sosie.sources.uris import path_of_uri
from sosie.types import ImageRef

__all__ = ["Undone", "last_journal", "undo_plan"]


@dataclass(frozen=True, slots=True)
class Undone:
    """The places that are as they were before, and those that could not be brought back."""

    restored: tuple[str, ...]
    refused: tuple[Refusal, ...]
    journal: Path

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        refused = [{"uri": one.uri, "reason": one.reason} for one in self.refused]
        return {"restored": list(self.restored), "refused": refused, "journal": str(self.journal)}


def last_journal(library: Path) -> Path:
    """Return the newest journal of which something is not undone; raise NotFound."""
    for path in journals(library):
        if _open(read_journal(path)):
            return path
    raise NotFound("there is nothing to undo: no plan was applied, or all of them were undone")


def undo_plan(journal: Path, *, catalogue: Store, library: Path) -> Undone:
    """Undo what a journal holds, last first; what cannot be undone is named. Raises NotFound, DamagedError."""
    recorded = _open(read_journal(journal))
    restored: list[Deed] = []
    refused: list[Refusal] = []
    with one_at_a_time(library), Journal(journal) as notes:
        for one in reversed(recorded):
            try:
                _undo(one)
            except BadPicture as error:
                refused.append(Refusal(one.deed.uri, error.detail))
            except OSError as error:
                refused.append(Refusal(one.deed.uri, error.strerror or type(error).__name__))
            else:
                notes.mark(one.deed.number, "undone")
                restored.append(one.deed)
        _know_again(catalogue, restored)
    write_down(catalogue, "undo", {"files": len(restored), "refused": len(refused), "journal": journal.name})
    return Undone(tuple(deed.uri for deed in restored), tuple(refused), journal)


def _open(recorded: Sequence[Recorded]) -> list[Recorded]:
    return [one for one in recorded if one.state in ("begin", "done")]


def _undo(one: Recorded) -> None:
    """Bring one file back; where it is as it was, only clear away what a kill left. Raise BadPicture, OSError."""
    deed, path = one.deed, path_of_uri(one.deed.uri)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of_uri(deed.draft))
    there = digest_of_file(path) == deed.sha256
    if not there and os.path.lexists(path):
        raise BadPicture("occupied", "something else lies at its place now")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if deed.action in ("link", "reflink"):
        _unlink(deed, path)
    elif deed.action == "move":
        _move_back(one, path, there=there)
    elif not there:
        _from_trash(deed, path)


def _unlink(deed: Deed, path: bytes) -> None:
    """Make a file of its own of what is one file with the kept one, or is not there."""
    keep = path_of_uri(deed.keep)
    if os.path.lexists(path) and not (os.path.exists(keep) and os.path.samefile(path, keep)):
        return
    if digest_of_file(keep) != deed.sha256:
        raise BadPicture("changed", "the file that it was linked to has changed")
    replace_by_copy(path, keep, path_of_uri(deed.draft), mode=deed.mode, mtime_ns=deed.mtime_ns)


def _move_back(one: Recorded, path: bytes, *, there: bool) -> None:
    target = path_of_uri(one.deed.target)
    if there:
        if one.state == "begin":  # killed half way: the second name, or a copy that is not whole
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target)
    elif digest_of_file(target) == one.deed.sha256:
        move(target, path)
    else:
        raise BadPicture("missing", "it is not where it was moved to any more")


def _from_trash(deed: Deed, path: bytes) -> None:
    found = in_trash(path, deed.sha256)
    if found is None:
        raise BadPicture("missing", "it is not in the trash any more, or this system's trash cannot be searched")
    move(found.file, path)
    if found.info is not None:
        os.unlink(found.info)


def _know_again(catalogue: Store, deeds: Sequence[Deed]) -> None:
    """Give the library back the places that a plan had taken from it."""
    by_root: defaultdict[str, list[Change]] = defaultdict(list)
    for deed in deeds:
        sha256 = bytes.fromhex(deed.sha256)
        if catalogue.content_id(sha256) is not None and catalogue.located(deed.uri) is None:
            found = os.stat(path_of_uri(deed.uri))
            ref = ImageRef(deed.uri, {}, found.st_size, found.st_mtime_ns, found.st_ino)
            by_root[deed.root].append(AddLocation(sha256, ref))
    for root, changes in by_root.items():
        catalogue.apply(changes, root=root)
