"""Vectors like real embeddings, in any number: what the index benchmark and its tests search.

The shape was matched to 3,900 real pictures under the bundled embedder (``python benchmarks/vectors.py REAL.npy``
prints both sides): the spectrum of the covariance, the cosine of the nearest and the tenth neighbour, and the local
intrinsic dimension (Levina and Bickel, 2004), all on samples of equal size, since each depends on it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

DIM = 256

# Fitted against the figures that main() prints.
MEAN = 0.9  # embeddings lie in a cone
THEMES = 80
PER_THING = 25
SPECTRUM = 0.53
THING = 1.2
PICTURE = 1.45


def embedding_like(n: int, *, dim: int = DIM, seed: int = 0) -> np.ndarray:
    """Return ``n`` unit vectors (n, dim) float32: clusters within clusters, each with a decaying spectrum."""
    rng = np.random.default_rng(seed)
    scale = np.arange(1, dim + 1, dtype=np.float32) ** -SPECTRUM
    turn = np.linalg.qr(rng.standard_normal((dim, dim), dtype=np.float32))[0]
    themes = rng.standard_normal((THEMES, dim), dtype=np.float32)
    things = themes[rng.integers(0, THEMES, n // PER_THING + 1)]
    things = things + THING * rng.standard_normal(things.shape, dtype=np.float32)
    points = np.empty((n, dim), np.float32)
    # Of each thing there are a few pictures; how much they differ varies from thing to thing.
    for start in range(0, n, 100_000):
        chosen = rng.integers(0, len(things), min(100_000, n - start))
        noise = rng.standard_normal((len(chosen), dim), dtype=np.float32)
        points[start : start + len(chosen)] = things[chosen] + PICTURE * noise
    points = points * scale
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points[:, -1] += MEAN
    points = points @ turn.T
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points


def given_or_drawn(path: Path | None, n: int) -> np.ndarray:
    """Return the unit vectors (n, dim) of an .npz of `sosie export-vectors`, or ``n`` drawn ones."""
    if path is None:
        return embedding_like(n)
    vectors = np.load(path, allow_pickle=False)["vectors"].astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def describe(vectors: np.ndarray, *, sample: int = 4_000) -> dict[str, float]:
    """Return figures of shape for a sample of ``vectors``."""
    rng = np.random.default_rng(1)
    some = vectors[rng.permutation(len(vectors))[:sample]].astype(np.float64)
    spectrum = np.linalg.eigvalsh(np.cov(some.T))[::-1]
    share = np.cumsum(spectrum) / spectrum.sum()
    cosines = some @ some.T
    np.fill_diagonal(cosines, -1)
    near = -np.sort(-cosines, axis=1)[:, :20]
    far = np.sqrt(np.maximum(2 - 2 * near, 1e-9))
    local = 1 / np.log(far[:, -1:] / far[:, :-1]).mean(axis=1)
    return {
        "variance in 8 axes": share[7],
        "variance in 32 axes": share[31],
        "variance in 128 axes": share[127],
        "mean cosine": float(cosines.mean()),
        "nearest cosine, median": float(np.median(near[:, 0])),
        "10th cosine, median": float(np.median(near[:, 9])),
        "10th cosine, 10th percentile": float(np.percentile(near[:, 9], 10)),
        "10th cosine, 90th percentile": float(np.percentile(near[:, 9], 90)),
        "local intrinsic dimension": float(np.median(local)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path, help="real vectors (n, 256) as .npy")
    real = describe(np.load(parser.parse_args().real))
    ours = describe(embedding_like(4_000))
    for name, value in real.items():
        print(f"{name:32} real {value:7.3f}  ours {ours[name]:7.3f}")


if __name__ == "__main__":
    main()
