"""The student: a RegNet whose last two stages feed two heads; one forward pass, two unit vectors."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["COPY_DIM", "SEMANTIC_DIM", "Exported", "Heads", "Outputs", "Student"]

SEMANTIC_DIM, COPY_DIM = 256, 128
_MEAN, _STD = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)
_STAGES = ("s3", "s4")


class Outputs(NamedTuple):
    """What one pass gives: two unit vectors, the class scores of the training head, the last feature map."""

    semantic: Tensor  # (n, 256)
    copy: Tensor  # (n, 128)
    classes: Tensor  # (n, classes)
    featuremap: Tensor  # (n, c, h/32, w/32)


class Heads(nn.Module):
    """Map pooled features (n, width) to the two unit vectors and to class scores."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, *, classes: int, hidden: int = 1024) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.hidden = nn.Linear(width, hidden)
        self.semantic = nn.Linear(width + hidden, SEMANTIC_DIM)
        self.copy = nn.Linear(width, COPY_DIM)
        self.classes = nn.Linear(hidden, classes)

    def vectors(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the semantic and the copy vectors, of unit length, and the hidden layer."""
        x = (features - self.mean) * self.scale
        hidden = F.gelu(self.hidden(x))
        semantic = self.semantic(torch.cat([hidden, x], 1)).float()
        return F.normalize(semantic, dim=1), F.normalize(self.copy(x).float(), dim=1), hidden

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return semantic (n, 256), copy (n, 128) and class scores (n, classes)."""
        semantic, copy, hidden = self.vectors(features)
        return semantic, copy, self.classes(hidden)


class Student(nn.Module):
    """Map RGB pictures (n, 3, h, w) in 0..255 to `Outputs`.

    The backbone is RegNetX-200MF (Radosavovic et al., 2020): its grouped convolutions train twice as fast on a CPU as
    depthwise ones. Its groups have 16 channels instead of 8, and its stages multiples of that (32, 64, 160, 368):
    runtimes compute in blocks of 16 floats where a processor has AVX-512, and leave their fast path for narrower
    groups. Means and generalised means (p = 3; Radenović et al., 2018) of its last two stages feed the heads.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, *, classes: int = 1001, backbone: str = "regnetx_002", group: int = 16, hidden: int = 1024
    ) -> None:
        super().__init__()
        import timm

        self.backbone = timm.create_model(backbone, num_classes=0, global_pool="", pretrained=False, group_size=group)
        widths = {entry["module"]: entry["num_chs"] for entry in self.backbone.feature_info}
        self.widths = [widths[stage] for stage in _STAGES]
        self.heads = Heads(2 * sum(self.widths), classes=classes, hidden=hidden)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))

    def features(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled features (n, width) and the last feature map."""
        x = (pictures - self.mean) / self.std
        pooled = []
        for name, stage in self.backbone.named_children():
            if name not in {"final_conv", "head"}:
                x = stage(x)
            if name in _STAGES:
                pooled += _pool(x)
        return torch.cat(pooled, 1), x

    def forward(self, pictures: Tensor) -> Outputs:
        features, featuremap = self.features(pictures)
        semantic, copy, classes = self.heads(features)
        return Outputs(semantic, copy, classes, featuremap)


def _pool(featuremap: Tensor) -> list[Tensor]:
    x = featuremap.float()
    # stage outputs are no less than 0; products run faster than powers
    return [x.mean((2, 3)), ((x * x * x).mean((2, 3)) + 1e-9).pow(1 / 3)]


class Exported(nn.Module):
    """The student as shipped: each picture seen as it is and mirrored, the vectors averaged; no training head.

    So a picture and its mirror image have the same vectors, and the mean of two looks ranks better than one. The
    feature map is that of the picture as it is.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n = image.shape[0]
        features, featuremap = self.student.features(torch.cat([image, image.flip(3)]))
        semantic, copy, _ = self.student.heads.vectors(features)
        looks = (F.normalize(v[:n] + v[n:], dim=1) for v in (semantic, copy))
        return *looks, featuremap[:n]
