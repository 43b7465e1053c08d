"""Small real networks for tests: packages of an ONNX file and its description."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

SIDE = 32


def package(folder: Path, name: str, matrix: np.ndarray, *, version: str = "1") -> Path:
    """Write a network that multiplies a picture's mean colour (red, green, blue, 1) by ``matrix`` (4, dim)."""
    matrix = np.asarray(matrix, np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
        helper.make_node("MatMul", ["mean", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["embedding"]),
    ]
    constants = [numpy_helper.from_array(matrix[:3], "weights"), numpy_helper.from_array(matrix[3], "bias")]
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    vector = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", matrix.shape[1]])
    graph = helper.make_graph(nodes, "tiny", [picture], [vector], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return describe(folder, name, model.SerializeToString(), dim=matrix.shape[1], version=version)


def describe(folder: Path, name: str, data: bytes, *, dim: int, version: str = "1", **changes: object) -> Path:
    """Write a package of a network's bytes; ``changes`` are made to its description."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.onnx").write_bytes(data)
    description = {
        "name": name,
        "version": version,
        "licence": "MIT",
        "file": "tiny.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "input": "image",
        "heads": [{"name": "semantic", "dim": dim, "output": "embedding"}],
        "preprocessing": {"side": SIDE, "scale": 255.0},
        **changes,
    }
    (folder / f"{name}.json").write_text(json.dumps(description))
    return folder


def two_towers(folder: Path, name: str = "wordy") -> Path:
    """Write a package that knows pictures by their colour, and the words red, green, blue, dark and light for it."""
    colourful(folder, name)
    words = {"[UNK]": (0, 0, 0), "red": (2, -1, -1), "green": (-1, 2, -1), "blue": (-1, -1, 2), "dark": (0, 0, 0)}
    table = numpy_helper.from_array(np.array(list(words.values()), np.float32), "table")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("ReduceMean", ["tokens"], ["text_embeds"], axes=[1], keepdims=0),
    ]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"])
    vector = helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "words", [ids], [vector], [table])
    tower = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    (folder / "words.onnx").write_bytes(tower)
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    written = tokenizer.to_str().encode()
    (folder / "words.tokenizer").write_bytes(written)
    described = json.loads((folder / f"{name}.json").read_text())
    described |= {
        "tasks": ["image", "text"],
        "text": {
            "file": "words.onnx",
            "sha256": hashlib.sha256(tower).hexdigest(),
            "tokenizer": "words.tokenizer",
            "tokenizer_sha256": hashlib.sha256(written).hexdigest(),
            "output": "text_embeds",
            "length": 8,
            "lower": True,
        },
    }
    (folder / f"{name}.json").write_text(json.dumps(described))
    return folder


def colourful(folder: Path, name: str = "colourful") -> Path:
    """Write a network that tells colours apart: channels beside their mean."""
    matrix = np.zeros((4, 3))
    matrix[:3] = np.eye(3) - 1 / 3
    return package(folder, name, matrix)


def colour_blind(folder: Path, name: str = "colour-blind") -> Path:
    """Write a network that sees nothing but how light a picture is."""
    matrix = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [-1.5, 1.0]])
    return package(folder, name, matrix)


def coloured_folder(path: Path, count: int = 24) -> Path:
    """Fill a folder with pictures whose folder says their colour; how light they are says nothing."""
    random = np.random.default_rng(0)
    hues = {"red": (3, 1, 1), "green": (1, 3, 1), "blue": (1, 1, 3)}
    for at in range(count):
        name, hue = list(hues.items())[at % 3]
        pixels = random.uniform(0.2, 0.8) * 85 * np.array(hue) * random.uniform(0.5, 1.0, (48, 48, 3))
        place = path / name / f"{at:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place)
    return path


def classifier(folder: Path, name: str = "tones", *, names: tuple[str, ...] = ("red", "green", "blue")) -> Path:
    """Write a package whose embedding is a picture's mean colour, and whose classes are the three colours.

    Each probability is that of a softmax over ten times the colour; grey is a third of each.
    """
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("Mul", ["embedding", "ten"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["classes"], axis=1),
    ]
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    outputs = [helper.make_tensor_value_info(each, TensorProto.FLOAT, ["n", 3]) for each in ("embedding", "classes")]
    ten = numpy_helper.from_array(np.float32(10), "ten")
    graph = helper.make_graph(nodes, "classes", [picture], outputs, [ten])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    told = {"output": "classes", "names": list(names), "several": False, "label": "label"}
    return describe(folder, name, model.SerializeToString(), dim=3, classes=told)
