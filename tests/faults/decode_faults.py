"""What goes wrong inside a worker, on demand: analyses that are named to a pool. Imported by the workers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sosie.types import Picture

VICTIM = 13  # only a picture of this width has the fault


def on_victim(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    if picture.width != VICTIM:
        return {"width": picture.width, "pid": os.getpid()}
    return FAULTS[params["fault"]](params)


def hang(params: Mapping[str, Any]) -> Mapping[str, Any]:
    time.sleep(600)
    return {}


def spin(params: Mapping[str, Any]) -> Mapping[str, Any]:
    while True:
        pass


def crash(params: Mapping[str, Any]) -> Mapping[str, Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def leave(params: Mapping[str, Any]) -> Mapping[str, Any]:
    os._exit(7)


def eat(params: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"size": len(bytearray(600 << 20))}


def fail(params: Mapping[str, Any]) -> Mapping[str, Any]:
    raise KeyError("a bug")


def forge(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write junk to every pipe, as a decoder that was taken over could."""
    for handle in range(3, 16):
        try:
            os.write(handle, b"\xff" * 64)
        except OSError:
            continue
    return {}


def flood(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Announce a petabyte."""
    text = b'{"values":{},"buffers":[["a","uint8",[1000000000000]]]}'
    for handle in range(3, 16):
        try:
            os.write(handle, len(text).to_bytes(4, "little") + text)
        except OSError:
            continue
    return {}


def chatter(params: Mapping[str, Any]) -> Mapping[str, Any]:
    print("noise", flush=True)
    os.write(1, b"more noise\n")
    return {"read": sys.stdin.read()}


def write(params: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        Path(params["path"]).write_bytes(b"a file of the worker's own")
    except OSError as error:
        return {"errno": error.errno}
    return {"errno": 0}


def look(params: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"environment": sorted(os.environ), "modules": sorted(sys.modules)}


FAULTS: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    fault.__name__: fault for fault in (hang, spin, crash, leave, eat, fail, forge, flood, chatter, write, look)
}
