"""Load a server on loopback and say what it bears.

    python benchmarks/serve.py --pictures 100000 --seconds 20
    python benchmarks/serve.py --pictures 100000 --library DIR     # made once, measured as often as asked

The library holds one indexed picture folder and, to reach the asked size, random unit vectors written as pictures of
the catalogue: search by id reads vectors, not files. Uploads are real JPEGs. The server is a process of its own
(`sosie serve`), the load comes from this one: closed loops, each waiting for its answer before it asks again. Requests
are made beforehand and answers hardly looked at, so that the cores which both share go to the server.

Uploads and the bare network take turns, round after round, since a machine that others share is faster in one minute
than in the next: the share is the median of the rounds' own.

The floor is what an upload cannot do without, each part measured bare in this run: decoding and preparing it, the
network, and a server that reads the body and answers with as many bytes without looking. Memory is the server's
resident set. Figures are printed as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.pictures import folder_of, jpeg  # noqa: E402

import sosie  # noqa: E402
from sosie.analysis.worker import NO_EXTRAS, analyse_query  # noqa: E402
from sosie.decode import decode  # noqa: E402
from sosie.library import Library  # noqa: E402
from sosie.testing.fakes import fill_with_vectors  # noqa: E402
from sosie.types import Picture  # noqa: E402

ANSWER = 3000  # bytes, about what ten hits take


def latent(count: int, dim: int, *, seed: int = 0) -> np.ndarray:
    """Return vectors (count, dim): pictures do not fill their space, so 24 latent dimensions and some noise."""
    generator = np.random.default_rng(seed)
    base = generator.standard_normal((24, dim), dtype=np.float32)
    vectors = generator.standard_normal((count, 24), dtype=np.float32) @ base
    return vectors + generator.standard_normal((count, dim), dtype=np.float32)


# ------------------------------------------------------------------------------------------------ servers


@contextlib.contextmanager
def served(library: Path) -> Iterator[tuple[str, int, float]]:
    """Run `sosie serve`; give its address, process and the seconds until it was ready."""
    port = free_port()
    with _running("sosie", "serve", "--library", str(library), "--port", str(port), ready=("/readyz", port)) as found:
        yield f"http://127.0.0.1:{port}", *found


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Be the least that a server can be: read the body, answer with some bytes."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(ANSWER).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(ANSWER)})


@contextlib.contextmanager
def served_bare() -> Iterator[tuple[int, int]]:
    """Run ``bare`` on the same HTTP implementation; give its port and process."""
    port = free_port()
    here = ("--app-dir", str(Path(__file__).parent), "serve:bare")
    quiet = ("--http", "h11", "--log-level", "warning", "--no-access-log", "--port", str(port))
    with _running("uvicorn", *here, *quiet, ready=("/", port)) as (process, _):
        yield port, process


@contextlib.contextmanager
def _running(module: str, *arguments: str, ready: tuple[str, int]) -> Iterator[tuple[int, float]]:
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stderr=subprocess.DEVNULL)
    path, port = ready
    try:
        while not _answers(path, port):
            time.sleep(0.005)
        yield process.pid, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _answers(path: str, port: int) -> bool:
    try:
        with Caller(port) as caller:
            return caller.ask(get(path)) == 200
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# ------------------------------------------------------------------------------------------------ callers


def get(path: str) -> bytes:
    """Return a request as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def upload(data: bytes) -> bytes:
    """Return a search by an upload as it goes over the wire."""
    part = b'Content-Disposition: form-data; name="picture"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = b"--frontier\r\n" + part + data + b"\r\n--frontier--\r\n"
    kind = "Content-Type: multipart/form-data; boundary=frontier"
    head = f"POST /api/v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Caller:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> int:
        """Send a request, wait for the whole answer, and return its status."""
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) - len(body)
        while left > 0:
            left -= len(self._more())
        return int(head.split(b" ", 2)[1])

    def _more(self) -> bytes:
        got = self._socket.recv(1 << 16)
        if not got:
            raise ConnectionError("the server hung up")
        return got


def load(port: int, request: Callable[[int], bytes], *, seconds: float, callers: int) -> dict[str, float]:
    """Ask in closed loops; return the rate, the latencies in ms and how many statuses are not 2xx."""
    times: list[float] = []
    statuses: list[int] = []
    end = time.perf_counter() + seconds

    def loop(at: int) -> None:
        with Caller(port) as caller:
            while (began := time.perf_counter()) < end:
                statuses.append(caller.ask(request(at)))
                times.append(time.perf_counter() - began)
                at += callers

    began, cpu = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=loop, args=(n,)) for n in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    p50, p99 = np.percentile(times, [50, 99]) * 1000
    return {
        "per_second": round(len(times) / elapsed, 1),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "requests": len(times),
        "not_2xx": sum(not 200 <= status < 300 for status in statuses),
        "callers_cpu_ms": round(1000 * (time.process_time() - cpu) / len(times), 2),
    }


def loaded(
    port: int, process: int, request: Callable[[int], bytes], *, seconds: float, callers: int
) -> dict[str, float]:
    """Return the same after up to two seconds to warm up, with the processor time that a request cost the server."""
    load(port, request, seconds=min(2.0, seconds / 2), callers=callers)  # indexes opened, connections made
    before = processor_seconds(process)
    found = load(port, request, seconds=seconds, callers=callers)
    # Processor time says what a request costs whatever else the machine does.
    return {**found, "cpu_ms": round(1000 * (processor_seconds(process) - before) / found["requests"], 2)}


# ------------------------------------------------------------------------------------------------ bare rates


