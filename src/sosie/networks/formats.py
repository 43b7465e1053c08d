"""Which kind of model a file is that is no description, and how it becomes one that can be used."""

from __future__ import annotations

from pathlib import Path

__all__ = ["explain"]

_DESCRIBE = "then write a description beside it (docs/how-to/choose-a-model.md)"
_HOW = {
    "a Keras file": f"`python -m tf2onnx.convert --keras FILE --output model.onnx` converts it, {_DESCRIBE}",
    "a PyTorch file": f"torch.onnx.export of torch.jit.load('FILE') converts it, {_DESCRIBE}",
    "an ONNX file": "give the JSON description beside it (docs/how-to/choose-a-model.md says what it holds)",
}
_KINDS = {
    "a Keras file": (".h5", ".hdf5", ".keras"),
    "a PyTorch file": (".pt", ".pth", ".ts", ".torchscript", ".jit"),
    "an ONNX file": (".onnx",),
}


def explain(path: Path) -> str | None:
    """Say what a model file is by its name and how to convert it; None for any other file."""
    kind = next((kind for kind, suffixes in _KINDS.items() if path.suffix.lower() in suffixes), None)
    return None if kind is None else f"{path} is {kind}, not a description: {_HOW[kind].replace('FILE', str(path))}"
