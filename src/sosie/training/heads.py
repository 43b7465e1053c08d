"""From pooled features to an embedding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sosie.training.layers import CONVOLUTION, NORMALISED, Layer, convolution_part

__all__ = ["CodeHead", "DenseHead", "OwnHead", "added_convolutions"]


def added_convolutions(layers: Sequence[Layer], channels: int) -> list[nn.Module]:
    """Return blocks over maps (n, channels, h, w), one for each convolution of a head."""
    blocks: list[list[nn.Module]] = []
    for layer in convolution_part(layers):
        if found := CONVOLUTION.fullmatch(str(layer)):
            blocks.append([nn.Conv2d(channels, int(found[1]), 3, padding=1)])
            channels = int(found[1])
        elif layer == NORMALISED:
            blocks[-1].append(nn.BatchNorm2d(channels))
        else:
            blocks[-1].append(nn.Dropout2d(float(str(layer).removeprefix("dropout"))))
    return [nn.Sequential(*parts, nn.GELU()) for parts in blocks]


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
    """Dense layers over standardised features, the last being the embedding; ``bn`` normalises the one before it.

    ``dropout`` is the share that is left out before each dense layer, where the head does not say its own.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, sizes: Sequence[Layer], *, dropout: float) -> None:
        super().__init__()
        self.dim = int(sizes[-1])
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.layers = nn.Sequential(*_dense_layers(width, sizes, dropout))

    def standardise(self, features: Tensor) -> None:
        """Set mean and scale from features (n, width) of the training pictures."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(1 / (features.std(0, correction=0) + 1e-3))

    def forward(self, features: Tensor) -> Tensor:
        """Return embeddings (n, dim) of features (n, width); not of unit length."""
        raw: Tensor = self.layers((features - self.mean) * self.scale)
        return raw


def _dense_layers(width: int, sizes: Sequence[Layer], dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = []
    own = any(str(layer).startswith("dropout") for layer in sizes)
    for layer, following in zip(sizes, (*sizes[1:], None), strict=True):
        if isinstance(layer, int):
            layers += [*([] if own else [nn.Dropout(dropout)]), nn.Linear(width, layer)]
            width = layer
        elif layer == NORMALISED:
            layers.append(nn.BatchNorm1d(width))
        else:
            layers.append(nn.Dropout(float(layer.removeprefix("dropout"))))
        if len(layers) > 1 and following not in (None, NORMALISED) and not str(layer).startswith("dropout"):
            layers.append(nn.GELU())
    return layers


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
