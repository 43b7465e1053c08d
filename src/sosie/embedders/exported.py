"""Weights of a timm architecture (safetensors, no pickle) or a TorchScript, exported once to an ONNX network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sosie.errors import UntrustedModel
from sosie.extras import missing

__all__ = ["export_timm", "export_torchscript"]


def export_timm(architecture: str, weights: Path, target: Path, *, side: int) -> None:
    """Write ``target``, an ONNX network of ``image`` (n, 3, side, side) → ``embedding`` (n, dim), pooled and unscaled.

    Raises MissingExtra, UntrustedModel where the weights are not those of the architecture.
    """
    try:
        import timm
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise missing(f"{architecture} needs {error.name}", "train") from error
    network: Any = timm.create_model(architecture, pretrained=False, exportable=True)
    try:
        network.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise UntrustedModel(f"{weights.name} are not the weights of {architecture}: {first}") from error
    network.reset_classifier(0)
    _export(torch, network.eval(), target, side)


def export_torchscript(script: Path, target: Path, *, side: int) -> None:
    """Write ``target``, an ONNX network of ``image`` (n, 3, side, side) → ``embedding`` (n, dim), of a TorchScript.

    Raises MissingExtra, UntrustedModel where the file is none.
    """
    try:
        import torch
    except ImportError as error:
        raise missing("a TorchScript needs torch", "train") from error
    try:
        load: Any = torch.jit.load
        network = load(str(script), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise UntrustedModel(f"{script.name} is no TorchScript: download it again") from error
    _export(torch, network.eval(), target, side)


def _export(torch: Any, network: Any, target: Path, side: int) -> None:
    with torch.no_grad():
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, side, side),),
            str(target),
            input_names=["image"],
            output_names=["embedding"],
            dynamic_axes={"image": {0: "n"}, "embedding": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
