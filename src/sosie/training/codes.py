"""Codes: bits that keep what vectors know. An auto-encoder, a supervised variant, and what both are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sosie.errors import UsageError
from sosie.indexes.binary import itq_planes
from sosie.library import Library
from sosie.training.examples import Examples
from sosie.training.heads import CodeHead
from sosie.training.objective import Objective
from sosie.training.settings import Settings
from sosie.training.triplets import overlap
from sosie.training.ways import Ways
from sosie.types import FloatMatrix

__all__ = ["AutoEncoder", "BitReport", "Supervised", "bit_report", "code_ways", "signs"]

_BALANCED = 0.2  # a bit that is set in 40 to 60 % of the pictures has a mean of at most this
_APART = 0.1  # mean correlation of two bits
_EVEN = 0.1  # weight of balance and decorrelation


class Codes(Objective):
    """What all codes have in common: they are compared bit by bit."""

    def vectors(self, raw: Tensor) -> Tensor:
        """Return signs of unit length, so that the inner product is 1 - 2 × (bits that differ) / bits."""
        size: float = raw.shape[1] ** 0.5
        return (2 * (raw > 0).float() - 1) / size

    def measures(self, raw: Tensor, targets: Tensor) -> Mapping[str, float]:
        found = bit_report(self.vectors(raw).cpu().numpy())
        return {"imbalance": found.imbalance, "correlation": found.correlation}

    def _even(self, codes: Tensor) -> Tensor:
        """Return how uneven and how alike the bits of a batch are (Erin Liong et al., CVPR 2015)."""
        soft = torch.tanh(codes)
        likeness = soft.T @ soft / len(soft)
        apart = likeness - torch.diag(likeness.diagonal())
        uneven: Tensor = soft.mean(0).square().mean() + apart.square().mean()
        return uneven


class AutoEncoder(Codes):
    """Reconstruct the start's embedding from the code: ||x - decode(b)||² + (alpha / N) Σ Σ | |b| - 1 |.

    The encoder begins with the planes of iterative quantisation, the decoder with their transposes.
    """

    def __init__(self, dim: int, settings: Settings) -> None:
        super().__init__()
        self.alpha = settings.alpha
        self.decode: nn.Module = nn.Identity()  # its size is known when the embeddings are seen
        self._bits = dim

    def begin(self, head: nn.Module, raw: Callable[[], Tensor], seen: Tensor, targets: Tensor) -> None:
        """Set encoder and decoder from the start's embeddings of training pictures (n, dim)."""
        if not isinstance(head, CodeHead):
            raise UsageError("an auto-encoder keeps the start's own embedding: take --start bundled without --head")
        begin_encoder(head, seen)
        device = head.code.weight.device
        self.decode = decoder = nn.Linear(self._bits, seen.shape[1]).to(device)
        with torch.no_grad():
            codes = torch.sign(head.code(seen.to(device))).cpu()
            decoder.weight.copy_(torch.linalg.lstsq(codes, seen - seen.mean(0), driver="gelsd").solution.T)
            decoder.bias.copy_(seen.mean(0))

    def loss(self, raw: Tensor, seen: Tensor, targets: Tensor) -> Tensor:
        # the decoder is given bits as they will be; their gradient passes as if they were not rounded
        bits = raw + (torch.where(raw > 0, 1.0, -1.0) - raw).detach()
        rebuilt = (self.decode(bits) - seen).square().sum(1).mean()
        driven = (raw.abs() - 1).abs().sum(1).mean() / raw.shape[1]
        loss: Tensor = rebuilt + self.alpha * driven + _EVEN * self._even(raw)
        return loss


class Supervised(Codes):
    """Deep supervised hashing (Liu et al., CVPR 2016): codes of one class meet, others keep a distance of 2 × bits."""

    def __init__(self, dim: int, settings: Settings) -> None:
        super().__init__()
        self.alpha = settings.alpha

    def begin(self, head: nn.Module, raw: Callable[[], Tensor], seen: Tensor, targets: Tensor) -> None:
        """Set the encoder from the start's embeddings of training pictures (n, dim)."""
        if isinstance(head, CodeHead):
            begin_encoder(head, seen)

    def loss(self, raw: Tensor, seen: Tensor, targets: Tensor) -> Tensor:
        bits = raw.shape[1]
        distance = torch.cdist(raw, raw).square() / bits  # 4 where all bits differ
        alike = overlap(targets)
        apart = torch.triu(torch.ones_like(distance), diagonal=1) > 0
        pairs = alike * distance + (1 - alike) * F.relu(2 - distance)
        driven = (raw.abs() - 1).abs().mean()
        loss: Tensor = 0.5 * pairs[apart].mean() + self.alpha * driven + _EVEN * self._even(raw)
        return loss