def repeated(call: Callable[[int], object], *, seconds: float) -> tuple[float, float]:
    """Call again and again; return how often a second, and the processor time of one call in ms."""
    call(0)
    done, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        call(done)
        done += 1
    return done / (time.perf_counter() - began), 1000 * (time.process_time() - cpu) / done


def prepared(library: Library, uploads: list[bytes]) -> list[Picture]:
    """Return what the network is given of some uploads."""
    found = [library.engine.analyse(data) for data in uploads]
    return [Picture(each["input"], each["width"], each["height"]) for each in found]


def floor_of(library: Library, uploads: list[bytes], *, seconds: float, callers: int) -> dict[str, float]:
    """Measure bare what no upload can do without; rates a second, processor times of one in ms.

    The network runs as the server lets it here, one picture at a time on one core.
    """
    params = {**library.engine.params, **NO_EXTRAS}
    pictures = prepared(library, uploads)
    several = len(uploads)
    with sosie.open(library.path, threads=1) as sharing:
        _, network_cpu = repeated(lambda at: sharing.embed([pictures[at % several]]), seconds=seconds)
    _, decode_cpu = repeated(
        lambda at: analyse_query(decode(uploads[at % several], side=params["side"], identify="quick"), params),
        seconds=seconds,
    )
    requests = [upload(data) for data in uploads]
    with served_bare() as (port, process):
        http = loaded(port, process, lambda at: requests[at % several], seconds=seconds, callers=callers)
    needed = network_cpu + decode_cpu + http["cpu_ms"] + http["callers_cpu_ms"]
    return {
        "network_cpu_ms": round(network_cpu, 2),
        "decode_cpu_ms": round(decode_cpu, 2),
        "http_cpu_ms": round(http["cpu_ms"] + http["callers_cpu_ms"], 2),
        "cpu_ms": round(needed, 2),
        "per_second": round(1000 * len(os.sched_getaffinity(0)) / needed, 1),
    }


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
            if library.models.lacking():
                sys.exit(f"{folder} was made with another model: give a folder that is not there yet")
            return
        library.add(folder_of(folder / "pictures", 64), workers=1)
        fill_with_vectors(library, latent(count - 64, library.embedder.spec.dim))
        if count > 20_000:
            library.indexes.build("auto")


def rounds_of(
    library: Library, pictures: list[bytes], port: int, process: int, *, seconds: float, callers: int, rounds: int
) -> dict[str, Any]:
    """Let the bare network, on all cores, and uploads take turns; return the medians, and each round's share."""
    inputs, requests = prepared(library, pictures), [upload(data) for data in pictures]
    bare_rates, loads = [], []
    for _ in range(rounds):
        rate, _ = repeated(lambda at: library.embedder.embed([inputs[at % len(inputs)]]), seconds=seconds / rounds)
        bare_rates.append(rate)
        ask = partial(_nth, requests)
        loads.append(loaded(port, process, ask, seconds=seconds / rounds, callers=callers))
    shares = [round(load["per_second"] / rate, 3) for load, rate in zip(loads, bare_rates, strict=True)]
    summed = ("requests", "not_2xx")
    return {
        **{name: round(statistics.median(load[name] for load in loads), 2) for name in loads[0] if name not in summed},
        **{name: sum(load[name] for load in loads) for name in summed},
        "network_alone_per_second": round(statistics.median(bare_rates), 1),
        "share_of_network": statistics.median(shares),
        "share_by_round": shares,
    }


def _nth(requests: list[bytes], at: int) -> bytes:
    return requests[at % len(requests)]


def measure(
    kept: Path | None, count: int, *, seconds: float, callers: int, uploaders: int, rounds: int
) -> dict[str, Any]:
    """Serve the library and load the server."""
    with tempfile.TemporaryDirectory() as name:
        folder = kept or Path(name)
        make(folder, count)
        pictures = [jpeg(seed, width=640, height=480) for seed in range(32)]
        with sosie.open(folder / "library") as library, served(folder / "library") as (address, process, ready):
            ids = library.catalogue.live_ids().tolist()
            port = int(address.rpartition(":")[2])
            by_id = loaded(
                port,
                process,
                lambda at: get(f"/api/v1/search?id={ids[(at * 7919) % len(ids)]}&k=10"),
                seconds=seconds,
                callers=callers,
            )
            before = resident(process)
            by_upload = rounds_of(library, pictures, port, process, seconds=seconds, callers=uploaders, rounds=rounds)
            after = resident(process)
            index = library.stats()["index"]
            floor = floor_of(library, pictures, seconds=min(5.0, seconds), callers=uploaders)
        return {
            "pictures": count,
            "index": index,
            "callers": callers,
            "uploaders": uploaders,
            "start_to_ready_s": round(ready, 2),
            "by_id": by_id,
            "by_upload": by_upload,
            "floor": floor,
            "upload_share_of_floor": round(by_upload["per_second"] / floor["per_second"], 3),
            "resident_mib": [before, after],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--library", type=Path, help="a folder to keep the library in")
    parser.add_argument("--callers", type=int, default=4, help="closed loops at once that search by id")
    parser.add_argument("--uploaders", type=int, default=16, help="closed loops at once that upload: enough to fill it")
    parser.add_argument("--rounds", type=int, default=5, help="turns of the uploads and the bare network")
    given = parser.parse_args()
    figures = measure(
        given.library,
        given.pictures,
        seconds=given.seconds,
        callers=given.callers,
        uploaders=given.uploaders,
        rounds=max(1, given.rounds),
    )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
