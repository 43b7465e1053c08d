"""Backups of a library in a folder, made while it is used; what lies in one already, by digest, is not copied again.

    BACKUP/backup.json          what belongs to the backup: path in the library → size and SHA-256; written last
    BACKUP/catalogue.sqlite     the catalogue as it was when the backup began
    BACKUP/objects/ab/abcd…     every other file, once, under the SHA-256 of its bytes

Indexes and thumbnails are left out: they are made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sosie
from sosie import files
from sosie.catalogue.copying import copy_catalogue, move_places, verify_catalogue
from sosie.catalogue.database import set_aside
from sosie.errors import DamagedError, NotFound, UsageError

__all__ = ["BackupReport", "back_up", "restore"]

MANIFEST = "backup.json"
CATALOGUE = "catalogue.sqlite"
FORMAT = 1
_KEPT = ("uploads", "originals", "watch", "models")  # folders that hold what cannot be made again
_FILES = ("keys.json", "application.yaml")


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup, or a restore, did: files that were copied, that were there already, and bytes copied."""

    pictures: int
    copied: int
    known: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the report with plain JSON types."""
        return asdict(self)


def back_up(
    library: Path, backup: Path, *, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> BackupReport:
    """Copy a library to the folder ``backup``, which may hold an earlier backup of it; raise UsageError, DamagedError.

    Others may use the library meanwhile, and write to it. Every commit that had returned before is in the copy.
    """
    _check_target(library, backup)
    files.make_folder(backup / "objects")
    copy_catalogue(library / CATALOGUE, backup / f"{CATALOGUE}.new")
    pictures = verify_catalogue(backup / f"{CATALOGUE}.new")
    listed = list(_files(library))  # after the catalogue: what it names was there before its commit
    entries: dict[str, dict[str, Any]] = {}
    copied = size = 0
    for done, path in enumerate(listed):
        progress(done, len(listed))
        entry, new = _store(path, backup / "objects")
        entries[path.relative_to(library).as_posix()] = entry
        copied += new
        size += entry["size"] if new else 0
    (backup / f"{CATALOGUE}.new").replace(backup / CATALOGUE)
    whole = (backup / CATALOGUE).stat().st_size
    own = {"size": whole, "sha256": _sha256(backup / CATALOGUE)}
    about = {"format": FORMAT, "sosie": sosie.__version__, "at": time.time(), "library": _uri(library)}
    manifest = {**about, "catalogue": own, "files": entries}
    files.write_json(backup / MANIFEST, manifest, indent=1)
    _drop_unnamed(backup / "objects", {entry["sha256"] for entry in entries.values()})
    progress(len(listed), len(listed))
    return BackupReport(pictures, copied, len(listed) - copied, size + whole)


def restore(
    backup: Path, library: Path, *, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> BackupReport:
    """Make a library of a backup, where there is none, or in the place of a catalogue that cannot be read.

    Everything is checked before the catalogue gets its name, which comes last: a restore that was broken off is begun
    again. The mark of ids of a library that was there stays, so that none of its ids is used again. Raises UsageError
    where a library that can be read is in the way, DamagedError, NotFound.
    """
    manifest = _read_manifest(backup)
    _check_free(library)
    pictures = _check_backup(backup, manifest)
    files.make_folder(library)
    copied = known = size = 0
    targets = {_inside(library, name): entry for name, entry in manifest["files"].items()}
    for done, (target, entry) in enumerate(targets.items()):
        progress(done, len(targets))
        if target.is_file() and _sha256(target) == entry["sha256"]:
            known += 1
            continue
        files.make_folder(target.parent)
        _copy(backup / "objects" / entry["sha256"][:2] / entry["sha256"], target)
        copied += 1
        size += entry["size"]
    _bring_catalogue(backup, library, manifest["library"])
    progress(len(targets), len(targets))
    return BackupReport(pictures, copied, known, size + manifest["catalogue"]["size"])


# ------------------------------------------------------------------------------------------------ steps


def _check_target(library: Path, backup: Path) -> None:
    if backup.resolve().is_relative_to(library.resolve()):
        raise UsageError(f"{backup} is in the library that it is to be a backup of: choose a folder elsewhere")
    if backup.is_dir() and any(backup.iterdir()) and not (backup / "objects").is_dir():
        raise UsageError(f"{backup} holds something that is no backup: choose an empty folder, or a new one")


def _check_free(library: Path) -> None:
    path = library / CATALOGUE
    if not path.exists():
        return
    try:
        count = verify_catalogue(path)
    except DamagedError:
        return
    raise UsageError(f"{library} holds a library of {count} pictures: restore to another folder, or move it away first")


def _check_backup(backup: Path, manifest: Mapping[str, Any]) -> int:
    """Return how many pictures a backup holds; raise DamagedError where a file is not what was written."""
    if _sha256(backup / CATALOGUE) != manifest["catalogue"]["sha256"]:
        raise DamagedError(f"{backup / CATALOGUE} is not what `sosie backup` wrote: take another backup")
    for name, entry in manifest["files"].items():
        path = backup / "objects" / entry["sha256"][:2] / entry["sha256"]
        if not path.is_file() or _sha256(path) != entry["sha256"]:
            raise DamagedError(f"{name} is missing or damaged in {backup}: take another backup")
    return verify_catalogue(backup / CATALOGUE)


def _read_manifest(backup: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((backup / MANIFEST).read_bytes())
        if found["format"] > FORMAT:
            raise UsageError(f"{backup} was written by a newer Sosie ({found['sosie']}): upgrade Sosie")
        if {"catalogue", "files", "library"} <= found.keys():
            return found
    except FileNotFoundError:
        raise NotFound(f"{backup} holds no backup: `sosie backup DIR` makes one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{backup / MANIFEST} cannot be read ({error}): take another backup") from error
    raise DamagedError(f"{backup / MANIFEST} is not of `sosie backup`: take another backup")


def _bring_catalogue(backup: Path, library: Path, old: str) -> None:
    """Put the catalogue of a backup in its place; what the library itself keeps lies in the new folder from now on."""
    draft = library / f"{files.DRAFT}{CATALOGUE}"
    _copy(backup / CATALOGUE, draft)
    if old != _uri(library):
        for folder in _KEPT:
            move_places(draft, f"{old}/{folder}/", f"{_uri(library)}/{folder}/")
    if any((library / f"{CATALOGUE}{suffix}").exists() for suffix in ("", "-wal", "-shm")):
        set_aside(library / CATALOGUE)
    files.publish(draft, library / CATALOGUE)


def _uri(library: Path) -> str:
    return library.absolute().as_uri()


def _inside(library: Path, name: str) -> Path:
    target = library / name
    if not target.resolve().is_relative_to(library.resolve()) or name.split("/", maxsplit=1)[0] not in {
        *_KEPT,
        *_FILES,
    }:
        raise DamagedError(f"the backup names {name!r}, which is no file of a library: take another backup")
    return target


# ------------------------------------------------------------------------------------------------ files


def _files(library: Path) -> Iterator[Path]:
    """Yield the files of a library, beside its catalogue, that cannot be made again."""
    for name in _FILES:
        if (library / name).is_file():
            yield library / name
    for folder in _KEPT:
        for path in sorted((library / folder).rglob("*")):
            if path.is_file() and not path.is_symlink() and not _is_draft(path):
                yield path


def _is_draft(path: Path) -> bool:
    return path.name.startswith(files.DRAFT) or path.suffix == ".part"


def _store(path: Path, objects: Path) -> tuple[dict[str, Any], bool]:
    """Copy a file to its place under its digest, unless it is there; return its entry, and whether it was copied."""
    sha256 = _sha256(path)
    target = objects / sha256[:2] / sha256
    entry = {"size": path.stat().st_size, "sha256": sha256, "mode": path.stat().st_mode & 0o777}
    if target.is_file() and target.stat().st_size == entry["size"]:
        return entry, False
    files.make_folder(target.parent)
    _copy(path, target)
    if _sha256(target) != sha256:
        raise DamagedError(f"{path} changed while it was copied: run the same command again")
    return entry, True


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, files.writing(target, mode=source.stat().st_mode & 0o777) as new:
        shutil.copyfileobj(old, new, 1 << 20)


def _drop_unnamed(objects: Path, named: set[str]) -> None:
    """Forget what no backup names any more: pictures that the library has erased are not kept behind its back."""
    for path in objects.glob("*/*"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
