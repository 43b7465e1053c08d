"""What `sosie doctor` looks for. Every finding knows how to look again, and most know how to be mended."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import sosie
from sosie.catalogue import AddQuarantine, Space, check
from sosie.catalogue.opening import in_folder
from sosie.errors import BadPicture, DamagedError, SosieError, UsageError
from sosie.files import DRAFT
from sosie.indexes import store
from sosie.maintenance.file_indexes import open_trusted
from sosie.sources.again import KnownPlaces
from sosie.sources.reading import read_uri
from sosie.sources.stamps import stamped
from sosie.sources.uris import MEMBER, path_of_uri
from sosie.types import ImageRef, LabelValue, Picture

__all__ = ["Finding", "examine"]
_DRAFT_KEPT = 3600  # seconds; a younger draft may be one that is being written


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    ``still`` looks again; ``mend`` puts it right, None where only a person can; ``advice`` says what to do otherwise.
    """

    kind: str
    what: str
    detail: str
    advice: str
    still: Callable[[], bool] = lambda: True
    mend: Callable[[], object] | None = None

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "what": self.what, "detail": self.detail, "advice": self.advice}


_AWAY = "mount or connect it; if it was renamed: sosie sources move OLD NEW; if it is no more: sosie sources forget"


def examine(lib: sosie.Library, *, deep: bool = False) -> Iterator[Finding]:
    """Yield all that is wrong with a library, the catalogue first; ``deep`` reads every file."""
    broken = False
    for finding in _guarded(_catalogue, lib):
        broken = True
        yield finding
    if broken:
        return  # nothing that is derived from it can be trusted
    sections = (
        _orphans, _small_rows, _rows, _vectors, _regions, partial(_files, deep=deep), _quarantine, _indexes,
        _thumbnails, _leftovers, _uploads, _watched, _model,
    )  # fmt: skip
    for section in sections:
        yield from _guarded(section, lib)


def _guarded(section: Callable[[sosie.Library], Iterator[Finding]], lib: sosie.Library) -> Iterator[Finding]:
    """Yield what one section finds; what ends it is a finding, too, and the others are still looked at."""
    try:
        yield from section(lib)
    except UsageError:  # asked of a library that has no such thing
        raise
    except Exception as error:  # damage has no list of the exceptions that it causes
        name = getattr(section, "func", section).__name__.strip("_")
        text = str(error) if isinstance(error, SosieError) else f"{type(error).__name__}: {error}"
        yield Finding(
            "unreadable",
            name,
            text,
            "`sosie doctor --fix` mends what causes it, where it can; otherwise `sosie restore DIR`",
            still=lambda: _breaks_off(section, lib),
            mend=lambda: None,  # done by mending the other findings, which come first
        )


def _breaks_off(section: Callable[[sosie.Library], Iterator[Finding]], lib: sosie.Library) -> bool:
    try:
        list(section(lib))
    except Exception:
        return True
    return False


# ------------------------------------------------------------------------------------------------ the catalogue


def _catalogue(lib: sosie.Library) -> Iterator[Finding]:
    catalogue = in_folder(lib.catalogue)
    advice = "`sosie restore DIR` brings a backup back; without one move catalogue.sqlite away and add again"
    try:
        wrong = check.integrity(catalogue)
    except DamagedError as error:
        wrong = [str(error)]
    for text in wrong:
        yield Finding("damaged_catalogue", "catalogue.sqlite", text, advice)


def _orphans(lib: sosie.Library) -> Iterator[Finding]:
    catalogue = in_folder(lib.catalogue)
    for table, count in check.orphans(catalogue).items():
        yield Finding(
            "orphaned_rows",
            table,
            f"{count} rows belong to no picture",
            "sosie doctor --fix deletes them",
            still=lambda table=table: table in check.orphans(catalogue),  # type: ignore[misc]
            mend=lambda table=table: check.drop_orphans(catalogue, table),  # type: ignore[misc]
        )


