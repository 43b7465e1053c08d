"""The inverted file of a library on disk: segments that are written once, listed in one manifest.

    indexes/copies/manifest.json        features, vocabulary, and the segments with the SHA-256 of their files
    indexes/copies/<number>/*.npy       the columns of one segment

It is derived: what does not fit the catalogue or its digests is thrown away and built anew from the stored features.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sosie import files
from sosie.catalogue import Vouched
from sosie.errors import LibraryBusy
from sosie.types import FloatMatrix, Ids
from sosie.verify.features import Features
from sosie.verify.inverted import Segment, build_segment, load_segment, merge, save_segment, search_segments
from sosie.verify.words import Vocabulary

__all__ = ["Ledger", "WordStore", "segments_in"]

_MOST = 1 << 15  # pictures of one segment
_PREFIX = "indexes/copies/"
_BLOCK = 2048  # pictures whose features are in memory at once


class Ledger(Protocol):
    """What remembers which segments go with a catalogue; None where ids cannot be given out twice."""

    def vouch(self, files: Sequence[Vouched], *, withdraw: Sequence[str] = ()) -> None: ...
    def vouched(self, *, below: str = "") -> dict[str, Vouched]: ...
    def vouches(self, name: str, digest: str) -> bool: ...


class WordStore:
    """Which pictures share local features with a query; kept beside the catalogue, grown segment by segment."""

    def __init__(self, folder: Path, *, version: str, vocabulary: Vocabulary, ledger: Ledger | None = None) -> None:
        self._folder = folder
        self._ledger = ledger
        self._name = {"features": version, "vocabulary": vocabulary.digest}
        self._vocabulary = vocabulary
        self._segments: list[Segment] = []
        self._folders: list[dict[str, Any]] = []
        self._load()

    def __len__(self) -> int:
        return sum(len(segment) for segment in self._segments)

    @property
    def ids(self) -> Ids:
        """The pictures that are indexed, in the order they came."""
        return np.concatenate([np.empty(0, np.int64), *(segment.ids for segment in self._segments)])

    def update(self, ids: Ids, features: Callable[[Sequence[int]], Mapping[int, Features]], *, write: bool) -> int:
        """Index those of ``ids`` (sorted) that are not yet; ``features`` is asked for blocks of them."""
        missing = np.setdiff1d(ids, self.ids)
        for start in range(0, len(missing), _BLOCK):
            block = missing[start : start + _BLOCK]
            found = features(block.tolist())
            have = np.array([i for i in block.tolist() if i in found], np.int64)
            if len(have):
                self._append(build_segment(have, [found[i] for i in have.tolist()], self._vocabulary))
        if write and len(missing):
            with contextlib.suppress(
                OSError, LibraryBusy
            ):  # derived: where it cannot be written it is built anew the next time
                self._save()
        return len(missing)

    def search(self, query: Features, *, k: int) -> tuple[Ids, FloatMatrix]:
        """Return the ids and scores of the k pictures that share most with the query, best first."""
        return search_segments(self._segments, query, self._vocabulary, k=k)

    def _append(self, segment: Segment) -> None:
        self._segments.append(segment)
        self._folders.append({})
        while len(self._segments) > 1 and 2 * len(self._segments[-1]) > len(self._segments[-2]):
            if len(self._segments[-1]) + len(self._segments[-2]) > _MOST:
                break
            self._segments[-2:] = [merge(self._segments[-2], self._segments[-1])]
            self._folders[-2:] = [{}]

    def _save(self) -> None:
        files.make_folder(self._folder)
        for at, segment in enumerate(self._segments):
            if not self._folders[at]:
                self._folders[at] = self._write(segment)
        kept = {entry["folder"] for entry in self._folders}
        if self._ledger is not None:
            gone = [name for name in self._ledger.vouched(below=_PREFIX) if name.removeprefix(_PREFIX) not in kept]
            self._ledger.vouch([_vouched(entry) for entry in self._folders], withdraw=gone)
        files.write_json(self._folder / "manifest.json", {**self._name, "segments": self._folders}, indent=1)
        for old in self._folder.iterdir():
            if old.is_dir() and old.name.isdigit() and old.name not in kept:
                shutil.rmtree(old, ignore_errors=True)

    def _write(self, segment: Segment) -> dict[str, Any]:
        number = 1 + max((int(p.name) for p in self._folder.iterdir() if p.name.isdigit()), default=0)
        while True:
            folder = self._folder / f"{number:06d}"
            try:
                folder.mkdir()
                break
            except FileExistsError:  # another process was faster
                number += 1
        save_segment(segment, folder)
        files.sync_tree(folder)
        return {"folder": folder.name, "files": {file.name: _digest(file) for file in sorted(folder.iterdir())}}

    def _load(self) -> None:
        try:
            manifest = json.loads((self._folder / "manifest.json").read_text(encoding="utf-8"))
            if {key: manifest[key] for key in self._name} != self._name:
                return
            loaded = [self._open(entry) for entry in manifest["segments"]]
        except (OSError, ValueError, KeyError, TypeError):
            return  # nothing there, or damaged: it is built anew
        self._segments, self._folders = loaded, list(manifest["segments"])

    def _open(self, entry: Mapping[str, Any]) -> Segment:
        folder = self._folder / str(entry["folder"])
        known = _vouched(entry)
        if self._ledger is not None and not self._ledger.vouches(known.name, known.digest):
            raise ValueError(f"{folder.name} is of another past of the catalogue")
        for name, digest in entry["files"].items():
            if _digest(folder / name) != digest:
                raise ValueError(f"{name} is damaged")
        return load_segment(folder)


def segments_in(folder: Path) -> list[Vouched]:
    """Return the segments that a folder lists, whoever wrote them; none where the list cannot be read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return [_vouched(entry) for entry in manifest["segments"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _vouched(entry: Mapping[str, Any]) -> Vouched:
    """Return what the catalogue remembers of a segment: its name, and one digest of the digests of its files."""
    text = json.dumps(entry["files"], sort_keys=True)
    return Vouched(f"{_PREFIX}{entry['folder']}", "segment", hashlib.sha256(text.encode()).hexdigest())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
