"""Load a server on loopback and say what it bears.

    python benchmarks/serve.py --pictures 100000 --seconds 20
    python benchmarks/serve.py --pictures 100000 --library DIR     # made once, measured as often as asked

The library holds one indexed picture folder and, to reach the asked size, random unit vectors written as pictures of
the catalogue: search by id reads vectors, not files. Uploads are real JPEGs. The server is a process of its own
(`sosie serve`), the load comes from this one: closed loops, each waiting for its answer before it asks again.
Memory is the server's resident set. Figures are printed as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.pictures import folder_of, jpeg  # noqa: E402

import sosie  # noqa: E402
from sosie.library import Library  # noqa: E402
from sosie.testing.fakes import fill_with_vectors  # noqa: E402
from sosie.types import Picture  # noqa: E402

Call = Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]]


def latent(count: int, dim: int, *, seed: int = 0) -> np.ndarray:
    """Return vectors (count, dim): pictures do not fill their space, so 24 latent dimensions and some noise."""
    generator = np.random.default_rng(seed)
    base = generator.standard_normal((24, dim), dtype=np.float32)
    vectors = generator.standard_normal((count, 24), dtype=np.float32) @ base
    return vectors + generator.standard_normal((count, dim), dtype=np.float32)


@contextlib.contextmanager
def served(library: Path) -> Iterator[tuple[str, int, float]]:
    """Run `sosie serve`; give its address, process and the seconds until it was ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    command = [sys.executable, "-m", "sosie", "serve", "--library", str(library), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{address}/readyz").status_code == 200:
                    break
            time.sleep(0.01)
        yield address, process.pid, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


async def load(address: str, call: Call, *, seconds: float, callers: int) -> dict[str, float]:
    """Ask in closed loops; return the rate, the latencies in ms and the statuses that are not 2xx."""
    times: list[float] = []
    wrong = 0
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        end = time.perf_counter() + seconds

        async def loop(at: int) -> None:
            nonlocal wrong
            while time.perf_counter() < end:
                began = time.perf_counter()
                answer = await call(client, at)
                times.append(time.perf_counter() - began)
                wrong += not answer.is_success
                at += callers

        began = time.perf_counter()
        await asyncio.gather(*(loop(n) for n in range(callers)))
        elapsed = time.perf_counter() - began
    p50, p99 = np.percentile(times, [50, 99]) * 1000
    return {
        "per_second": round(len(times) / elapsed, 1),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "requests": len(times),
        "not_2xx": wrong,
    }


def bare_rate(library: Library, uploads: list[bytes], *, seconds: float) -> tuple[float, float]:
    """Return pictures a second of the embedder alone, one at a time, and its processor time for one in ms."""
    pictures = []
    for data in uploads:
        found = library.analyse(data)
        pictures.append(Picture(found["input"], found["width"], found["height"]))
    library.embed(pictures[:1])
    done, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        library.embed([pictures[done % len(pictures)]])
        done += 1
    return done / (time.perf_counter() - began), 1000 * (time.process_time() - cpu) / done


def resident(process: int) -> int:
    """Return the resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def processor_seconds(process: int) -> float:
    """Return the processor time that a process and its workers have used."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rsplit(")", 1)[1].split()
            if int(entry.parent.name) == process or int(fields[1]) == process:
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def make(folder: Path, count: int) -> None:
    """Make the library, unless it is there."""
    with sosie.open(folder / "library") as library:
        if library.stats()["pictures"] == count:
            return
        library.add(folder_of(folder / "pictures", 64), workers=1)
        fill_with_vectors(library, latent(count - 64, library.embedder.spec.dim))
        if count > 20_000:
            library.indexes.build("auto")


def measure(kept: Path | None, count: int, seconds: float, callers: int) -> dict[str, Any]:
    """Serve the library and load the server."""
    with tempfile.TemporaryDirectory() as name:
        folder = kept or Path(name)
        make(folder, count)
        uploads = [jpeg(seed, width=640, height=480) for seed in range(32)]
        with sosie.open(folder / "library") as library:
            ids = library.catalogue.live_ids().tolist()
            index = library.stats()["index"]
            bare, bare_cpu = bare_rate(library, uploads, seconds=min(5.0, seconds))

        async def by_id(client: httpx.AsyncClient, at: int) -> httpx.Response:
            return await client.get("/api/v1/search", params={"id": ids[(at * 7919) % len(ids)], "k": 10})

        async def by_upload(client: httpx.AsyncClient, at: int) -> httpx.Response:
            files = {"picture": ("a.jpg", uploads[at % len(uploads)])}
            return await client.post("/api/v1/search", files=files)

        with served(folder / "library") as (address, process, ready):
            asyncio.run(load(address, by_id, seconds=2, callers=callers))  # indexes opened, connections made
            used = [processor_seconds(process)]
            found_by_id = asyncio.run(load(address, by_id, seconds=seconds, callers=callers))
            used.append(processor_seconds(process))
            asyncio.run(load(address, by_upload, seconds=2, callers=callers))
            before = resident(process)
            used.append(processor_seconds(process))
            found_by_upload = asyncio.run(load(address, by_upload, seconds=seconds, callers=callers))
            used.append(processor_seconds(process))
            after = resident(process)
        # Processor time says what a request costs whatever else the machine does.
        found_by_id["cpu_ms"] = round(1000 * (used[1] - used[0]) / found_by_id["requests"], 2)
        found_by_upload["cpu_ms"] = round(1000 * (used[3] - used[2]) / found_by_upload["requests"], 2)
        return {
            "pictures": count,
            "index": index,
            "callers": callers,
            "start_to_ready_s": round(ready, 2),
            "by_id": found_by_id,
            "by_upload": found_by_upload,
            "embedder_alone_per_second": round(bare, 1),
            "embedder_alone_cpu_ms": round(bare_cpu, 2),
            "upload_share_of_embedder": round(found_by_upload["per_second"] / bare, 3),
            "resident_mib": [before, after],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--library", type=Path, help="a folder to keep the library in")
    parser.add_argument("--callers", type=int, default=4, help="closed loops at once")
    given = parser.parse_args()
    print(json.dumps(measure(given.library, given.pictures, given.seconds, given.callers), indent=2))


if __name__ == "__main__":
    main()
