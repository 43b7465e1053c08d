"""Train the vocabulary of visual words that ships as ``sosie/verify/vocabulary.npz``.

    python recipes/calibration/vocabulary.py PICTURES… --out src/sosie/verify/vocabulary.npz

The shipped one was trained on 1,875 photographs, paintings and product shots of the training pool (860,101 descriptors,
of which 300,000 were drawn), none of which is in an evaluation pack.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import faiss
import numpy as np
from PIL import Image

from sosie.types import Picture
from sosie.verify.features import RootSift

SAMPLE = 300_000
COMPONENTS = 64
CENTRES = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    descriptors = np.concatenate([_descriptors(path) for path in sorted(options.folder.rglob("*.jpg"))])
    chosen = np.random.default_rng(0).choice(len(descriptors), min(SAMPLE, len(descriptors)), replace=False)
    rows = descriptors[chosen].astype(np.float32) / 512
    mean = rows.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((rows - mean).T))
    strongest = axes[:, np.argsort(-variances)[:COMPONENTS]]
    # the two halves get components of equal strength in turn, so that neither index is much coarser
    projection = np.concatenate([strongest[:, 0::2], strongest[:, 1::2]], axis=1).astype(np.float32)
    rotated = ((rows - mean) @ projection).astype(np.float32)
    rotation, _ = np.linalg.qr(np.random.default_rng(7).normal(size=(COMPONENTS, COMPONENTS)))
    np.savez_compressed(
        options.out,
        mean=mean.astype(np.float32),
        projection=projection,
        centres=np.stack([_centres(half) for half in np.split(rotated, 2, axis=1)]),
        rotation=rotation.astype(np.float32),
    )


def _descriptors(path: Path) -> np.ndarray:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return RootSift().extract(Picture(pixels, pixels.shape[1], pixels.shape[0])).descriptors


def _centres(half: np.ndarray) -> np.ndarray:
    kmeans = faiss.Kmeans(half.shape[1], CENTRES, niter=15, seed=1)
    kmeans.train(np.ascontiguousarray(half))
    return kmeans.centroids.astype(np.float32)


if __name__ == "__main__":
    main()
