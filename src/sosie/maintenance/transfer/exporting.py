"""Write a library to a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sosie import files
from sosie.catalogue import Space, Store
from sosie.errors import UsageError
from sosie.maintenance.transfer.files import VERSION, arrow, flat_schema, schema_of, sha256_of, table_of
from sosie.maintenance.transfer.regions import read_regions, region_schema, to_parquet
from sosie.maintenance.transfer.rows import BATCH, Moved, Sums, read_rows, refused

__all__ = ["CARRIED", "export"]

CARRIED = ("library", "copies/calibration", "sight", "fusion")  # records that mean the same on any store


def export(store: Store, folder: Path, *, progress: Callable[[int], None] = lambda _: None) -> Moved:
    """Write a library to ``folder``; raise UsageError where something lies there already."""
    pa, pq = arrow()
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: export to a folder of its own")
    files.make_folder(folder)
    spaces, sums = [space for space in store.spaces() if space.regions == "whole"], Sums()
    schema = schema_of(pa, spaces)
    ids = store.live_ids().tolist()
    with pq.ParquetWriter(folder / "pictures.parquet", schema, compression="zstd") as writer:
        for start in range(0, len(ids), BATCH):
            rows = read_rows(store, ids[start : start + BATCH], spaces)
            for row in rows:
                sums.add("pictures", row.to_json())
            writer.write_table(table_of(pa, schema, rows, spaces))
            progress(start + len(rows))
    parts = _write_regions(store, folder, ids, sums)
    decisions = [asdict(one) for one in store.decisions()]
    unusable = list(refused(store))
    for what, found in (("decisions", decisions), ("quarantine", unusable)):
        for one in found:
            sums.add(what, one)
        pq.write_table(pa.Table.from_pylist(found, schema=flat_schema(pa, what)), folder / f"{what}.parquet")
    moved = sums.moved()
    manifest = {
        "version": VERSION,
        **moved.to_json(),
        "spaces": [_about(space) for space in spaces],
        "regions": [{**_about(space), "regions": space.regions} for space in parts],
        "records": {key: store.record(key) for key in CARRIED},
        "files": {file.name: sha256_of(file) for file in sorted(folder.glob("*.parquet"))},
    }
    files.sync_tree(folder)
    files.write_json(folder / "manifest.json", manifest, indent=1)
    return moved


def _write_regions(store: Store, folder: Path, ids: Sequence[int], sums: Sums) -> list[Space]:
    """Write the regions of pictures, and return their spaces."""
    pa, pq = arrow()
    spaces = {space.name: space for space in store.spaces() if space.regions != "whole"}
    with pq.ParquetWriter(folder / "regions.parquet", region_schema(pa), compression="zstd") as writer:
        for start in range(0, len(ids), BATCH) if spaces else ():
            contents = store.contents(ids[start : start + BATCH])
            found = read_regions(store, {row.sha256: content_id for content_id, row in contents.items()}, spaces)
            for each in found:
                sums.add("regions", each.to_json())
            writer.write_table(to_parquet(pa, found))
    return list(spaces.values())


def _about(space: Space) -> dict[str, Any]:
    return {"name": space.name, "spec": asdict(space.spec), "head": space.head, "dim": space.dim}