def begin_encoder(head: CodeHead, seen: Tensor) -> None:
    """Point the planes of the encoder where iterative quantisation has them; bits beyond the dimensions at random."""
    vectors = seen.numpy()
    most = min(head.dim, vectors.shape[1], len(vectors))
    weights, offsets = itq_planes(vectors, most)
    rest = np.random.default_rng(0).standard_normal((head.dim - most, vectors.shape[1]), dtype=np.float32)
    weights = np.concatenate([weights, rest])
    offsets = np.concatenate([offsets, -rest @ vectors.mean(axis=0)])
    size = np.abs(vectors @ weights.T + offsets).mean(axis=0) + 1e-6
    with torch.no_grad():
        head.code.weight.copy_(torch.from_numpy(weights / size[:, None]))
        head.code.bias.copy_(torch.from_numpy(offsets / size))


# ------------------------------------------------------------------------------------------------ measures


@dataclass(frozen=True, slots=True)
class BitReport:
    """How evenly bits are set (mean and worst |mean of a bit|) and how alike two of them are (mean |r|)."""

    imbalance: float
    worst: float
    correlation: float

    @property
    def balanced(self) -> bool:
        return self.imbalance <= _BALANCED

    @property
    def decorrelated(self) -> bool:
        return self.correlation <= _APART

    def words(self) -> str:
        """Say whether the bits are balanced and decorrelated."""
        balance = "balanced" if self.balanced else "NOT balanced"
        apart = "decorrelated" if self.decorrelated else "NOT decorrelated"
        return (
            f"bits are {balance} (mean |bit mean| {self.imbalance:.3f}, at most {_BALANCED:g} wanted; worst "
            f"{self.worst:.2f}) and {apart} (mean |r| of two bits {self.correlation:.3f}, at most {_APART:g} wanted)"
        )


def bit_report(vectors: FloatMatrix) -> BitReport:
    """Return what the bits of vectors (n, bits) look like; a bit is a sign."""
    bits = np.where(vectors > 0, 1.0, -1.0)
    means = np.abs(bits.mean(axis=0))
    deviation = bits - bits.mean(axis=0)
    size = np.sqrt((deviation**2).sum(axis=0)) + 1e-9
    r = np.abs((deviation / size).T @ (deviation / size))
    n = len(r)
    apart = float((r.sum() - np.trace(r)) / max(1, n * (n - 1)))
    return BitReport(float(means.mean()), float(means.max()), apart)


def signs(vectors: FloatMatrix) -> FloatMatrix:
    """Return the signs of vectors (n, bits) as unit vectors."""
    return np.where(vectors > 0, 1, -1).astype(np.float32) / np.float32(np.sqrt(vectors.shape[1]))


def code_ways(library: Library, examples: Examples, bits: int) -> Ways:
    """Compare codes with the vectors that they stand for, and with codes of equal length that need no training.

    ITQ and the random planes of LSH are fitted to the training pictures' vectors, as an index would be.
    """
    known, vectors = library.vectors()
    learned = vectors[np.isin(known, examples.ids[examples.training])]
    planes: dict[str, Any] = {}
    if bits <= min(vectors.shape[1], len(learned)):
        planes["itq"] = itq_planes(learned, bits)
    drawn = np.random.default_rng(0).standard_normal((bits, vectors.shape[1]), dtype=np.float32)
    planes["lsh"] = (drawn, -drawn @ learned.mean(axis=0))

    def ways(before: FloatMatrix, after: FloatMatrix) -> Mapping[str, FloatMatrix]:
        fitted = {name: signs(before @ w.T + b) for name, (w, b) in planes.items()}
        return {"float": before, **fitted, "learned": signs(after)}

    return ways
