"""What a decoder that a picture has taken over can reach: nothing; and that sealed workers decode every format."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from sosie.decode import DecodePool, decode, seal
from sosie.types import Picture

GOLDEN = Path(__file__).parents[1] / "golden"
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"), reason="sealed on Linux only"
)


def attempts(params: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return what an attacker would try; each raises OSError where it is refused."""
    secret = params["secret"]
    return {
        "read a file": lambda: Path(secret).read_bytes(),
        "write a file": lambda: os.open(f"{secret}.new", os.O_CREAT | os.O_WRONLY),
        "empty a file": lambda: os.truncate(secret, 0),
        "delete a file": lambda: os.unlink(secret),
        "list a folder": lambda: os.listdir("/"),
        "open a parent's memory": lambda: os.open(f"/proc/{params['parent']}/mem", os.O_RDWR),
        "make a socket": socket.socket,
        "fork": _fork,
        "map a file's memory": lambda: call(319, ctypes.c_char_p(b"x"), 0),  # memfd_create
        "read the parent's memory": lambda: call(310, params["parent"], 0, 0, 0, 0, 0),  # process_vm_readv
        "make a ring": lambda: call(425, 8, ctypes.create_string_buffer(120)),  # io_uring opens files, too
        "drop the limits": lambda: call(302, params["parent"], 0, 0, ctypes.create_string_buffer(16)),
        "run a program": lambda: os.execv("/bin/true", ["true"]),
        "stop a process": lambda: os.kill(params["parent"], 0),
        "raise its memory": _raise_memory,
    }


def call(number: int, *arguments: Any) -> None:
    """Make a system call of x86_64, beside all libraries."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")


def _fork() -> None:
    if not os.fork():
        os._exit(0)


def _raise_memory() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def taken_over(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Try everything; say what succeeded."""
    succeeded = []
    for name, attempt in attempts(params).items():
        try:
            attempt()
        except (OSError, ValueError):
            continue
        succeeded.append(name)
    return {"succeeded": succeeded, "environment": dict(os.environ)}


# Numbers on x86_64, in order: read write close fstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask
# rt_sigreturn readv writev sched_yield mremap madvise nanosleep setitimer getpid clone (see `attempts`) exit
# gettimeofday getrusage sysinfo sigaltstack gettid futex sched_getaffinity restart_syscall clock_gettime clock_getres
# clock_nanosleep exit_group ppoll set_robust_list prlimit64 getcpu getrandom membarrier rseq; 335 and 336 belong to
# probes of the kernel, which no filter sees and which kill whoever else makes them.
COMPUTING = [0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20, 24, 25, 28, 35, 38, 39, 56, 60, 96, 98, 99, 131, 186]
COMPUTING += [202, 204, 219, 228, 229, 230, 231, 271, 273, 302, 309, 318, 324, 334, 335, 336]


