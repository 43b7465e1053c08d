"""One worker: reads pictures from stdin, writes answers to stdout, and expects to be killed.

It is started by `DecodePool`, never by hand. Native decoders run here and nowhere else, so that whatever a file does to
them ends with this process. It imports numpy and Pillow only, and what the analysis imports.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import stat
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from io import BufferedReader, FileIO
from typing import Any, NoReturn

from PIL import AvifImagePlugin, Image

from sosie.decode.limits import Limits
from sosie.decode.pixels import FORMATS, decode
from sosie.decode.sandbox import Leash, limit_process
from sosie.decode.seal import close_others, preload, seal
from sosie.decode.wire import Parts, pack_answer, pack_refusal, read_exactly, read_job
from sosie.errors import BadPicture
from sosie.types import Picture

__all__ = ["main", "only_pixels"]

_JOINED = 1 << 16  # up to this size copying is cheaper than a second system call


@dataclass(frozen=True, slots=True)
class _Config:
    analyse: str
    params: Mapping[str, Any]
    limits: Limits


def main() -> NoReturn:
    """Serve until stdin ends."""
    code = 0
    try:
        jobs, answers = _take_over_stdio()
        _serve(jobs, answers)
    except (EOFError, BrokenPipeError, ConnectionError):
        pass  # the pool is gone, and so is the reason to be here
    except BaseException:
        sys.excepthook(*sys.exc_info())  # what the traceback module would print, without its 10 ms of import
        code = 1
    os._exit(code)  # nothing of this process is worth tidying up, and its heap may be damaged


def _take_over_stdio() -> tuple[BufferedReader, FileIO]:
    """Keep the pipes for frames alone: what is printed goes to stderr, what reads stdin finds it empty."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pool's to handle
    jobs, answers = FileIO(os.dup(0), "rb"), FileIO(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    # A worker may not write to files: where stderr is one, printing would fail, so it goes nowhere.
    output = 2 if _is_no_file(2) else null
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(null)
    return BufferedReader(jobs, 1 << 16), answers


def _is_no_file(handle: int) -> bool:
    try:
        return not stat.S_ISREG(os.fstat(handle).st_mode)
    except OSError:  # it is closed
        return False


def _serve(jobs: BufferedReader, answers: FileIO) -> None:
    fields = json.loads(read_exactly(jobs, int.from_bytes(read_exactly(jobs, 4), "little")))
    config = _Config(fields["analyse"], fields["params"], Limits(**fields["limits"]))
    try:
        analyse = _prepare(config)
        gc.freeze()  # collections need not go through what is imported, which is a lot
        close_others((jobs.fileno(), answers.fileno()))
        sealed = seal()
    except Exception as error:
        _send(answers, pack_refusal("fatal", type(error).__name__, f"{config.analyse}: {error}"))
        return
    _send(answers, pack_answer({"sealed": sealed}))  # ready
    leash = Leash(config.limits)
    while True:
        data, params = read_job(jobs)
        leash.tighten()
        answer = _answer(data, analyse, {**config.params, **params}, config.limits)
        del data
        leash.loosen()
        _send(answers, answer)


def _prepare(config: _Config) -> Callable[..., Mapping[str, Any]]:
    """Import everything that is needed, since nothing can be once the worker is sealed."""
    warnings.simplefilter("ignore")  # they are about damaged metadata
    Image.MAX_IMAGE_PIXELS = None  # our own limits are checked, before it
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    module, _, attribute = config.analyse.partition(":")
    home = import_module(module)
    analyse: Callable[..., Mapping[str, Any]] = getattr(home, attribute)
    preload(decoder.partition(":")[0] for decoder in FORMATS.values())
    getattr(home, "warm_up", _nothing)()
    limit_process(config.limits)
    return analyse


def _nothing() -> None:
    """Stand in for the ``warm_up`` of an analysis that imports all it needs with its module."""


def _answer(data: bytes, analyse: Callable[..., Mapping[str, Any]], params: Mapping[str, Any], limits: Limits) -> Parts:
    try:
        wanted = {name: params.get(name) for name in ("side", "identify", "metadata")}
        picture = decode(data, limits=limits, **wanted)
        return pack_answer(analyse(picture, params))
    except BadPicture as error:
        return pack_refusal("bad", error.reason, error.detail)
    except MemoryError:
        return pack_refusal("bad", "out_of_memory", "the analysis ran out of memory")
    except Exception as error:
        return pack_refusal("bad", "analysis_failed", f"{type(error).__name__}: {error}")


def _send(answers: FileIO, parts: Parts) -> None:
    for part in [b"".join(parts)] if sum(map(len, parts)) <= _JOINED else parts:
        view = memoryview(part)
        while view:
            view = view[answers.write(view) :]


def only_pixels(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the picture itself: ``pixels``, ``width``, ``height``, ``format``."""
    return {
        "pixels": picture.pixels,
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
    }
