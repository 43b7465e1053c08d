"""Go on from a narrower network: its weights in a wider one that gives the same vectors, and has more to learn with.

After Net2Net (Chen et al., 2016): old outputs read nothing from new channels, whose own weights are random.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recipes.bundled.network import Student

__all__ = ["widen"]


@torch.no_grad()
def widen(narrow: Student, wide: Student) -> None:
    """Give a student the function of one with narrower stages or groups; raise ValueError where it is not wider."""
    hidden = narrow.heads.hidden.out_features
    if hidden != wide.heads.hidden.out_features:
        raise ValueError(
            f"its heads have {hidden} hidden units: start from the average of a run, not from blended heads"
        )
    theirs = dict(narrow.backbone.named_modules())
    for name, module in wide.backbone.named_modules():
        if isinstance(module, nn.Conv2d):
            _convolution(theirs[name], module)
        elif isinstance(module, nn.BatchNorm2d):
            for mine, old in zip(_state(module), _state(theirs[name]), strict=True):
                mine[: len(old)] = old
    columns = _columns(narrow.widths, wide.widths)
    for buffer in ("mean", "scale"):
        getattr(wide.heads, buffer)[columns] = getattr(narrow.heads, buffer)
    _linear(narrow.heads.hidden, wide.heads.hidden, columns)
    _linear(narrow.heads.copy, wide.heads.copy, columns)
    _linear(narrow.heads.semantic, wide.heads.semantic, torch.cat([torch.arange(hidden), columns + hidden]))
    wide.heads.classes.load_state_dict(narrow.heads.classes.state_dict())


def _state(norm: nn.Module) -> list[Tensor]:
    return [value for value in norm.state_dict().values() if value.ndim]


def _convolution(old: nn.Module, new: nn.Conv2d) -> None:
    """Copy a convolution's weights, each to where its channels are now; what old outputs read besides is nothing."""
    if (
        not isinstance(old, nn.Conv2d)
        or new.out_channels < old.out_channels
        or new.weight.shape[1] < old.weight.shape[1]
    ):
        raise ValueError(f"{new} is not wider than {old}")
    per_old, per_new = old.out_channels // old.groups, new.out_channels // new.groups
    width = old.weight.shape[1]
    new.weight[: old.out_channels] = 0
    for channel in range(old.out_channels):
        first = channel // per_old * width - channel // per_new * new.weight.shape[1]
        new.weight[channel, first : first + width] = old.weight[channel]


def _columns(narrow: list[int], wide: list[int]) -> Tensor:
    """Return where the pooled features of stages of these widths lie among those of wider stages."""
    found, start = [], 0
    for few, many in zip(narrow, wide, strict=True):
        for _ in range(2):  # means, and generalised means
            found.append(torch.arange(few) + start)
            start += many
    return torch.cat(found)


def _linear(old: nn.Linear, new: nn.Linear, columns: Tensor) -> None:
    new.weight.zero_()
    new.weight[:, columns] = old.weight
    new.bias.copy_(old.bias)
