"""The layers of a head as people write them: conv512,bn,1024,dropout0.3,256. No torch here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

__all__ = ["CONVOLUTION", "NORMALISED", "Layer", "convolution_part", "dense_part", "read_head", "wrong_in_head"]

Layer: TypeAlias = int | str
"""A dense layer by its units, ``convN`` (3 × 3, N channels), ``bn`` (of the layer before) or ``dropoutP``."""

CONVOLUTION, NORMALISED = re.compile(r"conv([1-9]\d*)"), "bn"
_LEFT_OUT = re.compile(r"dropout(0?\.\d+)")
_WIDEST = 16_384


def read_head(text: str) -> tuple[Layer, ...]:
    """Read the layers of a head as people write them: ``conv512,bn,1024,dropout0.3,256``; raise ValueError."""
    return tuple(int(part) if part.isdigit() else part for part in (each.strip() for each in text.split(",")))


def wrong_in_head(layers: Sequence[Layer]) -> str | None:
    """Say what is wrong with the layers of a head, or None."""
    return next(_faults(layers), None)


def _faults(layers: Sequence[Layer]) -> Iterator[str]:
    shown, dense = ",".join(map(str, layers)), [isinstance(layer, int) for layer in layers]
    convolutions = [at for at, layer in enumerate(layers) if CONVOLUTION.fullmatch(str(layer))]
    for layer in layers:
        known = (
            isinstance(layer, int) or layer == NORMALISED or CONVOLUTION.fullmatch(layer) or _LEFT_OUT.fullmatch(layer)
        )
        if not known:
            yield f"a head is layers such as conv512,bn,1024,dropout0.3,256, not {layer!r}"
    units = [layer for layer in layers if isinstance(layer, int)]
    units += [int(str(layers[at]).removeprefix("conv")) for at in convolutions]
    if units and not 1 <= min(units) <= max(units) <= _WIDEST:
        yield f"a layer has 1 to 16,384 units, not {shown}"
    if convolutions and (convolutions[0] > 0 or any(dense[: convolutions[-1]])):
        yield f"convolutions come first, before dense layers, not {shown}"
    if layers and not dense[-1]:
        yield f"a head ends in a dense layer, whose units are the embedding, not {shown}"


def _convolutions_end(layers: Sequence[Layer]) -> int:
    """Return where the layers over maps end: behind the last convolution and what belongs to it."""
    last = max((at for at, layer in enumerate(layers) if str(layer).startswith("conv")), default=-1)
    while last >= 0 and layers[last + 1] == NORMALISED:
        last += 1
    return last + 1


def dense_part(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers behind pooling."""
    return tuple(layers[_convolutions_end(layers) :])


def convolution_part(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers before pooling, over maps."""
    return tuple(layers[: _convolutions_end(layers)])