def sweep(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make every system call but the allowed ones, in a sealed process only: some would harm; return what succeeds."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(21, 0, 0, 0, 0) != 2:
        return {"sealed": False}
    numbers = [n + base for base in (0, 0x40000000) for n in range(600) if n not in params["allowed"] or base]
    refused = (errno.EPERM, errno.ENOSYS)
    through = [n for n in numbers if libc.syscall(n, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() not in refused]
    return {"sealed": True, "let through": through}


def state(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return whether the process may gain privileges, the mode of its filter, and whether threads still start."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    libc = ctypes.CDLL(None)
    return {"no_new_privs": libc.prctl(39, 0, 0, 0, 0), "seccomp": libc.prctl(21, 0, 0, 0, 0)}


def pixels(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return all that decoding gives."""
    return {"pixels": picture.pixels, "exact": picture.exact, "frames": picture.frames}


def scene(mode: str = "RGB") -> Image.Image:
    return Image.radial_gradient("L").resize((90, 70)).convert(mode)


def saved(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    scene(mode).save(file, kind, **options)
    return file.getvalue()


def foreign_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def more() -> dict[str, Any]:
    """Return what makes a picture the first of two; a fresh one each time, for Pillow keeps settings on it."""
    return {"save_all": True, "append_images": [Image.new("RGB", (90, 70), "red")]}


PICTURES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved("JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    "jpeg, wrong profile": lambda: saved("JPEG", icc_profile=foreign_profile()),
    "jpeg, progressive": lambda: saved("JPEG", progressive=True),
    "jpeg, cmyk": lambda: saved("JPEG", "CMYK"),
    "jpeg, no end": lambda: saved("JPEG")[:-2],
    "jpeg, exif": lambda: saved("JPEG", exif=_turned()),
    "mpo": lambda: saved("MPO", **more()),
    "png": lambda: saved("PNG"),
    "png, palette": lambda: saved("PNG", "P", transparency=0),
    "png, 16 bits": lambda: saved("PNG", "I;16"),
    "png, animated": lambda: saved("PNG", **more()),
    "webp": lambda: saved("WEBP", lossless=True),
    "webp, animated": lambda: saved("WEBP", **more()),
    "gif, animated": lambda: saved("GIF", "P", **more()),
    "tiff, lzw": lambda: saved("TIFF", compression="tiff_lzw"),
    "tiff, jpeg": lambda: saved("TIFF", compression="jpeg"),
    "tiff, pages": lambda: saved("TIFF", compression="tiff_deflate", **more()),
    "tiff, float": lambda: saved("TIFF", "F"),
    "bmp": lambda: saved("BMP"),
    "ppm": lambda: saved("PPM"),
    "tga": lambda: saved("TGA"),
    "avif": lambda: saved("AVIF"),
    "heif": (GOLDEN / "scene.heic").read_bytes,
}


def test_a_decoder_that_was_taken_over_reaches_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("something of the user's")
    params = {"secret": str(secret), "parent": os.getpid()}
    with DecodePool(1, analyse=f"{__name__}:taken_over", params=params) as pool:
        found = pool.submit(saved("PNG")).result(timeout=60)
    assert found == {"succeeded": [], "environment": {}}
    assert secret.read_text() == "something of the user's"


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_every_system_call_but_those_of_computing_is_refused() -> None:
    """Tries all numbers, unknown ones and those of other call conventions included."""
    with DecodePool(1, analyse=f"{__name__}:sweep", params={"allowed": COMPUTING}) as pool:
        found = pool.submit(saved("PNG")).result(timeout=60)
    assert found == {"sealed": True, "let through": []}


def test_each_layer_denies_files_without_the_other(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("something of the user's")
    for layer in ("deny_files", "filter_calls"):
        code = f"import sys; from sosie.decode import seal; assert seal.{layer}(); open(sys.argv[1])"
        done = subprocess.run([sys.executable, "-c", code, str(secret)], capture_output=True, text=True, check=False)
        assert "PermissionError" in done.stderr, (layer, done.stderr)


def test_what_the_system_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert seal.missing() == ["seccomp", "landlock"]
    assert "has your rights" in seal.warning()


def test_workers_take_every_measure_that_the_system_has() -> None:
    with DecodePool(1) as pool:
        pool.submit(saved("PNG")).result(timeout=60)
        assert {"seccomp", "landlock"} - set(pool.sealed) == set(seal.missing())


def test_a_worker_is_sealed_and_can_still_start_threads() -> None:
    with DecodePool(1, analyse=f"{__name__}:state") as pool:
        assert pool.submit(saved("PNG")).result(timeout=60) == {"no_new_privs": 1, "seccomp": 2}
        assert {"seccomp", "no_new_privs", "not_dumpable"} <= set(pool.sealed)


def test_a_worker_that_is_out_of_reach_still_stops_itself() -> None:
    """The signals that a crash sends to the process itself are allowed: pools tell a crash by them."""
    with DecodePool(1, analyse="tests.faults.decode_faults:on_victim", params={"fault": "crash"}) as pool:
        error = pool.submit(_of_width(13)).exception(timeout=60)
    assert signal.SIGSEGV.name in str(error)


def _of_width(width: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, 8)).save(file, "PNG")
    return file.getvalue()


def test_sealed_workers_decode_every_format_as_open_ones_do() -> None:
    with DecodePool(1, analyse=f"{__name__}:pixels", params={"identify": "full"}) as pool:
        for name, draw in PICTURES.items():
            data = draw()
            picture, sealed = decode(data, identify="full"), pool.submit(data).result(timeout=60)
            assert (sealed["pixels"] == picture.pixels).all(), name
            assert (sealed["exact"], sealed["frames"]) == (picture.exact, picture.frames), name


@pytest.mark.parametrize(
    "analyse",
    ["sosie.copies.compare:analyse_side", "sosie.analysis.features:analyse_reference", "sosie.server.previews:render"],
)
def test_sealed_workers_analyse(analyse: str) -> None:
    with DecodePool(1, analyse=analyse, params={"side": 64, "longest": 64}) as pool:
        assert pool.submit(saved("PNG")).result(timeout=60)
