"""Pictures for the contract suite of sources: planted on disk, and named by a list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sosie.sources.options import SourceOptions
from sosie_plugin_example.source import LinesSource

__all__ = ["plant"]


def plant(folder: Path, pictures: Mapping[str, bytes]) -> LinesSource:
    """Write pictures, name → bytes, and a list of them; return the source of exactly those."""
    for name, data in pictures.items():
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    listed = folder / "list.txt"
    listed.write_text("\n".join(str(folder / "pictures" / name) for name in pictures), "utf-8")
    return LinesSource(f"lines://{listed}", SourceOptions())
