"""Weights of a torch checkpoint of before version 1.6, read without torch and without running anything of it.

Such a file is five pickles in a row (a magic number, a version, what the machine was, the weights, the keys of their
storages), then the storages. The pickles are interpreted here, opcode by opcode: nothing is imported and nothing is
called, whatever they say, and a name or an opcode that weights do not need refuses the file.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sosie.errors import UntrustedModel
from sosie.types import FloatMatrix

__all__ = ["read_checkpoint"]

_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_OPCODES = 1_000_000
_KINDS: Mapping[str, np.dtype[Any]] = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
_ORDERED, _TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
_NAMES = frozenset({_ORDERED, _TENSOR, *_KINDS})
_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_VALUES = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "BINFLOAT"})


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that a pickle speaks of; it is never looked up."""

    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    """Numbers that lie behind the pickles."""

    key: str
    kind: np.dtype[Any]
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Numbers of a storage: from ``offset`` on, each side in steps of its stride."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    pass


def read_checkpoint(path: Path) -> dict[str, FloatMatrix]:
    """Return the weights of a checkpoint by their names; raise UntrustedModel where it holds anything else."""
    try:
        with path.open("rb") as file:
            if _interpret(file) != _MAGIC:
                raise ValueError("its magic number is another")
            _interpret(file)
            _interpret(file)
            weights, keys = _interpret(file), _interpret(file)
            stored = _storages(file, keys, weights, path.stat().st_size)
        return {str(name): _array(tensor, stored) for name, tensor in weights.items()}
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, EOFError, OverflowError) as error:
        raise UntrustedModel(f"{path.name} is no checkpoint of weights alone: {error}") from error


def _interpret(file: BinaryIO) -> Any:
    """Return the value of one pickle: plain values, names, storages and tensors; raise ValueError for more."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        name = opcode.name
        if count > _MOST_OPCODES:
            raise ValueError("it goes on and on")
        if name == "STOP":
            return stack.pop()
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_named(str(argument)))
        elif name in _STEPS:
            _STEPS[name](stack)
        elif name != "PROTO":
            raise ValueError(f"its pickle uses {name}")
    raise ValueError("a pickle has no end")


def _named(name: str) -> _Name:
    if name not in _NAMES:
        raise ValueError(f"its pickle names {name[:80]!r}")
    return _Name(name)


def _to_mark(stack: list[Any]) -> list[Any]:
    at = max(i for i, each in enumerate(stack) if isinstance(each, _Mark))
    found = stack[at + 1 :]
    del stack[at:]
    return found


def _tuple(count: int) -> Callable[[list[Any]], None]:
    def step(stack: list[Any]) -> None:
        found = tuple(stack[-count:])
        del stack[-count:]
        stack.append(found)

    return step


def _append_all(stack: list[Any]) -> None:
    found = _to_mark(stack)
    stack[-1].extend(found)


def _set_items(stack: list[Any]) -> None:
    found = _to_mark(stack)
    stack[-1].update(zip(found[::2], found[1::2], strict=True))


def _set_item(stack: list[Any]) -> None:
    value, key = stack.pop(), stack.pop()
    stack[-1][key] = value


def _reduce(stack: list[Any]) -> None:
    """Make what the two functions that are known would."""
    arguments, function = stack.pop(), stack.pop()
    if function == _Name(_ORDERED) and arguments == ():
        stack.append({})
    elif function == _Name(_TENSOR):
        storage, offset, shape, strides = arguments[:4]
        last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
        if min(offset, *shape, *strides, 0) < 0 or last >= storage.count or math.prod(shape) > storage.count:
            raise ValueError("a tensor lies beyond its storage")
        stack.append(_Tensor(storage, offset, shape, strides))
    else:
        raise ValueError("its pickle calls what weights do not need")


def _persistent(stack: list[Any]) -> None:
    word, kind, key, _, count, _ = stack.pop()
    if word != "storage":
        raise ValueError("it speaks of what is no storage")
    stack.append(_Storage(str(key), _KINDS[kind.name], int(count)))


_STEPS: Mapping[str, Callable[[list[Any]], Any]] = {
    "MARK": lambda stack: stack.append(_Mark()),
    "TUPLE": lambda stack: stack.append(tuple(_to_mark(stack))),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": lambda stack: stack[-2].append(stack.pop()),
    "APPENDS": _append_all,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "REDUCE": _reduce,
    "BINPERSID": _persistent,
    "BUILD": lambda stack: stack.pop(),  # what torch notes of versions
}


def _storages(file: BinaryIO, keys: list[str], weights: Mapping[str, _Tensor], size: int) -> dict[str, FloatMatrix]:
    """Return the numbers of each storage, in the order in which they lie."""
    known = {tensor.storage.key: tensor.storage for tensor in weights.values()}
    found = {}
    for key in keys:
        storage = known[key]
        if int.from_bytes(file.read(8), "little") != storage.count or storage.count * storage.kind.itemsize > size:
            raise ValueError("a storage has another length")
        data = file.read(storage.count * storage.kind.itemsize)
        found[key] = np.frombuffer(data, storage.kind, storage.count)
    return found


def _array(tensor: _Tensor, stored: Mapping[str, FloatMatrix]) -> FloatMatrix:
    numbers = stored[tensor.storage.key][tensor.offset :]
    steps = [step * numbers.itemsize for step in tensor.strides]
    return np.array(np.lib.stride_tricks.as_strided(numbers, tensor.shape, steps, writeable=False), np.float32)
