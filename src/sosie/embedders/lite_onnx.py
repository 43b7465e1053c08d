"""EfficientNet-Lite as an ONNX network, written without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sosie.embedders.lite import Block, Conv, LiteNetwork
from sosie.extras import missing

__all__ = ["write_lite"]

_OPSET = 17


def write_lite(network: LiteNetwork, target: Path) -> None:
    """Write ``image`` (n, 3, h, w), already scaled → ``embedding`` (n, width), the means of the last convolution.

    Sides are multiples of 32. Raises MissingExtra where the package `onnx` is not there.
    """
    try:
        import onnx
    except ImportError as error:
        raise missing("writing this network needs onnx", "imagenet") from error
    graph = _Graph(onnx)
    x = graph.conv("image", network.stem)
    for stage in network.stages:
        for block in stage:
            x = graph.block(x, block)
    x = graph.node("GlobalAveragePool", [graph.conv(x, network.head)])
    graph.node("Flatten", [x], output="embedding")
    onnx.save(graph.model(len(network.head.bias)), target)


class _Graph:
    """The nodes and weights so far; each method returns the name of what it gives."""

    def __init__(self, onnx: Any) -> None:
        self._onnx, self._nodes, self._weights = onnx, list[Any](), list[Any]()
        self._bounds = [self._weight(np.float32(bound)) for bound in (0, 6)]

    def node(self, kind: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        name = output or f"x{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def conv(self, x: str, conv: Conv) -> str:
        """Add a convolution, one of stride 2 padded as TensorFlow does: one more on the right and below."""
        side = conv.weight.shape[2]
        less = (side - 2) // 2 if conv.stride == 2 else side // 2
        more = side - 2 - less if conv.stride == 2 else less
        inputs = [x, self._weight(conv.weight), self._weight(conv.bias)]
        pads, strides = [less, less, more, more], [conv.stride, conv.stride]
        y = self.node("Conv", inputs, group=conv.groups, pads=pads, strides=strides)
        return self.node("Clip", [y, *self._bounds]) if conv.bounded else y

    def block(self, x: str, block: Block) -> str:
        y = x
        for conv in block.convs:
            y = self.conv(y, conv)
        return self.node("Add", [x, y]) if block.residual else y

    def model(self, width: int) -> Any:
        """Return the model of all nodes, the last of which gives ``embedding``."""
        helper, floats = self._onnx.helper, self._onnx.TensorProto.FLOAT
        image = helper.make_tensor_value_info("image", floats, ["n", 3, "h", "w"])
        vector = helper.make_tensor_value_info("embedding", floats, ["n", width])
        graph = helper.make_graph(self._nodes, "efficientnet-lite", [image], [vector], self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)

    def _weight(self, values: Any) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name
