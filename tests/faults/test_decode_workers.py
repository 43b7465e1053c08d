"""A worker may hang, crash, starve or lie: its picture is blamed, every other is decoded, nothing is left."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sosie.decode import REASONS, DecodePool, Limits
from sosie.errors import BadPicture, SosieError, UsageError
from tests.faults.decode_faults import VICTIM

FAULT = "tests.faults.decode_faults:on_victim"
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def picture(width: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def faulty(fault: str, *, workers: int = 1, limits: Limits | None = None, **params: Any) -> DecodePool:
    return DecodePool(workers, analyse=FAULT, params={"fault": fault, **params}, limits=limits or Limits())


def answers(pool: DecodePool, *widths: int) -> list[Any]:
    return [answer for _, answer in pool.map(((w, picture(w)) for w in widths), in_flight=4)]


@pytest.mark.parametrize(
    ("fault", "limits", "reason", "detail"),
    [
        ("hang", Limits(deadline=3.0), "timeout", "deadline"),
        ("spin", Limits(cpu_seconds=1, deadline=300.0), "timeout", "processor"),
        ("crash", None, "crashed", "SIGSEGV"),
        ("leave", None, "crashed", "exit code 7"),
        ("eat", Limits(memory=300 << 20), "out_of_memory", "memory"),
        ("fail", None, "analysis_failed", "a bug"),
        ("forge", None, "crashed", "header"),
        ("flood", None, "crashed", "buffers of more than"),
    ],
)
def test_the_picture_with_the_fault_is_blamed_and_no_other(
    fault: str, limits: Limits | None, reason: str, detail: str
) -> None:
    with faulty(fault, limits=limits) as pool:
        found = answers(pool, 1, 2, VICTIM, 3, 4, 5)
    blamed = found.pop(2)
    assert isinstance(blamed, BadPicture)
    assert blamed.reason == reason
    assert detail in blamed.detail
    assert reason in REASONS
    assert [answer["width"] for answer in found] == [1, 2, 3, 4, 5]


def test_with_room_enough_memory_may_be_eaten() -> None:
    with faulty("eat") as pool:
        assert answers(pool, VICTIM)[0]["size"] == 600 << 20


def test_a_slow_picture_within_the_deadline_is_not_killed() -> None:
    with DecodePool(analyse="tests.faults.decode_slow:half_a_second", limits=Limits(deadline=5)) as pool:
        assert [a["done"] for a in answers(pool, 1, 2, 3)] == [True] * 3


def test_what_is_printed_in_a_worker_disturbs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with faulty("chatter") as pool:
        assert answers(pool, VICTIM, 1)[0] == {"read": ""}
    assert capfd.readouterr().out == ""


def test_a_worker_cannot_write_a_file(tmp_path: Path) -> None:
    with faulty("write", path=str(tmp_path / "a")) as pool:
        found = answers(pool, VICTIM)[0]["errno"]
        assert found in ((errno.EPERM, errno.EACCES) if "seccomp" in pool.sealed else (errno.EFBIG,))
    assert not (tmp_path / "a").exists() or not (tmp_path / "a").stat().st_size


def test_a_worker_is_told_no_secret_and_loads_nothing_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with faulty("look") as pool:
        (seen,) = answers(pool, VICTIM)
    assert seen["environment"] == []
    assert not {"torch", "faiss", "cv2", "onnxruntime", "pydantic", "httpx"} & set(seen["modules"])


# ------------------------------------------------------------------------------------- signals and lives


def pids(pool: DecodePool) -> list[int]:
    return [worker.process.pid for worker in pool._workers]


def test_ctrl_c_is_not_for_workers() -> None:
    with DecodePool(analyse=FAULT) as pool:
        before = answers(pool, 1)[0]["pid"]
        os.kill(before, signal.SIGINT)
        assert answers(pool, 1)[0]["pid"] == before


def test_a_worker_that_is_killed_between_pictures_is_replaced_and_nobody_blamed() -> None:
    with DecodePool(analyse=FAULT) as pool:
        first = answers(pool, 1)[0]["pid"]
        os.kill(first, signal.SIGKILL)
        second = answers(pool, 1, 2, 3)
    assert [answer["width"] for answer in second] == [1, 2, 3]
    assert second[0]["pid"] != first


def test_workers_that_are_killed_all_the_time_lose_nothing() -> None:
    def items(pool: DecodePool) -> Iterator[tuple[int, bytes]]:
        for at in range(60):
            if at % 12 == 5:
                os.kill(pids(pool)[at % 2], signal.SIGKILL)
            yield at, picture(20 + at)

    with DecodePool(2, analyse=FAULT) as pool:
        found = list(pool.map(items(pool), in_flight=8))
    assert [(key, answer["width"]) for key, answer in found if not isinstance(answer, BadPicture)] == [
        (at, 20 + at) for at in range(60)
    ]


def children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            found.update((task / "children").read_text().split())
    return found


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@needs_linux
def test_nothing_is_left_after_closing() -> None:
    before = children(), handles()
    with faulty("crash", workers=2) as pool:
        answers(pool, 1, VICTIM, 2)
    assert (children(), handles()) == before


@needs_linux
def test_nothing_is_left_after_an_exception_in_the_consumer() -> None:
    before = children(), handles()
    with pytest.raises(ZeroDivisionError), DecodePool(2, analyse=FAULT) as pool:
        for _ in pool.map(((w, picture(w)) for w in range(1, 100)), in_flight=8):
            raise ZeroDivisionError
    assert (children(), handles()) == before


def test_closing_does_not_wait_for_a_picture_that_hangs() -> None:
    with faulty("hang") as pool:
        in_work, queued = pool.submit(picture(VICTIM)), [pool.submit(picture(1)) for _ in range(5)]
        time.sleep(0.5)
        start = time.monotonic()
        pool.close()
    assert time.monotonic() - start < 5
    for future in (in_work, *queued):
        with pytest.raises(CancelledError):
            future.result(timeout=1)


ORPHAN = """
import io, os, signal, sys
from PIL import Image
from sosie.decode import DecodePool, Limits
buffer = io.BytesIO()
Image.new("RGB", (int(sys.argv[1]), 8)).save(buffer, "PNG")
pool = DecodePool(analyse="tests.faults.decode_faults:on_victim", params={"fault": "hang"}, limits=Limits(deadline=3.0))
small = io.BytesIO()
Image.new("RGB", (8, 8)).save(small, "PNG")
print(pool.submit(small.getvalue()).result()["pid"], flush=True)
pool.submit(buffer.getvalue())
__import__("time").sleep(0.3)
os.kill(os.getpid(), signal.SIGKILL)
"""


@needs_linux
@pytest.mark.parametrize("width", [1, VICTIM], ids=["idle", "hanging"])
def test_a_worker_does_not_outlive_its_pool(width: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    dead = subprocess.run(
        [sys.executable, "-c", ORPHAN, str(width)], stdout=subprocess.PIPE, env=environment, check=False
    )
    assert dead.returncode == -signal.SIGKILL
    until = time.monotonic() + 30  # one that hangs has its deadline and a grace of 2 s
    while alive(int(dead.stdout)):
        assert time.monotonic() < until
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ------------------------------------------------------------------------------------------- broken pools


@pytest.mark.parametrize("analyse", ["tests.faults.decode_faults:nothing_of_the_kind", "no_such_module:at_all"])
def test_an_analysis_that_cannot_be_imported_is_an_error(analyse: str) -> None:
    with DecodePool(analyse=analyse) as pool:
        with pytest.raises(SosieError, match=analyse):
            pool.submit(picture(1)).result(timeout=60)
        with pytest.raises(SosieError, match="cannot start"):
            pool.submit(picture(1)).result(timeout=60)


def test_workers_that_die_as_they_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with DecodePool() as pool, pytest.raises(SosieError, match="die as they start"):
        pool.submit(picture(1)).result(timeout=60)


@pytest.mark.parametrize(("workers", "analyse"), [(0, FAULT), (1, "no_colon"), (1, ":"), (1, "a:")])
def test_a_pool_that_makes_no_sense_is_refused(workers: int, analyse: str) -> None:
    with pytest.raises(UsageError):
        DecodePool(workers, analyse=analyse)


def test_a_closed_pool_takes_nothing() -> None:
    pool = DecodePool()
    pool.close()
    pool.close()
    with pytest.raises(UsageError, match="closed"):
        pool.submit(picture(1))


def test_a_callback_may_use_the_pool_while_it_closes() -> None:
    seen: list[str] = []

    def resubmit(_: Any) -> None:
        with pytest.raises(UsageError):
            pool.submit(picture(1))
        seen.append("refused")

    with faulty("hang") as pool:
        pool.submit(picture(VICTIM)).add_done_callback(resubmit)
        pool.submit(picture(1)).add_done_callback(resubmit)
        pool.submit(picture(1)).add_done_callback(resubmit)
    assert seen == ["refused"] * 3


def test_a_pool_that_nobody_closes_ends_with_its_process() -> None:
    script = "from sosie.decode import DecodePool; pool = DecodePool(2); pool.submit(b'x' * 100)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