def _small_rows(lib: sosie.Library) -> Iterator[Finding]:
    """Find rows with a digest of their own that are not what was written."""
    catalogue = in_folder(lib.catalogue)
    for kind, rows in _damaged(lib).items():
        for what in rows:
            yield Finding(
                kind,
                what,
                "the row does not fit its digest",
                "restore a backup, or let `sosie doctor --fix` forget it, then add or say it again",
                still=lambda: any(_damaged(lib).values()),
                mend=lambda: check.drop_damaged(catalogue),
            )


def _damaged(lib: sosie.Library) -> dict[str, list[str]]:
    catalogue = in_folder(lib.catalogue)
    return {
        "damaged_place": [str(uri) for uri in check.damaged_places(catalogue)],
        "damaged_label": [f"picture {i}, {name!r}" for i, name, _ in check.damaged_labels(catalogue)],
        "damaged_decision": [f"{a.hex()[:12]} and {b.hex()[:12]}" for a, b in check.damaged_decisions(catalogue)],
        "damaged_fact": [f"picture {i}, {name!r}" for i, name, _ in check.damaged_facts(catalogue)],
        "damaged_refusal": check.damaged_refusals(catalogue),
        "damaged_record": check.damaged_records(catalogue),
        "damaged_log": [f"entry {entry}" for entry in check.damaged_log(catalogue)],
    }


def _rows(lib: sosie.Library) -> Iterator[Finding]:
    catalogue = in_folder(lib.catalogue)
    for content_id in check.damaged_rows(catalogue):
        yield Finding(
            "damaged_row",
            f"picture {content_id}",
            "its row does not fit its digest",
            "bring its file back, so that it can be read again",
            still=lambda i=content_id: i in set(check.damaged_rows(catalogue)),  # type: ignore[misc]
            mend=lambda i=content_id: _read_anew(lib, i),  # type: ignore[misc]
        )
    for content_id in check.damaged_features(catalogue):
        yield Finding(
            "damaged_features",
            f"picture {content_id}",
            "its local features do not fit their digest",
            "sosie doctor --fix drops them; they are computed when needed",
            still=lambda i=content_id: i in set(check.damaged_features(catalogue)),  # type: ignore[misc]
            mend=lambda i=content_id: check.drop_features(catalogue, i),  # type: ignore[misc]
        )


def _vectors(lib: sosie.Library) -> Iterator[Finding]:
    catalogue = in_folder(lib.catalogue)
    try:
        spaces = lib.spaces
    except SosieError:
        return  # the model is broken, as is said of it
    for space in spaces:
        damaged = set(check.damaged_vectors(catalogue, space.id, space.dim))
        for content_id in sorted(set(check.unusable_vectors(catalogue, space.id)) - damaged):
            yield _unusable(lib, space, content_id)
        lacking = set(check.lacking_vectors(catalogue, space.id))
        for kind, ids in (("damaged_vector", damaged), ("lacking_vector", lacking)):
            for content_id in sorted(ids):
                yield Finding(
                    kind,
                    f"picture {content_id}",
                    f"{'damaged' if kind == 'damaged_vector' else 'not embedded'} in space {space.name}",
                    "bring its file back, so that it can be embedded again",
                    still=lambda i=content_id, s=space: _lacks(lib, s, i),  # type: ignore[misc]
                    mend=lambda i=content_id: _embed_anew(lib, i),  # type: ignore[misc]
                )


def _unusable(lib: sosie.Library, space: Space, content_id: int) -> Finding:
    catalogue = in_folder(lib.catalogue)
    places = ", ".join(uri for uri, _ in lib.catalogue.uris(content_id))
    return Finding(
        "unusable_vector",
        f"picture {content_id}",
        f"its vector in space {space.name} is zero or no number, so that no search finds it ({places})",
        "sosie doctor --fix embeds it again, or puts it in the quarantine as embedding_failed",
        still=lambda: content_id in set(check.unusable_vectors(catalogue, space.id)),
        mend=lambda: _embed_or_refuse(lib, content_id),
    )


def _embed_or_refuse(lib: sosie.Library, content_id: int) -> None:
    """Embed a picture again; where its model fails once more, its places go to the quarantine."""
    catalogue = in_folder(lib.catalogue)
    places = lib.catalogue.uris(content_id)
    check.drop_vectors(catalogue, content_id)
    for uri, root in places:
        if _readable(uri):
            lib.add(KnownPlaces(root, [uri]), again=True, workers=1)
    if not catalogue.has_vectors(content_id, [space.id for space in lib.spaces]):
        for uri, root in places:
            refused = AddQuarantine(stamped(uri), "embedding_failed", "its vector was zero or no number")
            lib.catalogue.apply([refused], root=root)


