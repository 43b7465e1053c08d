"""Tiny real ONNX networks that say whatever a test wants, with a description beside each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_network(
    folder: Path,
    answers: Mapping[str, np.ndarray],
    *,
    side: int = 64,
    inputs: Sequence[str] = ("images",),
    **described: Any,
) -> Path:
    """Write a network that gives ``answers`` to every picture; return the path of its description."""
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value), f"{name}_value"))
        for name, value in answers.items()
    ]
    takes = [helper.make_tensor_value_info(inputs[0], TensorProto.FLOAT, [1, 3, side, side])]
    takes += [helper.make_tensor_value_info(name, TensorProto.INT64, [1, 2]) for name in inputs[1:]]
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
    gives = [helper.make_tensor_value_info(name, kinds[value.dtype], value.shape) for name, value in answers.items()]
    graph = helper.make_graph(nodes, "tiny", takes, gives)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path = folder / "tiny.onnx"
    path.write_bytes(model.SerializeToString())
    return describe(path, side=side, **described)


def describe(path: Path, *, side: int = 64, **described: Any) -> Path:
    """Write a description beside a network, of any kind that a test wants, true or not."""
    raw: dict[str, Any] = {
        "name": "tiny",
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **described,
    }
    raw["input"] = {"width": side, "height": side, **described.get("input", {})}
    target = path.with_suffix(".json")
    target.write_text(json.dumps(raw), encoding="utf-8")
    return target
