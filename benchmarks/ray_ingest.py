"""Adding with the workers of a Ray cluster: how fast beside adding without one, and what is left when something dies.

    python benchmarks/ray_ingest.py speed FOLDER [--pictures 12000]
    python benchmarks/ray_ingest.py kill [--pictures 5000]

``speed`` adds the same pictures with the decode workers and threads of this machine's two cores, and with two workers
of one core each, in turns. Both find the network and their processes as a command would; connecting is told apart.
``kill`` adds drawn pictures on two machines (processes on loopback), undisturbed, then with a worker killed at a fifth
and a machine at two fifths of the way, and compares the libraries. Prints JSON; exit code 1 where they differ.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.ingest import SUFFIXES, write_picture  # noqa: E402
from tests.services.ray import Machines  # noqa: E402

import sosie  # noqa: E402
from sosie.library import Progress  # noqa: E402
from sosie.ray import Fleet, connect  # noqa: E402


def copies_of(folder: Path, wanted: int, place: Path) -> Path:
    """Fill a folder with pictures of another, over and over; each copy has bytes of its own behind its end."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    for at in range(wanted):
        file = files[at % len(files)]
        target = place / f"{at // 1000:03d}" / f"{at:06d}{file.suffix.lower()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes() + b"%d" % at)
    return place


def add(folder: Path, fleet: Fleet | None, watch: Callable[[Progress], None] | None = None) -> dict[str, Any]:
    """Add a folder to a new library; return its facts and the rate."""
    first: list[float] = []
    started = time.perf_counter()

    def progress(done: Progress) -> None:
        if done.indexed and not first:
            first.append(time.perf_counter() - started)
        if watch is not None:
            watch(done)

    with tempfile.TemporaryDirectory() as place, sosie.open(Path(place) / "lib") as lib:
        report = lib.add(folder, fleet=fleet, progress=progress)
        facts = {**lib.catalogue.counts(), "vectors": len(lib.vectors()[0]), "uris": len({*_uris(lib)})}
    return {
        "report": {**report.to_json(), "seconds": round(report.seconds, 2)},
        "facts": facts,
        "pictures_s": round(report.seen / report.seconds, 1),
        "first_after_s": round(first[0], 2) if first else None,
    }


def _uris(lib: sosie.Library) -> list[str]:
    return [uri for picture in lib.pictures() for uri in picture.uris]


def speed(folder: Path, pictures: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        copies = copies_of(folder, pictures, Path(place))
        plain = add(copies, None)
        started = time.perf_counter()
        with connect("local") as fleet:
            connected = time.perf_counter() - started
            ray = add(copies, fleet)
    assert plain["facts"] == ray["facts"]
    return {
        "pictures": pictures,
        "plain": plain,
        "ray": ray,
        "connect_s": round(connected, 2),
        "of_plain": round(ray["pictures_s"] / plain["pictures_s"], 3),
    }


def kill(pictures: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory(prefix="sr", dir="/tmp") as short:
        for seed in range(pictures):
            write_picture(Path(place) / f"{seed % 100:02d}" / f"{seed:06d}.jpg", seed)
        machines = Machines(Path(short))
        try:
            machines.start()
            with connect(machines.address) as fleet:
                still = add(Path(place), fleet)
                killer = Killer(machines, pictures)
                disturbed = add(Path(place), fleet, killer)
        finally:
            machines.stop()
    outcomes = [{k: v for k, v in run["report"].items() if k != "seconds"} for run in (still, disturbed)]
    same = outcomes[0] == outcomes[1] and still["facts"] == disturbed["facts"]
    return {"still": still, "disturbed": disturbed, "killed": killer.killed, "equal_to_undisturbed": same}


class Killer:
    """Kills a worker, then a machine, while a run goes on."""

    def __init__(self, machines: Machines, pictures: int) -> None:
        self._plan = [
            (pictures // 5, "worker", machines.kill_worker),
            (2 * pictures // 5, "machine", machines.kill_second),
        ]
        self.killed: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, done: Progress) -> None:
        with self._lock:
            if self._plan and done.indexed >= self._plan[0][0]:
                _, what, strike = self._plan.pop(0)
                strike()
                self.killed.append({"what": what, "when_indexed": done.indexed})


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["speed", "kill"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--pictures", type=int)
    options = parser.parse_args()
    if options.what == "speed":
        found = speed(options.folder, options.pictures or 12_000)
    else:
        found = kill(options.pictures or 5_000)
    print(json.dumps(found, indent=1))
    return 0 if found.get("equal_to_undisturbed", True) else 1


if __name__ == "__main__":
    sys.exit(main())
