"""A plan carried out: each line checked again at its moment, written to the journal, then done."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sosie.catalogue import Store
from sosie.catalogue.deeds import write_down
from sosie.copies.deeds import clone, digest_of_file, hard_link, move, trash
from sosie.copies.identity import identity_of
from sosie.copies.journal import Deed, Journal
from sosie.copies.plans import ACTIONS, Line, Refusal, regular_file
from sosie.errors import BadPicture, LibraryBusy, UsageError
from sosie.sources.uris import path_of_uri, uri_of_path

__all__ = ["Applied", "Settings", "apply_plan", "one_at_a_time"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a plan is carried out: where moved files go, whether links share blocks instead, whether nothing is done."""

    folder: Path | None = None
    reflink: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """The lines that were carried out, or would be, those that were refused, and the journal that undoes them."""

    done: tuple[Line, ...]
    refused: tuple[Refusal, ...]
    journal: Path | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "done": [{"action": line.action, "uri": line.uri, "keep": line.keep} for line in self.done],
            "refused": [{"uri": one.uri, "reason": one.reason} for one in self.refused],
            "journal": None if self.journal is None else str(self.journal),
        }


@dataclass(slots=True)
class _Run:
    """One plan under way, over a library's catalogue."""

    catalogue: Store
    settings: Settings
    identity: str
    decisions: Mapping[tuple[str, str], str]
    done: list[Line] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def apply_plan(
    lines: Sequence[Line | Refusal],
    *,
    catalogue: Store,
    library: Path,
    settings: Settings = Settings(),
    progress: Callable[[int], None] = lambda _done: None,
) -> Applied:
    """Carry out a plan line by line; what cannot be done is refused by itself, with the reason.

    ``library`` is the folder where the journal lies. Raises UsageError, LibraryBusy.
    """
    if settings.folder is None and any(isinstance(line, Line) and line.action == "move" for line in lines):
        raise UsageError("this plan moves files: say where to with --to FOLDER")
    decisions = {(one.a, one.b): one.decision for one in catalogue.decisions()}
    run = _Run(catalogue, settings, identity_of(catalogue), decisions)
    if settings.dry_run:
        _carry_out(run, lines, None, progress)
        return Applied(tuple(run.done), tuple(run.refused), None)
    if settings.folder is not None:
        _make_folder(settings.folder)
    with one_at_a_time(library), Journal.begin(library) as journal:
        try:
            _carry_out(run, lines, journal, progress)
        finally:
            _forget_places(run)
    write_down(catalogue, "apply", {"files": len(run.done), "refused": len(run.refused), "journal": journal.path.name})
    return Applied(tuple(run.done), tuple(run.refused), journal.path)


@contextmanager
def one_at_a_time(library: Path) -> Iterator[None]:
    """Let one process at a time touch files for a library; raise LibraryBusy."""
    import filelock

    (library / "plans").mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(library / "plans" / "apply.lock", timeout=0):
            yield
    except filelock.Timeout as error:
        raise LibraryBusy("another process applies or undoes a plan of this library: wait for it to end") from error


def _carry_out(
    run: _Run, lines: Sequence[Line | Refusal], journal: Journal | None, progress: Callable[[int], None]
) -> None:
    for number, line in enumerate(lines):
        if isinstance(line, Refusal):
            run.refused.append(line)
        else:
            try:
                _one(run, number, line, journal)
                run.done.append(line)
            except BadPicture as error:
                run.refused.append(Refusal(line.uri, error.detail))
            except OSError as error:
                run.refused.append(Refusal(line.uri, error.strerror or type(error).__name__))
        progress(number + 1)


