"""Views of pictures as the still blocks see them, on disk: an epoch then costs only the blocks that learn.

Memory holds one batch; the files are mapped, and the system keeps of them what it has room for.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sosie import files
from sosie.arrays import load_array
from sosie.errors import DiskFull, NotFound
from sosie.library import Library
from sosie.training.examples import Rows
from sosie.training.extractor import Extractor
from sosie.training.pictures import inputs_of
from sosie.training.views import vary
from sosie.types import FloatMatrix, Ids, Pixels, Preprocessing

__all__ = ["Store", "make_store"]

_CHUNK = 64
_SPARE = 256 * 2**20  # bytes that are left free on the disk

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Store:
    """``first`` and ``count`` (n,) say where the views of each picture lie; the first view is the picture as it is.

    ``maps`` are what the still blocks give, half precision, or the pixels where no block is still, in which case
    views are made afresh; ``pooled`` is what was pooled on the way; ``seen`` the start's own embeddings. A picture that
    could not be read has no view.
    """

    maps: npt.NDArray[Any]
    pooled: FloatMatrix
    seen: FloatMatrix
    first: Rows
    count: Rows
    refused: Mapping[str, int]

    def readable(self, rows: Rows) -> Rows:
        """Return those of some pictures that could be read."""
        return rows[self.count[rows] > 0]

    def batch(self, rows: Rows, chance: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps, pooled features and the start's embeddings of pictures: a view by chance, else as they are."""
        at = self.first[rows]
        if chance is not None:
            drawn = torch.rand(len(rows), generator=chance).numpy()
            at = at + (drawn * self.count[rows]).astype(np.int64)
        maps = torch.from_numpy(self.maps[at])
        if self.pixels:
            maps = maps.permute(0, 3, 1, 2).float()
            maps = vary(maps, chance) if chance is not None else maps
        return maps, torch.from_numpy(self.pooled[at]), torch.from_numpy(self.seen[at])

    @property
    def pixels(self) -> bool:
        """Whether pixels are stored, because no block is still."""
        return self.maps.dtype == np.uint8


def make_store(
    library: Library,
    ids: Ids,
    *,
    views: Sequence[int],
    extractor: Extractor,
    preprocessing: Preprocessing,
    folder: Path,
    key: Mapping[str, Any],
    seed: int,
    read: Callable[[int], bytes] | None = None,
    progress: Report = lambda _done, _all: None,
) -> Store:
    """Decode pictures as ingest does and store ``views[i]`` views of the i-th; what is stored already is used again.

    A picture that cannot be read is counted and left out. Raises DiskFull before anything is decoded where there is no
    room, NotFound where nothing can be read.
    """
    wanted = {**key, "pictures": ids.tolist(), "views": list(views)}
    known = _open(folder, wanted)
    if known is not None:
        return known
    count = np.minimum(np.asarray(views, np.int64), 1 if extractor.trunk.cut == 0 else 1 << 30)
    first = np.concatenate([[0], np.cumsum(count)])
    writer = _Writer(folder, extractor, side=preprocessing.side, rows=int(first[-1]))
    refused: dict[str, int] = {}
    done = 0
    chunk: list[tuple[int, Pixels]] = []

    def flush() -> None:
        chance = torch.Generator().manual_seed(seed + done)
        writer.write([(int(first[row]), int(count[row]), pixels) for row, pixels in chunk], chance)
        chunk.clear()

    for row, found in inputs_of(library, ids, preprocessing, read=read):
        done += 1
        if isinstance(found, str):
            refused[found] = refused.get(found, 0) + 1
            count[row] = 0
        else:
            chunk.append((row, found))
        if len(chunk) == _CHUNK:
            flush()
        progress(done, len(ids))
    if chunk:
        flush()
    if not count.any():
        raise NotFound(f"none of the {len(ids)} pictures can be read ({_counted(refused)}): {_advice(refused)}")
    return writer.close(first[:-1], count, refused, wanted)


# ------------------------------------------------------------------------------------------------ files


