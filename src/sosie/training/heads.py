"""From pooled features to an embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CodeHead", "DenseHead", "OwnHead"]


class OwnHead(nn.Module):
    """The semantic head that the bundled network was trained with: one hidden layer beside the features."""

    mean: Tensor
    scale: Tensor

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        hidden, width = values["hidden.weight"].shape
        self.dim = len(values["semantic.bias"])
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.hidden = nn.Linear(width, hidden)
        self.semantic = nn.Linear(width + hidden, self.dim)
        self.dropout = nn.Dropout(0.0)
        self.load_state_dict({name: values[name] for name in self.state_dict()})

    def forward(self, features: Tensor) -> Tensor:
        """Return embeddings (n, dim) of features (n, width); not of unit length."""
        x = (features - self.mean) * self.scale
        both = torch.cat([F.gelu(self.hidden(x)), x], 1)
        raw: Tensor = self.semantic(self.dropout(both))
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
