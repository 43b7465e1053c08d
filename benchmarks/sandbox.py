"""Measure what the sandbox of decode workers costs: pictures a second and milliseconds to the first answer.

    python benchmarks/sandbox.py [--shared ../shared] [--turns 8]

Sealed and open workers take turns with each block of pictures; the best of a worker's turns counts. The open
ones import this file, whose `warm_up` replaces the sealing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sosie.analysis.worker
from sosie.decode import DecodePool
from sosie.types import Picture, Preprocessing

ROOT = Path(__file__).resolve().parents[1]
PARAMS = {"side": 360, "identify": "quick", "preprocessing": asdict(Preprocessing(side=224))}
BLOCK = 40


def analyse(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Analyse as ingest does."""
    return sosie.analysis.worker.analyse(picture, params)


def warm_up() -> None:
    """Leave this worker open."""
    import sosie.decode.worker as worker

    worker.close_others = worker.preload = lambda _: None  # type: ignore[assignment]
    worker.seal = list


def first_answer(analysis: str, data: bytes) -> float:
    """Return the milliseconds from making a pool to its first answer."""
    began = time.perf_counter()
    with DecodePool(1, analyse=analysis, params=PARAMS) as pool:
        pool.submit(data).result()
    return 1000 * (time.perf_counter() - began)


def seconds(pool: DecodePool, pictures: Sequence[bytes]) -> float:
    """Return the processor time that the worker takes for these pictures: what else runs counts little."""
    began = running(pool)
    for _ in pool.map(enumerate(pictures), in_flight=8):
        pass
    return running(pool) - began


def running(pool: DecodePool) -> float:
    schedule = Path(f"/proc/{pool._workers[0].process.pid}/schedstat").read_text()
    return int(schedule.split()[0]) / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--turns", type=int, default=8)
    given = parser.parse_args()
    files = sorted((given.shared / "data" / "people-dev").rglob("*.jpg"))[: 10 * BLOCK]
    pictures = [file.read_bytes() for file in files]
    kinds = {"sealed": "sosie.analysis.worker:analyse", "open": "sandbox:analyse"}
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    pools = {kind: DecodePool(1, analyse=name, params=PARAMS) for kind, name in kinds.items()}
    for pool in pools.values():
        seconds(pool, pictures[:BLOCK])
    print({kind: pool.sealed for kind, pool in pools.items()})
    blocks = [pictures[at : at + BLOCK] for at in range(0, len(pictures), BLOCK)]
    for block in blocks:
        tried = {kind: [] for kind in kinds}
        for turn in range(given.turns):
            for kind in sorted(kinds, reverse=bool(turn % 2)):
                tried[kind].append(seconds(pools[kind], block))
        for kind, times in tried.items():
            taken[kind].append(min(times))
    for pool in pools.values():
        pool.close()
    rates = {kind: round(len(pictures) / sum(times), 1) for kind, times in taken.items()}
    ratio = sum(taken["open"]) / sum(taken["sealed"])
    print(f"pictures in a second of a worker's processor: {rates}; sealed ÷ open {ratio:.3f}")
    starts = {kind: [] for kind in kinds}
    for _ in range(9):
        for kind, name in kinds.items():
            starts[kind].append(first_answer(name, pictures[0]))
    print(
        "milliseconds to the first answer:", {kind: round(statistics.median(times)) for kind, times in starts.items()}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
