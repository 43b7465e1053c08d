"""The pool gives back what the workers found, in order, and outlives them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sosie.analysis.worker import NO_EXTRAS, ONLY_WORKING, analysis_params
from sosie.decode import DecodePool, Limits, decode
from sosie.decode.pool import CALLER
from sosie.decode.process import Job, start_worker
from sosie.errors import BadPicture
from sosie.types import Preprocessing


def jpeg(colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def test_the_pool_decodes_as_this_process_does() -> None:
    with DecodePool() as pool:
        found = pool.submit(jpeg()).result(timeout=60)
    picture = decode(jpeg())
    assert np.array_equal(found["pixels"], picture.pixels)
    assert (found["width"], found["height"], found["format"]) == (64, 48, "JPEG")


def test_map_keeps_the_order_and_gives_a_bad_picture_its_place() -> None:
    items = [(0, jpeg()), (1, b"text"), (2, jpeg(size=(8, 8)))]
    with DecodePool(2) as pool:
        answers = list(pool.map(items, in_flight=2))
    assert [key for key, _ in answers] == [0, 1, 2]
    bad = answers[1][1]
    assert isinstance(bad, BadPicture)
    assert bad.reason == "not_a_picture"


def test_a_bad_picture_is_raised_by_its_future() -> None:
    with DecodePool() as pool, pytest.raises(BadPicture, match="empty"):
        pool.submit(b"").result(timeout=60)


def test_one_picture_is_analysed_otherwise_where_its_parameters_say_so() -> None:
    params = analysis_params(Preprocessing(side=32))
    with DecodePool(analyse="sosie.analysis.worker:analyse_query", params=params) as pool:
        futures = [pool.submit(jpeg(), told) for told in (None, NO_EXTRAS, ONLY_WORKING, None)]
        whole, lean, pixels, again = (future.result(timeout=60) for future in futures)
    assert whole.keys() - lean.keys() == {"pdq", "pdq_quality", "working"}
    assert whole.keys() - pixels.keys() == {"pdq", "pdq_quality"}
    for kept in (lean, again):
        assert all(np.array_equal(kept[name], whole[name]) for name in lean)


def test_map_pulls_no_further_ahead_than_it_may() -> None:
    pulled = 0

    def items() -> Iterator[tuple[int, bytes]]:
        nonlocal pulled
        for at in range(30):
            pulled += 1
            yield at, jpeg()

    with DecodePool() as pool:
        for taken, _ in enumerate(pool.map(items(), in_flight=4)):
            assert pulled - taken <= 4
    assert pulled == 30


def test_a_picture_is_not_blamed_for_the_time_of_the_one_before_it() -> None:
    worker = start_worker("sosie.decode:only_pixels", {}, Limits())()
    worker.jobs.extend([Job(b"slow"), Job(b"next")])
    worker.kill_for_time()
    blamed = worker.fate()
    worker.jobs.popleft()  # its answer was in the pipe after all
    innocent = worker.fate()
    worker.dispose()
    assert blamed is not None
    assert blamed[1].reason == "timeout"
    assert innocent is None


def test_one_caller_never_takes_all_workers() -> None:
    slow = "tests.faults.decode_slow:half_a_second"
    with DecodePool(1, analyse=slow, most=2) as pool:
        token = CALLER.set("greedy")
        greedy = [pool.submit(jpeg()) for _ in range(8)]
        greedy[0].result(timeout=60)
        CALLER.set("other")
        pool.submit(jpeg()).result(timeout=60)
        CALLER.reset(token)
        assert sum(future.done() for future in greedy) < 8


_FORK = """
import os, sys
from pathlib import Path
from sosie.decode import DecodePool

pool = DecodePool(1)
data = Path(sys.argv[1]).read_bytes()
pool.submit(data).result()
before = pool._workers[0].process.pid
child = os.fork()
if child == 0:
    sys.exit(0)  # as a program ends, with what is done at its end
os.waitpid(child, 0)
pool.submit(data).result()
print(pool._workers[0].process.pid == before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_the_child_of_a_fork_leaves_the_workers_to_its_parent(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    done = subprocess.run(
        [sys.executable, "-c", _FORK, str(tmp_path / "a.jpg")], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "True\n", done.stderr
