"""Load a server with a bit of everything for a long time, and say whether it fails or grows.

    python benchmarks/soak.py --minutes 60 --rate 5

`sosie serve` runs as a process of its own over 20,000 pictures, 200 of them files. Calls come at a steady rate, whether
the last one is answered or not: searches by id, filter, box and upload, thumbnails, pages, the map, metrics, pictures
added, labelled and removed. Memory is the resident set of the server and its workers, sampled every half minute;
growth is counted from the tenth minute, when what is kept on purpose (uploads to search with) is full.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from serve import ROOT, resident, served

sys.path.insert(0, str(ROOT))

from tests.pictures import folder_of, jpeg

import sosie
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered

FILES, PICTURES = 200, 20_000
SETTLED = 10  # minutes
PAGES = ("/", "/map", "/quarantine", "/add", "/api", "/metrics", "/api/v1/info", "/api/v1/labels", "/api/v1/pictures")


class Caller:
    """One mixed load; ``statuses`` counts what came back."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.random = random.Random(0)
        self.statuses: collections.Counter[str] = collections.Counter()
        self.times: list[float] = []
        self.wrong: list[str] = []

    async def call(self, at: int) -> None:
        began = time.perf_counter()
        try:
            answer = await self.one(at)
            status = str(answer.status_code)
            if answer.status_code >= 500:
                self.wrong.append(f"{status} {answer.request.method} {answer.request.url}: {answer.text[:200]}")
        except httpx.HTTPError as error:
            status = type(error).__name__
            self.wrong.append(f"{status} {error}")
        self.statuses[status] += 1
        self.times.append(time.perf_counter() - began)

    async def one(self, at: int) -> httpx.Response:
        way, picture = self.random.random(), self.random.randrange(1, FILES + 1)
        if way < 0.35:
            return await self.get("/api/v1/search", id=self.random.randrange(1, PICTURES), k=10)
        if way < 0.45:
            return await self.get("/api/v1/search", id=picture, k=20, where="label = 'odd'")
        if way < 0.50:
            return await self.get("/api/v1/search", id=picture, box="0.1,0.1,0.5,0.5")
        if way < 0.70:
            files = {"picture": ("a.jpg", jpeg(at, width=320, height=240))}
            return await self.client.post("/api/v1/search", files=files)
        if way < 0.80:
            return await self.get(f"/api/v1/pictures/{picture}/thumbnail")
        if way < 0.92:
            return await self.get(self.random.choice(PAGES))
        return await self.change(at)

    async def change(self, at: int) -> httpx.Response:
        added = await self.client.post("/api/v1/pictures", files={"picture": ("n.jpg", jpeg(10_000_000 + at))})
        if not added.is_success:
            return added
        place = f"/api/v1/pictures/{added.json()['id']}"
        await self.client.put(f"{place}/labels", json={"labels": {"label": "new"}})
        return await self.client.delete(place)

    async def get(self, path: str, **asked: Any) -> httpx.Response:
        return await self.client.get(path, params=asked)


def memory_of(process: int) -> int:
    """Return the resident memory of a process and its children, in MiB."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return resident(process) + sum(resident(int(child)) for child in children)


async def soak(address: str, process: int, *, minutes: float, rate: float) -> dict[str, Any]:
    memory: list[tuple[float, int]] = []
    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=address, timeout=600, limits=httpx.Limits(max_connections=64)) as client:
        caller, running = Caller(client), set()
        for at in range(int(minutes * 60 * rate)):
            task = asyncio.create_task(caller.call(at))
            running.add(task)
            task.add_done_callback(running.discard)
            if at % max(1, int(30 * rate)) == 0:
                memory.append(((time.perf_counter() - began) / 60, memory_of(process)))
                print(
                    f"{memory[-1][0]:6.1f} min {memory[-1][1]} MiB {dict(caller.statuses)}", file=sys.stderr, flush=True
                )
            await asyncio.sleep(1 / rate)  # a machine that stood still is not caught up with
        await asyncio.gather(*running)
        memory.append(((time.perf_counter() - began) / 60, memory_of(process)))
    settled = [mib for minute, mib in memory if minute >= min(SETTLED, minutes / 2)]
    # Medians of the first and last tenth: one sample may fall into a picture being decoded.
    tenth = max(1, len(settled) // 10)
    early, late = float(np.median(settled[:tenth])), float(np.median(settled[-tenth:]))
    return {
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "calls": len(caller.times),
        "statuses": dict(caller.statuses),
        "wrong": caller.wrong[:20],
        "p50_ms": round(1000 * float(np.median(caller.times)), 1),
        "memory_mib": [mib for _, mib in memory],
        "growth_percent": round(100 * (late / early - 1), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=5, help="calls a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sosie.open(folder / "library") as library:
            library.add(folder_of(folder / "pictures", FILES), label_from_folders=True, workers=1)
            fill_with_vectors(library, clustered(PICTURES - FILES, library.space.dim))
            library.indexes.build("symqg")
        with served(folder / "library") as (address, process, _):
            print(json.dumps(asyncio.run(soak(address, process, minutes=given.minutes, rate=given.rate)), indent=1))


if __name__ == "__main__":
    main()
