"""From a trained extractor to a package: one ONNX file, checked against torch, and its description."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sosie import files
from sosie.embedders.store import TRAINED_ON
from sosie.errors import UntrustedModel
from sosie.models.trained_on import TrainedOn
from sosie.training.extractor import Exported
from sosie.training.starts import Start
from sosie.types import FloatMatrix

__all__ = ["TOLERANCE", "describe", "export"]

TOLERANCE = 1e-4
_OPSET = 17


def export(exported: Exported, path: Path, *, side: int, pictures: FloatMatrix) -> float:
    """Write the network as ONNX and return how far its vectors lie from torch's at most.

    ``pictures`` (n, 3, side, side) in 0..255 are what both are asked. Raises UntrustedModel beyond ``TOLERANCE``.
    """
    exported = exported.cpu().eval()
    names = ["embedding", "featuremap", *(["classes"] if exported.classes is not None else [])]
    draft = path.with_suffix(".part")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer; what it made is compared with torch below
        torch.onnx.export(
            exported,
            (torch.from_numpy(pictures[:2]),),
            str(draft),
            input_names=["image"],
            output_names=names,
            dynamic_axes={"image": {0: "n"}, **{name: {0: "n"} for name in names}},
            opset_version=_OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    worst = _disagreement(exported, draft, pictures, names)
    if worst > TOLERANCE:
        raise UntrustedModel(
            f"the exported network differs from torch by {worst:.1e}, more than {TOLERANCE:g}: {draft}"
        )
    files.publish(draft, path)
    return worst


def _disagreement(exported: Exported, path: Path, pictures: FloatMatrix, names: Sequence[str]) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    asked = [name for name in names if name != "featuremap"]  # maps have no scale to judge by
    theirs = session.run(asked, {"image": pictures})
    with torch.no_grad():
        ours = dict(zip(names, exported(torch.from_numpy(pictures)), strict=True))
    return max(float(np.abs(ours[name].numpy() - each).max()) for name, each in zip(asked, theirs, strict=True))


def describe(
    path: Path,
    *,
    name: str,
    start: Start,
    dim: int,
    recipe: str,
    classes: Mapping[str, Any] | None,
    trained_on: TrainedOn,
) -> Path:
    """Write the description that `sosie models add` reads, beside the network; return its path."""
    trained_on.write(path.with_name(TRAINED_ON))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    description: dict[str, Any] = {
        "name": name,
        "version": digest[:12],
        "licence": start.licence,
        "tasks": ["image"],
        "file": path.name,
        "sha256": digest,
        "input": "image",
        "heads": [{"name": "code" if recipe == "hash" else "semantic", "dim": dim, "output": "embedding"}],
        "featuremap": "featuremap",
        "trained_on": TRAINED_ON,
        "preprocessing": {"side": start.side, "fit": "squash", "resample": "bicubic"},
        **({"classes": {"output": "classes", **classes}} if classes else {}),
    }
    out = path.with_suffix(".json")
    files.write_json(out, description)
    return out
