"""A backbone as blocks in a row: the first are still and run once a view, the last learn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Trunk", "pool"]


class Trunk(nn.Module):
    """Blocks in a row; what some of them give (``taps``, by default the last) is pooled and laid side by side.

    Normalisation keeps the statistics that it came with: small sets would spoil them.
    """

    def __init__(self, blocks: Sequence[nn.Module], *, taps: tuple[int, ...] = (), pooling: str = "mean") -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.taps = taps or (len(blocks) - 1,)
        self.pooling = pooling
        self.cut = len(blocks)  # the first block that learns
        self._added = 0
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def unfreeze(self, layers: int) -> None:
        """Let the last ``layers`` weighted layers (convolutions, dense layers) learn, with what lies behind them."""
        modules = [module for module in self.modules() if next(module.parameters(recurse=False), None) is not None]
        weighted = [at for at, module in enumerate(modules) if isinstance(module, nn.Conv2d | nn.Linear)]
        first = weighted[-min(layers, len(weighted))] if layers and weighted else len(modules)
        for module in modules[first:]:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(True)
        learning = [any(p.requires_grad for p in block.parameters()) for block in self.blocks]
        self.cut = learning.index(True) if any(learning) else len(self.blocks)

    def append(self, blocks: Sequence[nn.Module]) -> None:
        """Put blocks of one's own behind the others; they learn, and only the last of them is pooled, by its mean."""
        self.cut = min(self.cut, len(self.blocks))
        self.blocks.extend(blocks)
        self.taps, self.pooling, self._added = (len(self.blocks) - 1,), "mean", len(blocks)

    @property
    def own(self) -> list[nn.Module]:
        """The blocks that were put behind those of the backbone."""
        return list(self.blocks)[len(self.blocks) - self._added :]

    def still(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Run the blocks that do not learn; return their map and what was pooled on the way (n, width so far)."""
        return self._run(pictures, pictures.new_zeros((pictures.shape[0], 0)), range(self.cut))

    def learning(self, featuremap: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Run the blocks that learn; return the last map and the pooled features (n, width)."""
        return self._run(featuremap, pooled, range(self.cut, len(self.blocks)))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.learning(*self.still(pictures))

    def _run(self, x: Tensor, pooled: Tensor, which: range) -> tuple[Tensor, Tensor]:
        parts = [pooled] if pooled.shape[1] else []
        for at in which:
            x = self.blocks[at](x)
            if at in self.taps:
                parts.append(pool(x, self.pooling))
        return x, torch.cat(parts, 1) if parts else pooled

    @property
    def needs_map(self) -> bool:
        """Whether anything is left to do after the still blocks."""
        return self.cut < len(self.blocks)


def pool(featuremap: Tensor, how: str) -> Tensor:
    """Return (n, width) of maps (n, c, h, w), or of tokens (n, t, c); gem is p = 3 (Radenović et al., 2018)."""
    x = featuremap.float()
    if x.ndim == 3:
        x = x.transpose(1, 2).unsqueeze(-1)
    if x.ndim == 2:
        return x
    ways = {
        "mean": lambda: x.mean((2, 3)),
        "deviation": lambda: ((x * x).mean((2, 3)) - x.mean((2, 3)) ** 2).clamp(min=1e-8).sqrt(),
        "max": lambda: x.amax((2, 3)),
        "gem": lambda: (F.relu(x).pow(3).mean((2, 3)) + 1e-9).pow(1 / 3),
    }
    return torch.cat([ways[way]() for way in how.split("+")], 1)