class _Writer:
    """Runs the still blocks over views and writes what they give."""

    def __init__(self, folder: Path, extractor: Extractor, *, side: int, rows: int) -> None:
        self._net, self._folder = extractor, folder
        self._device = next(extractor.parameters()).device
        self._pixels = extractor.trunk.cut == 0
        with torch.no_grad():
            featuremap, pooled = extractor.still(torch.zeros(1, 3, side, side, device=self._device))
            seen = self._seen(featuremap, pooled)
        # a map that nothing is left to do with need not be kept
        shape = (side, side, 3) if self._pixels else tuple(featuremap.shape[1:]) if extractor.trunk.needs_map else (0,)
        kinds = {
            "maps": (shape, np.uint8 if self._pixels else np.float16),
            "pooled": (tuple(pooled.shape[1:]), np.float32),
            "seen": (tuple(seen.shape[1:]), np.float32),
        }
        need = rows * sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in kinds.values())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "store.json").unlink(missing_ok=True)
        free = shutil.disk_usage(folder).free
        if need + _SPARE > free:
            raise DiskFull(
                f"views of the pictures take {need / 2**30:.1f} GiB and {folder} has {free / 2**30:.1f} GiB free: "
                "take fewer --views, unfreeze fewer layers, or write to another disk with --out"
            )
        self._arrays = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype=kind, shape=(rows, *shape))
            for name, (shape, kind) in kinds.items()
        }

    @torch.no_grad()
    def write(self, items: Sequence[tuple[int, int, Pixels]], chance: torch.Generator) -> None:
        pictures = torch.from_numpy(np.stack([pixels for _, _, pixels in items])).permute(0, 3, 1, 2)
        most = max(count for _, count, _ in items)
        for view in range(most):
            chosen = [at for at, (_, count, _) in enumerate(items) if view < count]
            rows = np.array([items[at][0] + view for at in chosen])
            shown = pictures[chosen].float()
            shown = vary(shown, chance) if view else shown
            featuremap, pooled = self._net.still(shown.to(self._device))
            self._arrays["pooled"][rows] = pooled.cpu().numpy()
            self._arrays["seen"][rows] = self._seen(featuremap, pooled).cpu().numpy()
            if self._pixels:
                self._arrays["maps"][rows] = np.stack([items[at][2] for at in chosen])
            elif self._net.trunk.needs_map:
                self._arrays["maps"][rows] = featuremap.cpu().numpy().astype(np.float16)

    def _seen(self, featuremap: Tensor, pooled: Tensor) -> Tensor:
        """Return the start's embedding, of unit length; its width is 0 where the start has none."""
        head = self._net.head
        if hasattr(head, "semantic") or hasattr(head, "own"):
            own = getattr(head, "own", head)
            return torch.nn.functional.normalize(own(self._net.trunk.learning(featuremap, pooled)[1]), dim=1)
        return pooled.new_zeros((len(pooled), 0))

    def close(self, first: Rows, count: Rows, refused: Mapping[str, int], key: Mapping[str, Any]) -> Store:
        for array in self._arrays.values():
            array.flush()
        np.save(self._folder / "first.npy", first)
        np.save(self._folder / "count.npy", count)
        files.write_json(self._folder / "store.json", {"key": key, "refused": refused}, indent=None)
        found = _open(self._folder, key)
        assert found is not None
        return found


def _open(folder: Path, key: Mapping[str, Any]) -> Store | None:
    try:
        known = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if known["key"] != json.loads(json.dumps(key)):
        return None
    big = {n: load_array(folder / f"{n}.npy", mapped=True) for n in ("maps", "pooled", "seen")}
    small = {n: load_array(folder / f"{n}.npy") for n in ("first", "count")}
    return Store(**big, **small, refused=known["refused"])


def _advice(refused: Mapping[str, int]) -> str:
    if "private_address" in refused:
        return "addresses of your own network are reached with --allow-private"
    if refused.keys() <= {"away"}:
        return "add their folders again"
    return "bring their servers or folders back; `sosie add --keep-originals` keeps what is downloaded"


def _counted(refused: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
