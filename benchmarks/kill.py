"""kill -9 at many random moments of an ingest, then the same command again: is anything lost or doubled?

    python benchmarks/kill.py FOLDER [--kills 50]

Each round starts `sosie add`, kills it and everything that it started after a random time, and checks that what was
acknowledged before is still searchable. At the end an undisturbed run finishes the library, and its counts are compared
with those of a library that was never disturbed. Prints JSON; exit code 1 where they differ.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sosie


def add(folder: Path, library: Path) -> list[str]:
    return [sys.executable, "-m", "sosie", "add", str(folder), "-L", str(library), "--label-from-folders"]


def known(library: Path) -> set[int]:
    """Return the pictures that a search can find; each is looked up by its own vector."""
    try:
        with sosie.open(library, create=False) as lib:
            ids, vectors = lib.vectors()
            found = lib.view().search(vectors, 1)[1] if len(ids) else []
            assert all(score > 0.99 for score in found)
            return set(ids.tolist())
    except sosie.SosieError:
        return set()  # killed before there was a library


def wait_for_more(library: Path, before: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until something new is committed, so that the kill comes while decoding, embedding and writing go on."""
    path = library / "catalogue.sqlite"
    while process.poll() is None:
        try:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as peek:
                if peek.execute("SELECT count(*) FROM locations").fetchone()[0] > before:
                    return
        except sqlite3.Error:
            pass  # not made yet
        time.sleep(0.005)


def facts(library: Path) -> dict[str, object]:
    with sosie.open(library, create=False) as lib:
        return {**lib.catalogue.counts(), "labels": lib.labels(), "vectors": len(lib.vectors()[0])}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    rng = random.Random(0)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory() as place:
        still, disturbed = Path(place) / "still", Path(place) / "disturbed"
        started = time.monotonic()
        subprocess.run(add(options.folder, still), check=True, **quiet)
        whole = time.monotonic() - started
        total = len(known(still))
        acknowledged: set[int] = set()
        lost, interrupted, progress = 0, 0, []
        for _ in range(options.kills):
            process = subprocess.Popen(add(options.folder, disturbed), start_new_session=True, **quiet)
            if rng.random() < 0.7:  # else it is killed while it starts
                wait_for_more(disturbed, len(acknowledged), process)
            time.sleep(rng.uniform(0, 0.03 * whole))
            interrupted += process.poll() is None
            with contextlib.suppress(ProcessLookupError):  # it was done before the kill
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            now = known(disturbed)
            lost += len(acknowledged - now)
            acknowledged = now
            progress.append(len(now))
            if len(now) == total:  # there is nothing left to disturb: begin with an empty library
                shutil.rmtree(disturbed)
                acknowledged = set()
        subprocess.run(add(options.folder, disturbed), check=True, **quiet)
        same = facts(still) == facts(disturbed)
        again = subprocess.run([*add(options.folder, disturbed), "--json"], check=True, capture_output=True)
    result = {
        "kills": options.kills,
        "killed_while_running": interrupted,
        "lost": lost,
        "equal_to_undisturbed": same,
        "pictures_after_each_kill": progress,
        "unchanged_on_the_last_run": json.loads(again.stdout)["unchanged"],
    }
    print(json.dumps(result, indent=1))
    return 0 if same and not lost else 1


if __name__ == "__main__":
    sys.exit(main())
