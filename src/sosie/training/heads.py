"""From pooled features to an embedding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CodeHead", "DenseHead", "OwnHead"]


class OwnHead(nn.Module):
    """The bundled network's own semantic head: one dense layer.

    Of the last ``roots`` means of the features, those of the last convolution, it takes the square roots.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, roots: int) -> None:
        super().__init__()
        self.dim, width = weight.shape
        self.parts = [width - 2 * roots, roots, roots]
        self.dropout = nn.Dropout(0.0)
        self.semantic = nn.Linear(width, self.dim)
        self.load_state_dict({"semantic.weight": weight, "semantic.bias": bias})

    def forward(self, features: Tensor) -> Tensor:
        """Return embeddings (n, dim) of features (n, width); not of unit length."""
        stages, means, deviations = torch.split(features, self.parts, 1)
        x = torch.cat([stages, means.clamp(min=1e-8).sqrt(), deviations], 1)
        raw: Tensor = self.semantic(self.dropout(x))
        return raw


class DenseHead(nn.Module):
    """Dense layers of the ``sizes`` asked for over standardised features, the last being the embedding."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, sizes: Sequence[int], *, dropout: float) -> None:
        super().__init__()
        self.dim = sizes[-1]
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        layers: list[nn.Module] = []
        for before, after in zip((width, *sizes[:-1]), sizes, strict=True):
            layers += [nn.Dropout(dropout), nn.Linear(before, after), nn.GELU()]
        self.layers = nn.Sequential(*layers[:-1])

    def standardise(self, features: Tensor) -> None:
        """Set mean and scale from features (n, width) of the training pictures."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(1 / (features.std(0, correction=0) + 1e-3))

    def forward(self, features: Tensor) -> Tensor:
        """Return embeddings (n, dim) of features (n, width); not of unit length."""
        raw: Tensor = self.layers((features - self.mean) * self.scale)
        return raw


class CodeHead(nn.Module):
    """One number a bit over the start's own embedding, which stays as it is: its sign is the bit."""

    def __init__(self, own: OwnHead, bits: int) -> None:
        super().__init__()
        self.own, self.dim = own, bits
        self.code = nn.Linear(own.dim, bits)

    def seen(self, features: Tensor) -> Tensor:
        """Return the start's embedding (n, dim), of unit length."""
        return F.normalize(self.own(features), dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return codes (n, bits), driven to -1 and 1."""
        raw: Tensor = self.code(self.seen(features))
        return raw
