"""Export a student to one ONNX file with half-precision weights, checked against torch.

python -m recipes.bundled.export --snapshot RUN/average-090.0.pt --out bundled.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from recipes.bundled.network import COPY_DIM, SEMANTIC_DIM, Exported, Student

__all__ = ["TOLERANCE", "describe", "disagreement", "export", "keep", "load_snapshot"]

TOLERANCE = 1e-3
_OPSET = 17
_GROUPED = "s1.b1.conv2.conv.weight"  # tells how many channels a group has
_OUTPUTS = ["semantic", "copy", "featuremap"]


def load_snapshot(path: Path, *, backbone: str, classes: int = 1001) -> Student:
    """Load a student from the averaged weights that a run wrote, or a backbone alone under keys `b.*` (`keep`)."""
    stored = _stored(path)
    state = {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}
    known = len(state["heads.classes.bias"]) if "heads.classes.bias" in state else classes
    hidden = len(state["heads.hidden.bias"]) if "heads.hidden.bias" in state else 1024
    bare = {k[2:]: v for k, v in state.items() if k.startswith("b.")}
    group = (bare or {k.removeprefix("backbone."): v for k, v in state.items()})[_GROUPED].shape[1]
    student = Student(classes=known, backbone=backbone, group=group, hidden=hidden)
    if bare:
        student.backbone.load_state_dict(bare)
    else:
        student.load_state_dict(state)
    return student.eval()


def _stored(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def export(student: Student, out: Path) -> None:
    """Write the student as ONNX: input `image` NCHW RGB 0..255 of any side; weights stored as float16."""
    import onnx

    axes = {"image": {0: "n", 2: "h", 3: "w"}, "semantic": {0: "n"}, "copy": {0: "n"}}
    axes["featuremap"] = {0: "n", 2: "fh", 3: "fw"}
    out.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            Exported(student.eval()).eval(),
            (torch.rand(2, 3, 160, 160) * 255,),
            str(out),
            input_names=["image"],
            output_names=_OUTPUTS,
            dynamic_axes=axes,
            opset_version=_OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    onnx.save(_halved(onnx.load(out)), out)


def _halved(model: object) -> object:
    """Return the model with each large float32 weight stored as float16 behind a Cast, which runtimes fold at load."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph  # type: ignore[attr-defined]
    casts, weights = [], []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < 64:
            weights.append(tensor)
            continue
        weights.append(numpy_helper.from_array(array.astype(np.float16), f"{tensor.name}.half"))
        casts.append(helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(weights)
    graph.node.extend(nodes)
    return model


def disagreement(student: Student, path: Path, *, sides: tuple[int, ...] = (96, 160)) -> float:
    """Return the largest difference between the unit vectors of torch and of ONNX Runtime."""
    import onnxruntime as ort

    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    torch.manual_seed(0)
    worst = 0.0
    for side in sides:
        x = torch.nn.functional.interpolate(torch.rand(3, 3, 9, 9) * 255, size=(side, side), mode="bicubic").clamp(
            0, 255
        )
        with torch.no_grad():
            ours = Exported(student).eval()(x)[:2]
        theirs = session.run(_OUTPUTS[:2], {"image": x.numpy()})
        worst = max(worst, *(float(np.abs(a.numpy() - b).max()) for a, b in zip(ours, theirs, strict=True)))
    return worst


def describe(path: Path, *, version: str, side: int) -> Path:
    """Write the description that the package reads beside the network; return its path."""
    description = {
        "name": "bundled",
        "version": version,
        "licence": "MIT",
        "tasks": ["image", "copy"],
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "input": "image",
        "heads": [
            {"name": "semantic", "dim": SEMANTIC_DIM, "output": "semantic"},
            {"name": "copy", "dim": COPY_DIM, "output": "copy"},
        ],
        "featuremap": "featuremap",
        "preprocessing": {"side": side, "fit": "squash", "resample": "bicubic"},
    }
    out = path.with_suffix(".json")
    out.write_text(json.dumps(description, indent=2) + "\n")
    return out


def keep(student: Student, path: Path) -> None:
    """Write the backbone in half precision as safetensors, for a later training to start from; heads take minutes."""
    stored = student.backbone.state_dict()
    save_file({f"b.{k}": v.half() if v.is_floating_point() else v for k, v in stored.items()}, path)


def main() -> None:
    """Export, check against torch, and describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snapshot", type=Path, required=True)
    parser.add_argument("--backbone", default="regnetx_002")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", default="0")
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--keep", type=Path, help="write the backbone there, too (.safetensors), to train on from")
    options = parser.parse_args()
    student = load_snapshot(options.snapshot, backbone=options.backbone)
    export(student, options.out)
    worst = disagreement(student, options.out)
    if worst > TOLERANCE:
        raise SystemExit(f"the export differs from torch by {worst:.1e}, more than {TOLERANCE}")
    print(f"{options.out}: {options.out.stat().st_size / 2**20:.1f} MiB, differs from torch by {worst:.1e}")
    describe(options.out, version=options.version, side=options.side)
    if options.keep:
        keep(student, options.keep)


if __name__ == "__main__":
    main()
