"""From a torch module to an ONNX network: uneven pads inside the convolutions, weights in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["to_onnx"]

_OPSET = 17


def to_onnx(
    module: nn.Module, out: Path, *, outputs: Sequence[str], maps: Sequence[str] = (), half: bool = True
) -> None:
    """Write a module of `image`, NCHW RGB 0..255 of any side that is a multiple of 32, as ONNX.

    `maps` are those of the outputs that have a height and a width. With `half` the weights are stored as float16.
    """
    import onnx

    axes = {"image": {0: "n", 2: "h", 3: "w"}, **{name: {0: "n"} for name in outputs}}
    axes |= {name: {0: "n", 2: "fh", 3: "fw"} for name in maps}
    out.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            module.eval(),
            (torch.rand(2, 3, 224, 224) * 255,),
            str(out),
            input_names=["image"],
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=_OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    model = _pads_in_convolutions(onnx.load(out))
    onnx.save(_halved(model) if half else model, out)


def _pads_in_convolutions(model: Any) -> Any:
    """Let each convolution that follows a Pad pad for itself, as the runtime does best.

    The only pads of these networks are those of strides of two on even sides: one more on the right and below.
    """
    graph = model.graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[0] in pads:
            more = shapes[node.input[1]][-1] - 2
            own = next(a for a in node.attribute if a.name == "pads")
            del own.ints[:]
            own.ints.extend([more // 2, more // 2, more - more // 2, more - more // 2])
            node.input[0] = pads[node.input[0]].input[0]
    return _pruned(model)


def _pruned(model: Any) -> Any:
    """Return the model without the nodes that no output needs."""
    graph = model.graph
    needed, kept = {output.name for output in graph.output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.insert(0, node)
    del graph.node[:]
    graph.node.extend(kept)
    return model


def _halved(model: Any) -> Any:
    """Return the model with each large float32 weight stored as float16 behind a Cast, which runtimes fold at load."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
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