def _regions(lib: sosie.Library) -> Iterator[Finding]:
    catalogue = in_folder(lib.catalogue)
    for space in catalogue.spaces():
        for content_id in check.damaged_regions(catalogue, space) if space.regions != "whole" else []:
            yield Finding(
                "damaged_regions",
                f"picture {content_id}",
                f"damaged regions in space {space.name}",
                "sosie doctor --fix finds them anew, or removes them where it cannot",
                still=lambda i=content_id, s=space: bool(check.damaged_regions(catalogue, s, of=i)),  # type: ignore[misc]
                mend=lambda i=content_id, s=space: _find_anew(lib, s, i),  # type: ignore[misc]
            )


def _find_anew(lib: sosie.Library, space: Space, content_id: int) -> str | None:
    """Find a picture's regions again; where that cannot be it is better off without, and what is returned says so."""
    catalogue = in_folder(lib.catalogue)
    check.drop_regions(catalogue, space, content_id)
    places = [(uri, root) for uri, root in lib.catalogue.uris(content_id) if _readable(uri)]
    why = "its file is away, or the library does not keep such regions now"
    try:
        if places:
            uri, root = places[0]
            lib.add(KnownPlaces(root, [uri]), again=True, workers=1)
    except SosieError as error:
        why = str(error)
    if not catalogue.regions_of(space, [content_id])[0]:
        kind = space.regions.rpartition(":")[0] or space.regions
        return f"picture {content_id} has no {kind} regions now ({why}): `sosie add FOLDER --regions {kind}` finds them"
    return None


def _lacks(lib: sosie.Library, space: Any, content_id: int) -> bool:
    catalogue = in_folder(lib.catalogue)
    return content_id in check.lacking_vectors(catalogue, space.id) or content_id in set(
        check.damaged_vectors(catalogue, space.id, space.dim)
    )


def _read_anew(lib: sosie.Library, content_id: int) -> None:
    """Forget a row that is not to be trusted, and read its files again; labels are kept."""
    places = lib.catalogue.uris(content_id)
    labels = lib.catalogue.labels_of(content_id)
    with_file = [(uri, root) for uri, root in places if _readable(uri)]
    if not with_file:
        return
    lib.catalogue.remove([content_id])
    for uri, root in with_file:
        _add_again(lib, uri, root, labels)


def _embed_anew(lib: sosie.Library, content_id: int) -> None:
    catalogue = in_folder(lib.catalogue)
    places = [(uri, root) for uri, root in lib.catalogue.uris(content_id) if _readable(uri)]
    if not places:
        return
    check.drop_vectors(catalogue, content_id)
    uri, root = places[0]
    lib.add(KnownPlaces(root, [uri]), again=True, workers=1)


def _readable(uri: str) -> bool:
    try:
        read_uri(uri)
    except SosieError:
        return False
    return True


# ------------------------------------------------------------------------------------------------ the user's files


def _files(lib: sosie.Library, *, deep: bool) -> Iterator[Finding]:
    catalogue = in_folder(lib.catalogue)
    away: set[str] = set()
    for uri, root, _, sha256, stamp in check.places(catalogue):
        path = _path(uri)
        if path is None or _root_away(root, away):
            continue
        status = _stat(path)
        if status is None:
            yield _missing(lib, uri, path)
            continue
        now = ImageRef(uri, {}, status.st_size, status.st_mtime_ns, status.st_ino).stamp
        touched = MEMBER not in uri and now != stamp
        if (deep or touched) and _digest_of(uri) != sha256:
            yield _changed(lib, uri, root)
    for root in sorted(away):
        yield Finding("source_away", root, "cannot be reached; nothing below it was looked at", _AWAY)


