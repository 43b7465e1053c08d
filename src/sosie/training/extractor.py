"""The network that is trained: pixels → blocks → head → embedding; and as it is exported."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sosie.errors import UsageError
from sosie.training.heads import CodeHead, DenseHead, OwnHead, added_convolutions
from sosie.training.layers import Layer, dense_part
from sosie.training.settings import Settings
from sosie.training.starts import Start

__all__ = ["DIM", "Exported", "Extractor", "make_extractor"]

DIM = 256  # of an embedding where nobody said


class Extractor(nn.Module):
    """Map RGB pictures (n, 3, side, side) in 0..255 to embeddings (n, dim), not of unit length."""

    mean: Tensor
    std: Tensor

    def __init__(self, start: Start, head: OwnHead | DenseHead | CodeHead) -> None:
        super().__init__()
        self.trunk, self.head = start.trunk, head
        self.register_buffer("mean", torch.tensor(start.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(start.std).view(1, 3, 1, 1))

    @property
    def dim(self) -> int:
        """The length of the embedding."""
        return self.head.dim

    def still(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the blocks that do not learn give: a map and pooled features."""
        x = (pictures - self.mean) / self.std
        return self.trunk.still(x.contiguous(memory_format=torch.channels_last))

    def learning(self, featuremap: Tensor, pooled: Tensor) -> Tensor:
        """Return embeddings (n, dim) from what ``still`` gave."""
        raw: Tensor = self.head(self.trunk.learning(featuremap, pooled)[1])
        return raw

    def forward(self, pictures: Tensor) -> Tensor:
        return self.learning(*self.still(pictures))

    def train(self, mode: bool = True) -> Extractor:
        """Train the head; the trunk's normalisation keeps its statistics."""
        super().train(mode)
        self.trunk.eval()
        for block in self.trunk.own:
            block.train(mode)
        return self


def make_extractor(start: Start, settings: Settings) -> Extractor:
    """Join a start and the head that was asked for, with the right layers free to learn."""
    start.trunk.unfreeze(settings.unfreeze)
    if any(str(layer).startswith("conv") for layer in settings.head):
        _add_convolutions(start, settings.head)
    with torch.no_grad():
        width = start.trunk(torch.zeros(1, 3, start.side, start.side))[1].shape[1]
    head: OwnHead | DenseHead | CodeHead
    if settings.head or start.head is None:
        last = settings.bits if settings.recipe == "hash" else DIM
        head = DenseHead(width, dense_part(settings.head) or (last,), dropout=settings.dropout)
    elif settings.recipe == "hash":
        head = CodeHead(start.head, settings.bits)
        start.head.requires_grad_(settings.unfreeze > 0)
    else:
        head = start.head
        head.dropout.p = settings.dropout
    return Extractor(start, head)


def _add_convolutions(start: Start, layers: Sequence[Layer]) -> None:
    """Put the convolutions of a head behind the backbone; they alone are pooled then."""
    with torch.no_grad():
        featuremap = start.trunk(torch.zeros(1, 3, start.side, start.side))[0]
    if featuremap.ndim != 4:
        raise UsageError(f"{start.name} gives tokens and no map: a head for it has no convolution")
    start.trunk.append(added_convolutions(layers, featuremap.shape[1]))


class Exported(nn.Module):
    """An extractor as it is shipped: embeddings of unit length, the last map, and probabilities of classes."""

    def __init__(self, extractor: Extractor, classes: nn.Module | None) -> None:
        super().__init__()
        self.extractor, self.classes = extractor, classes

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return embeddings (n, dim), maps (n, c, h, w), and probabilities (n, classes) where there are classes."""
        net = self.extractor
        featuremap, pooled = net.trunk((image - net.mean) / net.std)
        unit = F.normalize(net.head(pooled), dim=1)
        outputs = (unit, featuremap)
        return outputs if self.classes is None else (*outputs, self.classes(unit))
