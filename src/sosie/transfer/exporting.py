"""Write a library to a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from sosie.catalogue import Store
from sosie.errors import UsageError
from sosie.transfer.files import VERSION, arrow, flat_schema, schema_of, sha256_of, table_of
from sosie.transfer.rows import BATCH, Moved, Sums, read_rows, refused

__all__ = ["export"]

_CARRIED = ("library", "copies/calibration")  # records that mean the same on any store


def export(store: Store, folder: Path, *, progress: Callable[[int], None] = lambda _: None) -> Moved:
    """Write a library to ``folder``; raise UsageError where something lies there already."""
    pa, pq = arrow()
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: export to a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
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
        "spaces": [{"name": s.name, "spec": asdict(s.spec), "head": s.head, "dim": s.dim} for s in spaces],
        "records": {key: store.record(key) for key in _CARRIED},
        "files": {file.name: sha256_of(file) for file in sorted(folder.glob("*.parquet"))},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return moved
