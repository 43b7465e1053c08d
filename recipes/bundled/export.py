"""Join backbone and heads in one ONNX file with half-precision weights, checked against torch.

python -m recipes.bundled.export --size 0 --heads HEADS.safetensors --version 6 --out bundled.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from recipes.bundled.graph import to_onnx
from recipes.bundled.network import Backbone, load_package

__all__ = ["TOLERANCE", "Shipped", "describe", "disagreement", "export"]

TOLERANCE = 1e-3
_OUTPUTS = ("semantic", "copy", "featuremap")


class Shipped(nn.Module):
    """The network as shipped: pictures (n, 3, h, w) in 0..255 → two unit vectors and the last feature map."""

    def __init__(self, backbone: Backbone, heads: dict[str, Tensor]) -> None:
        super().__init__()
        self.backbone = backbone
        self.semantic, self.copy = (_linear(heads[f"{name}.weight"], heads[f"{name}.bias"]) for name in _OUTPUTS[:2])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, featuremap = self.backbone(image)
        last = self.backbone.widths[-1]
        before, means, deviations = features.split([features.shape[1] - 2 * last, last, last], 1)
        prepared = torch.cat([before, means.clamp(min=0).sqrt(), deviations], 1)
        return F.normalize(self.semantic(prepared), dim=1), F.normalize(self.copy(prepared), dim=1), featuremap


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def export(shipped: Shipped, out: Path) -> None:
    """Write the network as ONNX: input `image` NCHW RGB 0..255 of any side that is a multiple of 32."""
    to_onnx(shipped, out, outputs=_OUTPUTS, maps=["featuremap"])


def disagreement(shipped: Shipped, path: Path, *, sides: tuple[int, ...] = (160, 224)) -> float:
    """Return the largest difference between the unit vectors of torch and of ONNX Runtime."""
    import onnxruntime as ort

    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    torch.manual_seed(0)
    worst = 0.0
    for side in sides:
        x = F.interpolate(torch.rand(3, 3, 9, 9) * 255, size=(side, side), mode="bicubic").clamp(0, 255)
        with torch.no_grad():
            ours = shipped.eval()(x)[:2]
        theirs = session.run(_OUTPUTS[:2], {"image": x.numpy()})
        worst = max(worst, *(float(np.abs(a.numpy() - b).max()) for a, b in zip(ours, theirs, strict=True)))
    return worst


def describe(path: Path, shipped: Shipped, *, version: str, side: int) -> Path:
    """Write the description that the package reads beside the network; return its path."""
    description = {
        "name": "bundled",
        "version": version,
        "licence": "MIT AND Apache-2.0",
        "tasks": ["image", "copy"],
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "input": "image",
        "heads": [
            {"name": "semantic", "dim": shipped.semantic.out_features, "output": "semantic"},
            {"name": "copy", "dim": shipped.copy.out_features, "output": "copy"},
        ],
        "featuremap": "featuremap",
        "preprocessing": {"side": side, "fit": "squash", "resample": "bicubic"},
    }
    out = path.with_suffix(".json")
    out.write_text(json.dumps(description, indent=2) + "\n")
    return out


def rounded(module: nn.Module) -> nn.Module:
    """Round the weights to half precision, as the file keeps them."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())
    return module


def main() -> None:
    """Export, check against torch, and describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=0, choices=(0, 1, 2))
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", default="0")
    parser.add_argument("--side", type=int, default=224)
    options = parser.parse_args()
    shipped = Shipped(Backbone(load_package(options.size)), load_file(options.heads))
    export(shipped, options.out)
    worst = disagreement(rounded(shipped), options.out)  # type: ignore[arg-type]
    if worst > TOLERANCE:
        raise SystemExit(f"the export differs from torch by {worst:.1e}, more than {TOLERANCE}")
    print(f"{options.out}: {options.out.stat().st_size / 2**20:.1f} MiB, differs from torch by {worst:.1e}")
    describe(options.out, shipped, version=options.version, side=options.side)


if __name__ == "__main__":
    main()
