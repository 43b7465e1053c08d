"""The files of an export: Parquet, and a manifest with the SHA-256 of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sosie.catalogue import ContentRow, Space
from sosie.errors import DamagedError, NewerSchema, NotFound
from sosie.extras import missing
from sosie.maintenance.transfer.rows import LATER, Row

__all__ = ["VERSION", "arrow", "flat_schema", "read_manifest", "row_of", "schema_of", "sha256_of", "table_of"]

VERSION = 2  # 2: with regions


def read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        version, files = int(manifest["version"]), dict(manifest["files"])
    except FileNotFoundError as error:
        raise NotFound(f"there is no manifest.json in {folder}: `sosie export` writes one") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{folder / 'manifest.json'} cannot be understood: export again") from error
    if version > VERSION:
        raise NewerSchema(f"{folder} was exported by a newer Sosie (version {version}, this one knows {VERSION})")
    for name, digest in files.items():
        if not (folder / name).exists() or sha256_of(folder / name) != digest:
            raise DamagedError(f"{folder / name} is missing or damaged: export again, or copy it again")
    return manifest


def arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise missing("Parquet needs pyarrow", "parquet") from error
    return pa, pq


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_FACTS = ("size", "format", "width", "height", "pdq_quality")
_DIGESTS = ("sha256", "pixels", "pdq")


def schema_of(pa: Any, spaces: Sequence[Space]) -> Any:
    place = [("uri", pa.string()), ("root", pa.string())]
    place += [(name, pa.int64()) for name in ("size", "mtime_ns", "inode")]
    fields = [(name, pa.string()) for name in _DIGESTS]
    fields += [(name, pa.string() if name == "format" else pa.int64()) for name in _FACTS]
    fields += [("pixels_version", pa.int64()), ("frames", pa.int64()), ("repaired", pa.string())]
    fields += [("added_at", pa.float64()), ("places", pa.list_(pa.struct(place))), ("labels", pa.string())]
    fields += [(f"vector {space.name}", pa.list_(pa.float16(), space.dim)) for space in spaces]
    return pa.schema(fields)


def flat_schema(pa: Any, what: str) -> Any:
    texts = {"decisions": ("a", "b", "decision", "note"), "quarantine": ("uri", "reason", "detail", "root")}[what]
    numbers = (
        [("at", pa.float64())] if what == "decisions" else [(n, pa.int64()) for n in ("size", "mtime_ns", "inode")]
    )
    return pa.schema([*((name, pa.string()) for name in texts), *numbers])


def table_of(pa: Any, schema: Any, rows: Sequence[Row], spaces: Sequence[Space]) -> Any:
    names = ("uri", "root", "size", "mtime_ns", "inode")
    plain = [row.to_json() for row in rows]
    for one, row in zip(plain, rows, strict=True):
        one["labels"] = json.dumps(one["labels"], sort_keys=True)
        one["places"] = [dict(zip(names, place, strict=True)) for place in row.places]
        for space in spaces:
            vector = row.vectors.get(space.name)
            one[f"vector {space.name}"] = None if vector is None else np.frombuffer(vector, np.float16)
    return pa.Table.from_pylist(plain, schema=schema)


def row_of(one: Mapping[str, Any], spaces: Iterable[Mapping[str, Any]]) -> Row:
    digests: dict[str, Any] = {name: None if one[name] is None else bytes.fromhex(one[name]) for name in _DIGESTS}
    labels = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(one["labels"]).items()}
    vectors = {space["name"]: one[f"vector {space['name']}"] for space in spaces}
    later = {name: unknown if one.get(name) is None else one[name] for name, unknown in LATER.items()}
    return Row(
        content=ContentRow(**digests, **{name: one[name] for name in _FACTS}, **later),
        added_at=one["added_at"],
        places=tuple(tuple(place.values()) for place in one["places"]),
        labels=labels,
        vectors={name: np.asarray(v, np.float16).tobytes() for name, v in vectors.items() if v is not None},
    )
