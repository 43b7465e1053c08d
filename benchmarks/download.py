"""How fast and how lean downloads are, beside a bare httpx client with the same concurrency.

    python benchmarks/download.py speed      # pictures a second, ours over bare httpx, alternating runs
    python benchmarks/download.py memory     # peak memory over 100,000 URLs, as they go by

A local server in a process of its own answers; nothing leaves the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import httpx

from sosie.sources.web.addresses import Internet
from sosie.sources.web.download import Download, Politeness
from sosie.types import ImageRef

CONCURRENCY = 32


class Server(asyncio.Protocol):
    """The fastest server that Python has: no parsing beyond the end of a request."""

    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answer * data.count(b"\r\n\r\n"))  # type: ignore[attr-defined]


def serve(pipe: Connection, size: int) -> None:
    body = b"\xff\xd8\xff" + os.urandom(size - 3)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n"
    Server.answer = head.encode() + body

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def start_server(size: int) -> tuple[multiprocessing.Process, str]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there, size), daemon=True)
    process.start()
    return process, f"http://127.0.0.1:{here.recv()}"


def refs(url: str, n: int) -> Iterator[ImageRef]:
    return (ImageRef(f"{url}/{at}.jpg") for at in range(n))


def ours(url: str, n: int) -> int:
    download = Download(
        politeness=Politeness(concurrency=CONCURRENCY, per_host=CONCURRENCY), internet=Internet(allow_private=True)
    )
    return sum(isinstance(outcome, bytes) for _, outcome in download.stream(refs(url, n)))


def bare(url: str, n: int) -> int:
    """What anybody would write: workers that take the next URL and get it."""

    async def run() -> int:
        done = 0
        todo = refs(url, n)
        limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)

        async def worker(client: httpx.AsyncClient) -> None:
            nonlocal done
            for ref in todo:
                response = await client.get(ref.uri)
                done += response.status_code == 200

        async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
            await asyncio.gather(*(worker(client) for _ in range(CONCURRENCY)))
        return done

    return asyncio.run(run())


def speed(n: int, rounds: int, size: int) -> None:
    process, url = start_server(size)
    ours(url, 200), bare(url, 200)
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    work: dict[str, list[float]] = {"ours": [], "bare": []}  # processor time, which a busy machine does not change
    for _ in range(rounds):
        for name, run in (("bare", bare), ("ours", ours)):
            started, worked = time.perf_counter(), time.process_time()
            assert run(url, n) == n
            rates[name].append(n / (time.perf_counter() - started))
            work[name].append((time.process_time() - worked) / n)
    process.kill()
    ratios = [a / b for a, b in zip(rates["ours"], rates["bare"], strict=True)]
    print(f"{n} pictures of {size // 1000} kB, {CONCURRENCY} at once, {rounds} rounds")
    for name, values in rates.items():
        print(f"{name:>6}: {statistics.median(values):8.0f} pictures/s (median), {max(values):8.0f} at best")
    per_cpu = [b / a for a, b in zip(work["ours"], work["bare"], strict=True)]
    print(f" ratio by processor time: {statistics.median(per_cpu):.2f} ({min(per_cpu):.2f} to {max(per_cpu):.2f})")
    print(f" ratio: {statistics.median(ratios):8.2f} (median; {min(ratios):.2f} to {max(ratios):.2f})")


def memory(n: int, size: int) -> None:
    process, url = start_server(size)
    download = Download(
        politeness=Politeness(concurrency=CONCURRENCY, per_host=CONCURRENCY), internet=Internet(allow_private=True)
    )
    started = time.perf_counter()
    for at, _ in enumerate(download.stream(refs(url, n)), 1):
        if at % (n // 10) == 0:
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
            print(f"{at:>8} URLs  {resident / 1e6:7.1f} MB  {at / (time.perf_counter() - started):6.0f}/s", flush=True)
    process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("-n", type=int, default=0, help="how many URLs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=0, help="bytes of a picture")
    args = parser.parse_args()
    if args.what == "speed":
        speed(args.n or 2_000, args.rounds, args.size or 50_000)
    else:
        memory(args.n or 100_000, args.size or 10_000)
