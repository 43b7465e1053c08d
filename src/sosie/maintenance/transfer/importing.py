"""Read an export into a library, and see that it has arrived."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sosie.catalogue import AddContent, AddLocation, AddQuarantine, Change, Space, Store
from sosie.catalogue.specs import read_spec
from sosie.errors import DamagedError
from sosie.maintenance.transfer.exporting import CARRIED
from sosie.maintenance.transfer.files import arrow, read_manifest, row_of
from sosie.maintenance.transfer.regions import from_parquet, read_regions
from sosie.maintenance.transfer.rows import BATCH, Moved, Row, Sums, read_rows, refused
from sosie.types import Head, ImageRef

__all__ = ["load"]


def load(store: Store, folder: Path, *, progress: Callable[[int], None] = lambda _: None) -> Moved:
    """Add what was exported to a library, and compare what it holds then with what was written.

    Running it again changes nothing. Raises NotFound, NewerSchema, DamagedError.
    """
    _, pq = arrow()
    manifest = read_manifest(folder)
    ours = {
        space["name"]: next(
            s for s in store.ensure_spaces(read_spec(json.dumps(space["spec"]))) if s.head == space["head"]
        )
        for space in manifest["spaces"]
    }
    if not store.counts()["pictures"]:
        for key in CARRIED:
            value = manifest["records"].get(key)
            if isinstance(value, Mapping):
                trusted = _without_paths(value) if key == "library" else value
                store.put_record(key, {**(store.record(key) or {}), **trusted})
    sums, done = Sums(), 0
    with store.writing("sosie import"):
        for batch in pq.ParquetFile(folder / "pictures.parquet").iter_batches(batch_size=BATCH):
            rows = [row_of(one, manifest["spaces"]) for one in batch.to_pylist()]
            _write(store, rows, ours)
            for row in _written(store, rows, ours):
                sums.add("pictures", row.to_json())
            done += len(rows)
            progress(done)
        _write_regions(store, folder, manifest.get("regions", []), sums)  # before version 2 there were none
        _write_rest(store, folder, sums)
    return _compared(sums.moved(), manifest)


def _without_paths(record: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out a model that is named by a path: it is somebody else's choice of a file of this machine."""
    return {key: value for key, value in record.items() if not _names_a_path(value)}


def _names_a_path(value: Any) -> bool:
    if isinstance(value, str):
        return value.endswith((".json", ".onnx")) or "/" in value or "\\" in value
    if isinstance(value, Mapping):
        return any(map(_names_a_path, value.values()))
    return isinstance(value, list) and any(map(_names_a_path, value))


def _write(store: Store, rows: Sequence[Row], spaces: Mapping[str, Space]) -> None:
    changes: defaultdict[str, list[Change]] = defaultdict(list)
    for row in rows:
        (uri, root, *stamp), *others = row.places
        vectors = {
            spaces[name].id: np.frombuffer(vector, np.float16).astype(np.float32)
            for name, vector in row.vectors.items()
        }
        ref = ImageRef(uri, row.labels, *stamp)
        changes[root].append(AddContent(row.content, ref, vectors, added_at=row.added_at))
        for uri, root, *stamp in others:
            changes[root].append(AddLocation(row.content.sha256, ImageRef(uri, {}, *stamp)))
    # a picture has to be there before a place below another root can name it
    for wanted in (AddContent, AddLocation):
        for root, some in changes.items():
            if chosen := [change for change in some if isinstance(change, wanted)]:
                store.apply(chosen, root=root)


def _written(store: Store, rows: Sequence[Row], spaces: Mapping[str, Space]) -> list[Row]:
    """Return what the store holds now of these pictures: only what was written, for it may hold more."""
    ids = store.content_ids([row.content.sha256 for row in rows])
    found = {row.content.sha256: row for row in read_rows(store, list(ids.values()), list(spaces.values()))}
    return [_common(found[row.content.sha256], row, spaces) for row in rows if row.content.sha256 in found]


def _common(found: Row, wanted: Row, spaces: Mapping[str, Space]) -> Row:
    """Leave out of ``found`` the places, labels and vectors that the library had besides."""
    names = {spaces[name].name: name for name in wanted.vectors}
    return Row(
        content=found.content,
        added_at=wanted.added_at,  # a picture that was known keeps its own
        places=tuple(place for place in found.places if place[0] in {one[0] for one in wanted.places}),
        labels={name: value for name, value in found.labels.items() if name in wanted.labels},
        vectors={names[name]: vector for name, vector in found.vectors.items() if name in names},
    )


def _write_regions(store: Store, folder: Path, held: Sequence[Mapping[str, Any]], sums: Sums) -> None:
    """Write regions of pictures that have arrived, where they are not there already."""
    _, pq = arrow()
    spaces = {
        one["name"]: store.ensure_spaces(
            read_spec(json.dumps(one["spec"])), regions=one["regions"], heads=[Head(one["head"], one["dim"])]
        )[0]
        for one in held
    }
    for batch in pq.ParquetFile(folder / "regions.parquet").iter_batches(batch_size=BATCH) if held else ():
        wanted = from_parquet(batch.to_pylist())
        ids = store.content_ids([each.sha256 for each in wanted])
        have = {(each.sha256, each.space): each for each in read_regions(store, ids, spaces)}
        lacking = [each for each in wanted if each.sha256 in ids and have.get((each.sha256, each.space)) != each]
        store.replace_regions([(ids[e.sha256], spaces[e.space], e.change(spaces[e.space])) for e in lacking])
        have = {(each.sha256, each.space): each for each in read_regions(store, ids, spaces)}
        for each in wanted:
            if (each.sha256, each.space) in have:
                sums.add("regions", have[each.sha256, each.space].to_json())


def _write_rest(store: Store, folder: Path, sums: Sums) -> None:
    _, pq = arrow()
    for one in pq.read_table(folder / "decisions.parquet").to_pylist():
        store.put_decision(one["a"], one["b"], one["decision"], note=one["note"], at=one["at"])
    wanted = {(one["a"], one["b"]) for one in pq.read_table(folder / "decisions.parquet").to_pylist()}
    for decision in store.decisions():
        if (decision.a, decision.b) in wanted:
            sums.add("decisions", asdict(decision))
    by_root: defaultdict[str, list[Change]] = defaultdict(list)
    places = set()
    for one in pq.read_table(folder / "quarantine.parquet").to_pylist():
        ref = ImageRef(one["uri"], {}, one["size"], one["mtime_ns"], one["inode"])
        by_root[one["root"]].append(AddQuarantine(ref, one["reason"], one["detail"]))
        places.add(one["uri"])
    for root, changes in by_root.items():
        store.apply(changes, root=root)
    for one in refused(store):
        if one["uri"] in places:
            sums.add("quarantine", one)


def _compared(got: Moved, manifest: Mapping[str, Any]) -> Moved:
    """Return what was read where it is what was written; raise DamagedError where it is not."""
    for what, count in manifest["counts"].items():
        if got.counts.get(what, 0) != count:
            raise DamagedError(f"{got.counts.get(what, 0)} of {count} {what} arrived: run `sosie import` again")
        if got.digests.get(what) != manifest["digests"][what]:
            raise DamagedError(f"the {what} that arrived are not those that were exported: run `sosie import` again")
    return got
