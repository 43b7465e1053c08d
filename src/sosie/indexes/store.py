"""Index generations on disk: immutable, numbered, swapped by one atomic rename.

    indexes/<space>/CURRENT                        "<generation> <sha256 of its manifest>"
    indexes/<space>/<generation>/manifest.json     with the size and digest of every other file
    indexes/<space>/<generation>/…                 the files of one kind

Native libraries trust their files: a flipped bit makes them crash or, worse, answer differently. So no
library is given a byte before the whole chain of digests holds, from CURRENT over the manifest to each
file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

import sosie
from sosie.arrays import load_array
from sosie.contracts import Index
from sosie.errors import DamagedIndex, UnknownName, UsageError
from sosie.indexes.base import IDS, RowIndex
from sosie.indexes.manifest import FileDigest, Manifest
from sosie.registry import resolve_index
from sosie.types import Ids

__all__ = [
    "CURRENT",
    "current_ids",
    "current_manifest",
    "current_pointer",
    "drop",
    "generations",
    "open_current",
    "pointer_stamp",
    "trusted_manifest",
    "write_generation",
]

CURRENT = "CURRENT"
MANIFEST = "manifest.json"
_KEEP = 2  # the one in use, and the one that another process may still be opening
_TRIES = 5  # readings during which others may swap generations
_SETTLED = 2_000_000_000  # nanoseconds
_BLOCK = 1 << 20  # bytes read at a time
_ABANDONED = 86_400  # seconds after which an unfinished build is one that died
_REBUILD = "rebuild it from the catalogue: sosie index build"

# What this process has read: (device, inode, size, mtime, ctime, whether by BLAKE3) → digest.
_verified: dict[tuple[int, ...], str] = {}
_guard = threading.Lock()
_T = TypeVar("_T")


def write_generation(
    root: Path, index: Index, *, meta: Mapping[str, Any], vouch: Callable[[str, str], None] = lambda *_: None
) -> Path:
    """Save ``index`` as a new generation under ``root``, make it the current one and return its folder.

    ``vouch`` gets its name and the SHA-256 of its manifest before it becomes the current one. ``meta`` needs
    ``spec_hash``, ``dim``, ``count`` and ``covers`` and may hold ``measured`` and ``note``, see Manifest. After a crash
    at any moment either the old generation is current or the new one, whole.
    """
    _check_meta(meta)
    root.mkdir(parents=True, exist_ok=True)
    draft = root / f".draft-{os.getpid()}-{time.monotonic_ns()}"
    draft.mkdir()
    try:
        index.save(str(draft))
        digests = {file.name: _seal(file) for file in sorted(draft.iterdir())}
        manifest = _describe(index, digests, meta, generation=f"{_next_number(root):06d}")
        text = manifest.to_json().encode()
        _write(draft / MANIFEST, text)
        _sync_folder(draft)
        folder = root / manifest.generation
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    digest = hashlib.sha256(text).hexdigest()
    vouch(manifest.generation, digest)
    _point_at(root, manifest.generation, digest)
    _prune(root, keep=manifest.generation)
    return folder


def open_current(
    root: Path, *, expect: Mapping[str, Any], vouches: Callable[[str, str], bool] = lambda *_: True
) -> tuple[Index, Manifest] | None:
    """Load the current generation, or return None where there is none.

    ``vouches`` says whether the one of a name whose manifest has a SHA-256 goes with the catalogue.

    ``expect`` maps fields of the manifest to what they have to be (``spec_hash``, ``dim`` …); ``covers`` is
    a bound: an index that covers ids the catalogue never gave is another catalogue's. Raises DamagedIndex,
    naming the command that rebuilds, for files that are damaged, missing, foreign or stale.
    """
    return _settled(root, lambda: _open(root, expect, vouches))


def current_manifest(root: Path) -> Manifest | None:
    """Return the manifest of the current generation, its own digest checked; no index file is loaded."""
    return _settled(root, lambda: _current(root))


def trusted_manifest(
    root: Path, *, expect: Mapping[str, Any], vouches: Callable[[str, str], bool] = lambda *_: True
) -> Manifest | None:
    """Return the manifest of the generation that `open_current` would load, or None; raise DamagedIndex as it does."""
    return _settled(root, lambda: _trusted(root, expect, vouches))


def current_ids(root: Path, manifest: Manifest) -> Ids:
    """Return the ids that a generation of rows holds, ascending; raise DamagedIndex."""
    path = root / manifest.generation / IDS
    if IDS not in manifest.files or not file_is(path, manifest.files[IDS]):
        raise DamagedIndex(f"{path} is damaged; {_REBUILD}")
    ids: Ids = load_array(path, mapped=True)
    return ids


def pointer_stamp(pointer: str) -> tuple[int, ...] | None:
    """Return what changes with the file CURRENT: its path is a string, since this is asked before every search."""
    try:
        about = os.stat(pointer)  # noqa: PTH116
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def generations(root: Path) -> list[str]:
    """Return the names of the generations under ``root``, oldest first."""
    if not root.is_dir():
        return []
    return sorted(each.name for each in root.iterdir() if each.name.isdigit() and each.is_dir())


def drop(root: Path) -> None:
    """Remove every generation of a space; the catalogue is not touched."""
    (root / CURRENT).unlink(missing_ok=True)
    for name in generations(root):
        shutil.rmtree(root / name, ignore_errors=True)


# ------------------------------------------------------------------------------------------------ writing


def _check_meta(meta: Mapping[str, Any]) -> None:
    needed, known = {"spec_hash", "dim", "count", "covers"}, {"measured", "note"}
    if wrong := (needed - set(meta)) | (set(meta) - needed - known):
        raise UsageError(f"an index generation needs {sorted(needed)}; wrong here: {sorted(wrong)}")


def _describe(index: Index, digests: Mapping[str, FileDigest], meta: Mapping[str, Any], *, generation: str) -> Manifest:
    return Manifest(
        kind=index.kind,
        params=dict(index.params),
        generation=generation,
        spec_hash=str(meta["spec_hash"]),
        dim=int(meta["dim"]),
        count=int(meta["count"]),
        covers=int(meta["covers"]),
        files=dict(digests),
        measured=dict(meta.get("measured", {})),
        note=dict(meta.get("note", {})),
        sosie=sosie.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _next_number(root: Path) -> int:
    return max((int(name) for name in generations(root)), default=0) + 1


def _seal(file: Path) -> FileDigest:
    """Bring a file to the disk and return its digest."""
    with file.open("rb") as opened:
        with contextlib.suppress(OSError):  # Windows flushes only what was opened for writing
            os.fsync(opened.fileno())
        return FileDigest(size=os.fstat(opened.fileno()).st_size, blake3=_blake3(opened))


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _point_at(root: Path, generation: str, digest: str) -> None:
    draft = root / f".{CURRENT}-{os.getpid()}-{time.monotonic_ns()}"
    _write(draft, f"{generation} {digest}\n".encode())
    draft.replace(root / CURRENT)
    _sync_folder(root)


def _sync_folder(folder: Path) -> None:
    # Windows cannot open a folder; there the rename itself is journalled.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prune(root: Path, *, keep: str) -> None:
    """Remove superseded generations but the last; mapped files stay readable until they are let go."""
    older = [name for name in generations(root) if name < keep]
    for name in older[: len(older) - (_KEEP - 1)]:
        shutil.rmtree(root / name, ignore_errors=True)
    for draft in root.glob(".draft-*"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > _ABANDONED:
                shutil.rmtree(draft, ignore_errors=True)


# ------------------------------------------------------------------------------------------------ reading


def _settled(root: Path, read: Callable[[], _T]) -> _T:
    """Return what ``read`` gives; do it again where another process swapped and pruned generations meanwhile."""
    for _ in range(_TRIES):
        pointer = _read_pointer(root)
        try:
            return read()
        except DamagedIndex:
            if _read_pointer(root) == pointer:
                raise
    return read()


def current_pointer(root: Path) -> tuple[str, str] | None:
    """Return the name of the current generation and the SHA-256 of its manifest; None where there is none."""
    return _read_pointer(root)


def _trusted(root: Path, expect: Mapping[str, Any], vouches: Callable[[str, str], bool]) -> Manifest | None:
    pointer, manifest = _read_pointer(root), _current(root)
    if manifest is None or pointer is None:
        return None
    if not vouches(*pointer):
        raise DamagedIndex(f"{root / pointer[0]} is not of this catalogue, or of a past that it has not; {_REBUILD}")
    _refuse_foreign(manifest, expect)
    return manifest


def _open(root: Path, expect: Mapping[str, Any], vouches: Callable[[str, str], bool]) -> tuple[Index, Manifest] | None:
    manifest = _trusted(root, expect, vouches)
    if manifest is None:
        return None
    folder = root / manifest.generation
    _verify_files(folder, manifest)
    try:
        made = resolve_index(manifest.kind)
        index = made(**(made.stored_params(manifest.params) if issubclass(made, RowIndex) else manifest.params))
    except (UnknownName, TypeError, ValueError) as error:
        raise DamagedIndex(f"{folder} is of a kind this Sosie cannot read ({error}); {_REBUILD}") from error
    try:
        index.load(str(folder))
    except (RuntimeError, ValueError, OSError) as error:
        raise DamagedIndex(f"{folder} cannot be loaded ({error}); {_REBUILD}") from error
    return index, manifest


def _current(root: Path) -> Manifest | None:
    pointer = _read_pointer(root)
    if pointer is None:
        return None
    generation, digest = pointer
    path = root / generation / MANIFEST
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DamagedIndex(f"{path} is missing or cannot be read; {_REBUILD}") from error
    if hashlib.sha256(raw).hexdigest() != digest:
        raise DamagedIndex(f"{path} is not what was written; {_REBUILD}")
    return _parse(path, raw)


def _read_pointer(root: Path) -> tuple[str, str] | None:
    path = root / CURRENT
    try:
        words = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        if generations(root):
            raise DamagedIndex(f"{path} is missing though there are generations; {_REBUILD}") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedIndex(f"{path} cannot be read; {_REBUILD}") from error
    if len(words) != 2 or not words[0].isdigit():
        raise DamagedIndex(f"{path} does not name a generation; {_REBUILD}")
    return words[0], words[1]


def _parse(path: Path, raw: bytes) -> Manifest:
    try:
        return Manifest.from_json(raw.decode())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedIndex(f"{path} cannot be used ({error}); {_REBUILD}") from error


def _refuse_foreign(manifest: Manifest, expect: Mapping[str, Any]) -> None:
    for name, wanted in expect.items():
        found = getattr(manifest, name)
        fits = found <= wanted if name == "covers" else found == wanted
        if not fits:
            raise DamagedIndex(
                f"the index is another library's or embedder's ({name} is {found}, not {wanted}); {_REBUILD}"
            )


def _verify_files(folder: Path, manifest: Manifest) -> None:
    try:
        present = {each.name for each in folder.iterdir()} - {MANIFEST}
    except OSError as error:
        raise DamagedIndex(f"{folder} is missing or cannot be read; {_REBUILD}") from error
    if present != set(manifest.files):
        odd = sorted(present ^ set(manifest.files))
        raise DamagedIndex(f"{folder} has missing or extra files ({', '.join(odd)}); {_REBUILD}")
    for name, digest in manifest.files.items():
        if not file_is(folder / name, digest):
            raise DamagedIndex(f"{folder / name} is damaged; {_REBUILD}")


def file_is(path: Path, digest: FileDigest) -> bool:
    """Say whether a file has that size and digest; one that was read and is unchanged is not read again."""
    try:
        with path.open("rb") as opened:
            return _read_is(opened, digest)
    except OSError as error:
        raise DamagedIndex(f"{path} cannot be read; {_REBUILD}") from error


def _read_is(opened: BufferedReader, digest: FileDigest) -> bool:
    about = os.fstat(opened.fileno())
    if about.st_size != digest.size:
        return False
    wanted, digest_of = (digest.blake3, _blake3) if digest.blake3 else (digest.sha256, _sha256)
    key = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns, bool(digest.blake3))
    with _guard:
        known = _verified.get(key)
    if known is None:
        known = digest_of(opened)
    # A file changed within the clock's grain keeps its times, so a fresh one is not remembered.
    if known == wanted and time.time_ns() - about.st_mtime_ns > _SETTLED:
        with _guard:
            _verified[key] = known
    return known == wanted


def _sha256(opened: BufferedReader) -> str:
    # Read, not mapped: a mapped file would count as this process's memory.
    return hashlib.file_digest(opened, "sha256").hexdigest()


def _blake3(opened: BufferedReader) -> str:
    import blake3  # only who opens an index needs it

    hasher = blake3.blake3()
    block = memoryview(bytearray(_BLOCK))
    while read := opened.readinto(block):
        hasher.update(block[:read])
    return hasher.hexdigest()
