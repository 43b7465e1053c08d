"""What a detector or segmenter takes and gives: a JSON file beside the network, or one that Sosie ships.

{"like": "yolov8", "name": "mine", "file": "mine.onnx", "sha256": "…", "classes": ["bag", "shoe"]}

``like`` names a shipped description (`shipped()` lists them) whose fields hold where the file says nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from sosie.errors import NotFound, UntrustedModel
from sosie.networks.formats import explain
from sosie.networks.onnx_file import input_size
from sosie.networks.runtime import digest_of
from sosie.registry import nearest

__all__ = ["Description", "Input", "read_description", "shipped"]


@dataclass(frozen=True, slots=True)
class Input:
    """How a picture is fed: resized to ``width`` × ``height``, then ``(value / scale - mean) / std`` per channel.

    ``fit``: ``squash`` to the size; ``corner`` and ``centre`` keep the shape and pad with ``pad`` (grey, 0..255).
    ``sizes`` names a second input that takes (width, height) as int64, for graphs that give boxes in pixels of it.
    """

    name: str
    width: int
    height: int
    fit: Literal["squash", "corner", "centre"] = "squash"
    pad: int = 114
    channels: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    sizes: str | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """A network that finds things: its file, how it is fed, how its outputs are read.

    ``layout`` names a function of `sosie.regions.layouts` (boxes) or `sosie.regions.maps` (masks). ``outputs`` are the
    names of what that function takes, in its order. ``threshold`` is the least confidence of a box, or of a pixel;
    ``suppress`` the overlap (IoU) from which the weaker of two boxes goes, None for graphs that see to it themselves.
    """

    name: str
    task: Literal["detect", "segment"]
    layout: str
    input: Input
    outputs: tuple[str, ...]
    classes: tuple[str, ...]
    licence: str = ""
    source: str = ""
    file: str = ""
    sha256: str = ""
    threshold: float = 0.3
    suppress: float | None = 0.5
    most: int = 100  # boxes of one picture
    folder: Path = Path()

    @property
    def path(self) -> Path:
        """Where the network lies."""
        return self.folder / self.file

    @property
    def key(self) -> str:
        """A name that is equal for equal answers: vectors of different detectors never share a space."""
        return f"{self.name}-{self.sha256[:8]}"


def shipped() -> list[str]:
    """Return the names of the descriptions that come with Sosie."""
    folder = resources.files("sosie.regions") / "descriptions"
    return sorted(path.name.removesuffix(".json") for path in folder.iterdir() if path.name.endswith(".json"))


def read_description(asked: str, *, task: Literal["detect", "segment"]) -> Description:
    """Read a description: the path of a JSON file, or ``NAME:FILE.onnx`` with the name of a shipped one.

    Where the description does not say the size of the input, the file does. A shipped description of a whole family
    pins no digest; then the file's own is taken, and whoever stores the description holds later files to it. Raises
    NotFound, UntrustedModel.
    """
    if asked.endswith(".json"):
        path = Path(asked)
        raw, folder = _read(path), path.parent
    else:
        name, _, file = asked.partition(":")
        if not file:
            raise UntrustedModel(f"{asked!r} is no description: give a .json file, or NAME:FILE.onnx with {_names()}")
        raw, folder, path = {"like": name, "file": str(Path(file).absolute())}, Path(), Path(file)
    try:
        found = replace(_description(_inherited(raw)), folder=folder)
        if not {"width", "height"} & raw.get("input", {}).keys():
            found = _sized(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UntrustedModel(f"{path} does not describe a network: {_reason(error)}") from error
    if found.task != task:
        raise UntrustedModel(f"{asked} describes a network that can {found.task}, not {task}")
    return found if found.sha256 else replace(found, sha256=digest_of(found.path))


def _sized(described: Description) -> Description:
    """Take the size of the input from the network, where that is fixed: files of one family have several."""
    try:
        size = input_size(described.path.read_bytes(), described.input.name)
    except OSError:  # said where the network is opened
        return described
    if size is None:
        return described
    high, wide = size
    _check_size(high, wide)
    return replace(described, input=replace(described.input, height=high, width=wide))


def _check_size(high: int, wide: int) -> None:
    if not (8 <= wide <= 4096 and 8 <= high <= 4096):
        raise ValueError("width and height of the input lie between 8 and 4096")


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"no description at {path}: write one beside the .onnx file, {_names()}") from error
    except ValueError as error:
        raise UntrustedModel(explain(path) or f"{path} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise UntrustedModel(f"{path} does not describe a network: it holds no keys")
    return raw


def _inherited(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a description over the shipped one that it is ``like``; its ``input`` is laid over key by key."""
    like = raw.get("like")
    if like is None:
        return dict(raw)
    if like not in shipped():
        raise ValueError(f"like {like!r}: {nearest(str(like), shipped())}")
    below = json.loads((resources.files("sosie.regions") / "descriptions" / f"{like}.json").read_text(encoding="utf-8"))
    above = {key: value for key, value in raw.items() if key != "like"}
    return {**below, **above, "input": {**below["input"], **above.get("input", {})}}


def _description(raw: dict[str, Any]) -> Description:
    known = {field.name for field in fields(Description)} - {"folder"}
    if unknown := sorted(set(raw) - known):
        raise ValueError(f"unknown key {unknown[0]!r}; {nearest(unknown[0], known)}")
    how: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw["input"].items()}
    if raw["task"] not in ("detect", "segment"):
        raise ValueError(f"task is detect or segment, not {raw['task']!r}")
    classes = raw["classes"]
    if isinstance(classes, str):
        classes = json.loads((resources.files("sosie.regions") / "classes.json").read_text(encoding="utf-8"))[classes]
    rest = {k: v for k, v in raw.items() if k not in ("input", "outputs", "classes")}
    found = Description(**rest, input=Input(**how), outputs=tuple(raw["outputs"]), classes=tuple(map(str, classes)))
    if not (found.file and found.classes):
        raise ValueError("it names no file" if found.classes else "it names no classes")
    if not (0 <= found.threshold <= 1 and (found.suppress is None or 0 < found.suppress <= 1)):
        raise ValueError("threshold and suppress lie between 0 and 1")
    _check_size(found.input.height, found.input.width)
    return found


def _names() -> str:
    return f"NAME one of {', '.join(shipped())}"


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
