"""Find packed pictures that show a picture of an evaluation pack, whatever its size or encoding.

python -m recipes.bundled.leaks --packs PACKS --data FOLDER_OF_EVALUATION_PACKS

Lists keep out files by their hash; public sets share pictures in other sizes, which only their looks tell. Grey
thumbnails of 16 x 16 are compared by correlation, mirrored too. Rows found go to `near_duplicates.npy` of the shard,
which training leaves out. Turntable views and plain white grounds are found too; leaving those out costs nothing.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from recipes.bundled.data import load_shards

__all__ = ["LIKE", "evaluation_pictures", "near_duplicates", "signatures"]

LIKE = 0.985
_SIDE = 16


def signatures(pictures_nchw: Tensor) -> Tensor:
    """Return unit, zero-mean grey thumbnails (n, 256) of pictures (n, 3, h, w)."""
    grey = F.adaptive_avg_pool2d(pictures_nchw.float(), _SIDE).mean(1).flatten(1)
    return F.normalize(grey - grey.mean(1, keepdim=True), dim=1)


def evaluation_pictures(data: Path) -> Tensor:
    """Return the thumbnails (n, 3, 16, 16) of every picture of every pack (a folder with `manifest.csv`)."""
    rows = []
    for manifest in sorted(data.glob("*/manifest.csv")):
        with manifest.open(newline="") as lines:
            for row in csv.DictReader(lines):
                with Image.open(manifest.parent / row["path"]) as image:
                    small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
                rows.append(torch.from_numpy(np.array(small)).permute(2, 0, 1))
    return torch.stack(rows)


def near_duplicates(pictures_nhwc: np.ndarray, evaluation: Tensor, *, like: float = LIKE) -> np.ndarray:
    """Return the rows of a shard that look like a picture of the evaluation packs, mirrored or not."""
    known = torch.cat([signatures(evaluation), signatures(evaluation.flip(3))])
    found = []
    for start in range(0, len(pictures_nhwc), 4096):
        part = torch.from_numpy(np.array(pictures_nhwc[start : start + 4096])).permute(0, 3, 1, 2)
        best = (signatures(part) @ known.T).max(1).values
        found.append(torch.nonzero(best > like).flatten() + start)
    return torch.cat(found).numpy()


def main() -> None:
    """Write the near-duplicates of every shard."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    evaluation = evaluation_pictures(options.data)
    for shard in load_shards(options.packs):
        rows = near_duplicates(shard.pictures, evaluation)
        np.save(options.packs / shard.name / "near_duplicates.npy", rows)
        print(f"{shard.name}: {len(rows)} of {len(shard.pictures)} look like an evaluation picture", flush=True)


if __name__ == "__main__":
    main()
