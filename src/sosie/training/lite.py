"""EfficientNet-Lite in torch: blocks in a row, from the plain convolutions of `sosie.embedders.lite`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sosie.embedders.lite import Block, Conv, LiteNetwork

__all__ = ["layers_of"]


def layers_of(network: LiteNetwork) -> list[list[nn.Module]]:
    """Return the blocks of each stage and the last convolution; the stem lies before those of the first stage.

    Sides of pictures are multiples of 32: then the uneven padding of strides is the same everywhere.
    """
    stages: list[list[nn.Module]] = [[_Residual(block) for block in stage] for stage in network.stages]
    return [[_layer(network.stem), *stages[0]], *stages[1:], [_layer(network.head)]]


class _Residual(nn.Module):
    """A block; what comes in is added where it says so."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.convs = nn.Sequential(*map(_layer, block.convs))
        self.residual = block.residual

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convs(x)
        return x + out if self.residual else out


class _Padded(nn.Conv2d):
    """A convolution of stride 2 that pads an even side as TensorFlow does: one more on the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        less = (self.kernel_size[0] - 2) // 2
        more = self.kernel_size[0] - 2 - less
        out: Tensor = super().forward(F.pad(x, (less, more, less, more)))
        return out


def _layer(conv: Conv) -> nn.Module:
    out, each, kernel, _ = conv.weight.shape
    kind, padding = (_Padded, 0) if conv.stride == 2 else (nn.Conv2d, kernel // 2)
    layer: nn.Conv2d = kind(each * conv.groups, out, kernel, conv.stride, padding, groups=conv.groups)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(conv.weight))
        assert layer.bias is not None
        layer.bias.copy_(torch.from_numpy(conv.bias))
    return nn.Sequential(layer, nn.ReLU6()) if conv.bounded else layer