def _missing(lib: sosie.Library, uri: str, path: bytes) -> Finding:
    return Finding(
        "missing_file",
        uri,
        "is not there any more",
        "sosie doctor --fix forgets the place",
        still=lambda: lib.catalogue.located(uri) is not None and _stat(path) is None,
        mend=lambda: lib.catalogue.drop_locations([uri]),
    )


def _changed(lib: sosie.Library, uri: str, root: str) -> Finding:
    def still() -> bool:
        located = lib.catalogue.located(uri)
        return located is not None and _digest_of(uri) != located.sha256

    return Finding(
        "changed_file",
        uri,
        "holds other bytes than when it was added",
        "sosie doctor --fix reads it again",
        still=still,
        mend=lambda: _read_again(lib, uri, root),
    )


def _read_again(lib: sosie.Library, uri: str, root: str) -> None:
    """Read a file again; new bytes at the same place keep its labels."""
    before = lib.catalogue.located(uri)
    labels = lib.catalogue.labels_of(before.content_id) if before else {}
    _add_again(lib, uri, root, labels)


def _add_again(lib: sosie.Library, uri: str, root: str, labels: Mapping[str, LabelValue]) -> None:
    lib.add(KnownPlaces(root, [uri]), again=True, workers=1)
    located = lib.catalogue.located(uri)
    if located is not None and labels:
        lib.catalogue.edit_labels([located.content_id], labels)


def _path(uri: str) -> bytes | None:
    """Return the file that a place lies in: an archive for its member, nothing for what is elsewhere."""
    return path_of_uri(uri.partition(MEMBER)[0]) if uri.startswith("file://") else None


def _root_away(root: str, away: set[str]) -> bool:
    """Tell whether a source is out of reach: then its files are not missing, they are not to be seen."""
    path = _path(root)
    if path is None:
        return False
    # A file or an archive that is gone was deleted, unless its whole folder is gone.
    folder = path if root.endswith("/") and MEMBER not in root else os.path.dirname(path)  # noqa: PTH120 - bytes
    if _stat(folder) is None:
        away.add(root)
    return root in away


def _stat(path: bytes) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - bytes
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return os.stat_result((0,) * 10)  # there, but nothing can be said of it


def _digest_of(uri: str) -> bytes:
    try:
        return hashlib.sha256(read_uri(uri)).digest()
    except BadPicture:
        return b""


def _quarantine(lib: sosie.Library) -> Iterator[Finding]:
    for row in lib.quarantine():
        path = _path(row.uri)
        if path is not None and _stat(path) is None:
            yield Finding(
                "stale_quarantine",
                row.uri,
                "was refused and is not there any more",
                "sosie doctor --fix forgets it",
                still=lambda uri=row.uri, path=path: lib.catalogue.quarantined(uri) is not None and _stat(path) is None,  # type: ignore[misc]
                mend=lambda uri=row.uri: lib.catalogue.drop_locations([uri]),  # type: ignore[misc]
            )


# ------------------------------------------------------------------------------------------------ what is derived


def _indexes(lib: sosie.Library) -> Iterator[Finding]:
    root = lib.path / "indexes"
    spaces = {f"{space.id}-{space.head}": space for space in lib.catalogue.spaces()}
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.name in spaces:
            yield from _index(lib, folder, spaces[folder.name])
        elif folder.name[:1].isdigit():
            yield _removable("orphaned_index", lib, folder, "an index of a space that is not in the catalogue")


def _index(lib: sosie.Library, folder: Path, space: Any) -> Iterator[Finding]:
    catalogue = in_folder(lib.catalogue)

    def damage() -> str:
        try:
            open_trusted(lib.path, catalogue, space)
        except SosieError as error:
            return str(error)
        return ""

    def rebuild() -> None:
        store.drop(folder)
        if space.id == lib.space.id:
            lib.indexes.build()

    if text := damage():
        yield Finding(
            "damaged_index", str(folder), text, "sosie index build", still=lambda: bool(damage()), mend=rebuild
        )
    for draft in sorted(folder.glob(".draft-*")):
        yield _removable("leftover", lib, draft, "left by a build that did not end")