def _one(run: _Run, number: int, line: Line, journal: Journal | None) -> None:
    """Check one line and carry it out; raise BadPicture, OSError."""
    root = _known(run, line)
    path, keep = regular_file(line.uri), regular_file(line.keep)
    before = os.lstat(path)
    _check_files(line, path, keep)
    deed = Deed(
        number=number,
        action="reflink" if line.action == "link" and run.settings.reflink else line.action,
        uri=line.uri,
        keep=line.keep,
        sha256=line.sha256,
        keep_sha256=line.keep_sha256,
        mode=before.st_mode,
        mtime_ns=before.st_mtime_ns,
        root=root,
        target=_target(path, run.settings.folder) if line.action == "move" and run.settings.folder else "",
        draft=uri_of_path(os.path.join(os.path.dirname(path), b".sosie-" + secrets.token_hex(6).encode())),
    )
    if journal is None:
        return
    journal.write(deed)
    try:
        if _stamp(os.lstat(path)) != _stamp(before):
            raise BadPicture("changed", "it was written to at this moment")
        _do(deed, path, keep)
    except BaseException:
        if digest_of_file(path) == line.sha256:  # it is where it was; else undo has to look what became of it
            journal.mark(number, "failed")
        raise
    journal.mark(number, "done")


def _do(deed: Deed, path: bytes, keep: bytes) -> None:
    if deed.action == "link":
        hard_link(path, keep, path_of_uri(deed.draft))
    elif deed.action == "reflink":
        clone(path, keep, path_of_uri(deed.draft))
    elif deed.action == "move":
        move(path, path_of_uri(deed.target))
    else:
        trash(path)


def _known(run: _Run, line: Line) -> str:
    """Return the source that a file came from; raise BadPicture where the plan is not of this library as it is."""
    if line.library != run.identity:
        raise BadPicture("foreign", "a plan of another library")
    if line.action not in ACTIONS or (line.action == "link" and line.sha256 != line.keep_sha256):
        raise BadPicture("no_line", "link is for equal bytes alone; the others are move and delete")
    places = [run.catalogue.located(uri) for uri in (line.uri, line.keep)]
    for place, digest in zip(places, (line.sha256, line.keep_sha256), strict=True):
        if place is None or place.sha256.hex() != digest:
            raise BadPicture("older", "the library has changed since: write the plan anew")
    low, high = sorted((line.sha256, line.keep_sha256))
    decision = run.decisions.get((low, high))
    if decision in ("not_a_copy", "keep_both"):
        raise BadPicture("decided", f"it was decided since: {decision}")
    return places[0].root if places[0] else ""


def _check_files(line: Line, path: bytes, keep: bytes) -> None:
    """Raise BadPicture unless both files hold what the plan says, are two files, and the first may be changed."""
    if os.path.samefile(path, keep):
        raise BadPicture("one_file", "already the same file as the one to keep")
    if not os.lstat(path).st_mode & 0o222 or not os.access(path, os.W_OK):
        raise BadPicture("read_only", "read-only")
    if not os.access(os.path.dirname(path), os.W_OK):
        raise BadPicture("read_only", "in a read-only folder")
    if digest_of_file(keep) != line.keep_sha256:
        raise BadPicture("changed", "the one to keep is gone or has changed")
    if digest_of_file(path) != line.sha256:
        raise BadPicture("changed", "it has changed since the plan was written")


def _target(path: bytes, folder: Path) -> str:
    """Return a free place in the folder for moved files."""
    stem, suffix = os.path.splitext(os.path.basename(path))
    for number in range(1, 1_000_000):
        name = stem + (b"" if number == 1 else b" (%d)" % number) + suffix
        target = os.path.join(os.fsencode(folder.absolute()), name)
        if not os.path.lexists(target):
            return uri_of_path(target)
    raise OSError(errno.EEXIST, "too many files of this name")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} is no folder that can be made ({error.strerror}): give another one") from error


def _forget_places(run: _Run) -> None:
    """Take the places that were given up out of the library; a link leaves its place where it is."""
    left = [line.uri for line in run.done if line.action != "link"]
    if left:
        run.catalogue.drop_locations(left)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