def _thumbnails(lib: sosie.Library) -> Iterator[Finding]:
    for path in sorted((lib.path / "thumbnails").glob("*/*")):
        digest = path.name.removesuffix(".jpg")
        if len(digest) != 64 or not path.name.endswith(".jpg"):
            yield _removable("leftover", lib, path, "left by a write that did not end")
        elif lib.catalogue.content_id(_hex(digest)) is None:
            yield _removable("orphaned_thumbnail", lib, path, "of a picture that is not in the catalogue")
        elif _is_damaged_jpeg(path):
            yield _removable("damaged_thumbnail", lib, path, "is no sound JPEG; it is made again when needed")


def _leftovers(lib: sosie.Library) -> Iterator[Finding]:
    places = (("uploads", "*.part"), ("originals", "*/*.part"), ("models", ".*.part"))
    drafts = [path for place, pattern in places for path in (lib.path / place).glob(pattern)]
    old = time.time() - _DRAFT_KEPT
    drafts += [path for path in lib.path.rglob(f"{DRAFT}*") if path.stat().st_mtime < old]
    for path in sorted(drafts):
        yield _removable("leftover", lib, path, "left by a write that did not end")
    for path in sorted((lib.path / "originals").glob("*/*")):
        if path.suffix != ".part" and lib.catalogue.content_id(_hex(path.name)) is None:
            yield _removable("leftover", lib, path, "a download that is no picture of the catalogue")


def _uploads(lib: sosie.Library) -> Iterator[Finding]:
    """Find uploads whose picture is not in the catalogue: it was removed, or never committed."""
    for path in sorted((lib.path / "uploads").glob("*")):
        digest = _hex(path.name.partition(".")[0])
        if path.suffix == ".part" or path.name.startswith(DRAFT) or lib.catalogue.content_id(digest) is not None:
            continue
        yield replace(
            _removable("stray_upload", lib, path, "an upload that is no picture of the catalogue"),
            # by now it may have become one
            still=lambda path=path, digest=digest: path.exists() and lib.catalogue.content_id(digest) is None,  # type: ignore[misc]
        )


def _removable(kind: str, lib: sosie.Library, path: Path, detail: str) -> Finding:
    """Say that a file or folder of the library's own may go."""
    assert path.resolve().is_relative_to(lib.path.resolve())
    return Finding(
        kind,
        str(path.relative_to(lib.path)),
        detail,
        "sosie doctor --fix removes it",
        still=path.exists,
        mend=lambda: _remove(path),
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _hex(text: str) -> bytes:
    with suppress(ValueError):
        return bytes.fromhex(text)
    return b""


def _is_damaged_jpeg(path: Path) -> bool:
    data = path.read_bytes()
    return not (data.startswith(b"\xff\xd8\xff") and data.rstrip(b"\0").endswith(b"\xff\xd9"))


# ------------------------------------------------------------------------------------------------ watch lists, models


def _watched(lib: sosie.Library) -> Iterator[Finding]:
    record = lib.catalogue.record("watch") or {}
    pictures: dict[str, str] = dict(record.get("pictures", {}))

    def is_damaged(digest: str) -> bool:
        try:
            data = (lib.path / "watch" / digest).read_bytes()
        except OSError:
            return True
        return hashlib.sha256(data).hexdigest() != digest

    for name, digest in pictures.items():
        if is_damaged(digest):

            def mend(name: str = name) -> None:
                now = lib.catalogue.record("watch") or {}
                kept = {n: d for n, d in now.get("pictures", {}).items() if n != name}
                lib.catalogue.put_record("watch", {**now, "pictures": kept})

            yield Finding(
                "lost_watch",
                name,
                "the picture that is watched for is gone or damaged",
                "sosie watch add it again",
                still=lambda name=name: name in (lib.catalogue.record("watch") or {}).get("pictures", {}),  # type: ignore[misc]
                mend=mend,
            )


def _model(lib: sosie.Library) -> Iterator[Finding]:
    """Run the network once: weights that are gone, damaged or not what they say are refused there."""
    grey = Picture(np.full((64, 64, 3), 128, np.uint8), 64, 64)
    try:
        lib.embedder.embed([grey])
    except SosieError as error:
        advice = (
            "add or get the model again (sosie models add PACKAGE), or answer with another (sosie models use bundled)"
        )
        yield Finding("unusable_model", lib.models.in_use, str(error), advice)
