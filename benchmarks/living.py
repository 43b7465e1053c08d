"""A large library that lives: searches idle and beside a writer, with filters, from a cold shell; builds; memory.

    python benchmarks/living.py --pictures 100000 [--library DIR] [--beside FIGURES.json] [--out FIGURES.json]

Pictures are vectors with the spectrum of real embeddings (`vectors.py`), with two labels: `artist`, one in a thousand
pictures each, and `year`, which is above 1700 for six in ten. A library that is there is used as it is. The writer is
another process, which commits 32 pictures every 0.2 s. Every command runs in a process of its own; "bare" is the index
library alone, over the same vectors. Prints a table of Markdown, beside the figures of an earlier run where they are
given: compare ratios, since the machine may be busier one time than another.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.vectors import embedding_like  # noqa: E402

import sosie  # noqa: E402
from sosie.catalogue import AddContent, ContentRow  # noqa: E402
from sosie.library import Library  # noqa: E402
from sosie.types import ImageRef  # noqa: E402

PLACE = "memory:///vectors/"
BATCH, EVERY = 32, 0.2  # pictures a commit of the writer, and seconds from one to the next
FILTERS = {
    "year > 1700": "search where year > 1700, ms",
    "artist = 'a5'": "search where artist = 'a5', ms",
    "artist = 'a5' and year > 1700": "search where both, ms",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", nargs="?", default="measure", choices=["measure", *ROLES])
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--library", type=Path, help="made where there is none, else used as it is")
    parser.add_argument("--kind", default="symqg", help="of the index")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--beside", type=Path, help="figures of an earlier run")
    parser.add_argument("--out", type=Path, help="where figures are kept as JSON")
    given = parser.parse_args()
    if given.role != "measure":
        ROLES[given.role](given)
        return
    with tempfile.TemporaryDirectory() as place:
        given.library = given.library or Path(place) / "library"
        figures = measure(given)
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table(figures, json.loads(given.beside.read_text(encoding="utf-8")) if given.beside else None))


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Fill a library where there is none, and go through all that is asked of it."""
    figures: dict[str, Any] = {"pictures": given.pictures}
    if not given.library.exists():
        fill(given.library, given.pictures)
    with sosie.open(given.library) as lib:
        built = lib.indexes.manifest
    if built is None:
        figures["`sosie info` before there is an index, s"] = cold(given, "info")["s"]
        figures |= building(given)
    figures["`sosie info`, s"] = cold(given, "info")["s"]
    figures["`sosie search id:5` from a cold shell, s"] = cold(given, "search", "id:5", "--json")["s"]
    figures["the same, s of processor"] = cold(given, "search", "id:5", "--json")["cpu_s"]
    return figures | json.loads(apart(given, "answers")[0])


def answers(given: argparse.Namespace) -> None:
    """Search in one process that stays: idle, beside a writer, with filters; print the figures as JSON."""
    figures: dict[str, Any] = {}
    with sosie.open(given.library) as lib:
        ids = np.random.default_rng(0).integers(1, given.pictures, given.queries).tolist()
        lib.search(1)
        figures["search by id, ms"] = p50_p99(lib, ids)
        figures["memory of a process that answers, MB"] = resident()
        with writer(given):
            figures["search beside a writer, ms"] = p50_p99(lib, ids, least=3.0)
        for where, name in FILTERS.items():
            started = time.perf_counter()
            lib.search(1, where=where)
            figures[f"{name}: the first"] = 1000 * (time.perf_counter() - started)
            figures[name] = p50_p99(lib, ids, where=where)
        with writer(given):
            name = "search where year > 1700 beside a writer, ms"
            figures[name] = p50_p99(lib, ids, where="year > 1700", least=3.0)
        figures["memory once filters were asked, MB"] = resident()
    print(json.dumps(figures))


def p50_p99(lib: Library, ids: list[int], *, least: float = 0.0, **options: Any) -> list[float]:
    """Return the median and the 99th percentile of single searches, in ms; go on for ``least`` seconds."""
    took: list[float] = []
    begun = time.perf_counter()
    while not took or (least and time.perf_counter() - begun < least):
        for content_id in ids:
            started = time.perf_counter()
            lib.search(content_id, **options)
            took.append(1000 * (time.perf_counter() - started))
            if least and time.perf_counter() - begun > 4 * least:
                break
    return [float(np.percentile(took, share)) for share in (50, 99)]


# ------------------------------------------------------------------------------------------------ the library


def fill(folder: Path, n: int) -> None:
    """Make a library of ``n`` pictures that are nothing but vectors and labels."""
    vectors = embedding_like(n)
    with sosie.open(folder) as lib:
        for start in range(0, n, 4096):
            lib.catalogue.apply(changes(lib, vectors[start : start + 4096], start), root=PLACE)


def changes(lib: Library, vectors: np.ndarray, first: int) -> list[AddContent]:
    """Return pictures by their vectors, numbered from ``first``."""
    years = np.random.default_rng(first).integers(1551, 1926, len(vectors))
    parts = {space.id: _unit(vectors[:, : space.dim]) for space in lib.spaces}
    made = []
    for at, year in enumerate(years.tolist()):
        number = first + at
        digest = hashlib.sha256(number.to_bytes(8, "little")).digest()
        ref = ImageRef(f"{PLACE}{number:09d}", {"artist": f"a{number % 1000}", "year": float(year)}, 1, 1, 1)
        row = ContentRow(digest, 1, "JPEG", 96, 64, digest[:16], digest, 100)
        made.append(AddContent(row, ref, {space: part[at] for space, part in parts.items()}))
    return made


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(given: argparse.Namespace) -> None:
    """Commit pictures until the standard input ends, as `writer` asks for."""
    vectors = embedding_like(4096, seed=os.getpid())
    with sosie.open(given.library) as lib:
        first = 10**8 + 10**5 * int(time.time() % 10**6)
        for number in range(10**6):
            some = np.roll(vectors, number, axis=0)[:BATCH]
            lib.catalogue.apply(changes(lib, some, first + number * BATCH), root=PLACE)
            print(number, flush=True)
            time.sleep(EVERY)


@contextlib.contextmanager
def writer(given: argparse.Namespace) -> Iterator[None]:
    """Let another process add pictures meanwhile."""
    process = subprocess.Popen(command(given, "write"), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        yield
    finally:
        process.terminate()
        process.communicate()


# ------------------------------------------------------------------------------------------------ processes


def building(given: argparse.Namespace) -> dict[str, Any]:
    """Build the index, and the bare library's over the same vectors; return seconds of processor and peak memory."""
    ours = cold(given, "index", "build", "--kind", given.kind)
    figures = {
        "`sosie index build`, s of processor": ours["cpu_s"],
        "`sosie index build`, peak MB": ours["peak_mb"],
    }
    if given.kind == "symqg":
        alone = run(command(given, "bare"))
        figures |= {"the bare library, s of processor": alone["cpu_s"], "the bare library, peak MB": alone["peak_mb"]}
    return figures


def bare(given: argparse.Namespace) -> None:
    """Build the graph of the library behind symqg with its default parameters, and nothing else."""
    import rabitqlib

    vectors = embedding_like(given.pictures)
    graph = rabitqlib.SymqgIndex(vectors.shape[1], 32, "l2", 0)
    graph.build(vectors, 200, os.cpu_count() or 1)


def cold(given: argparse.Namespace, *arguments: str) -> dict[str, float]:
    """Run a command of Sosie in a fresh process."""
    return run([sys.executable, "-m", "sosie", *arguments, "--library", str(given.library)])


def run(words: list[str]) -> dict[str, float]:
    """Run a command; return its seconds, its processor's seconds and its peak memory, children included."""
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    took = time.perf_counter() - started
    return {"s": took, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


def apart(given: argparse.Namespace, role: str) -> list[str]:
    found = subprocess.run(command(given, role), stdout=subprocess.PIPE, text=True, check=True)
    return found.stdout.splitlines()[-1:]


def command(given: argparse.Namespace, role: str) -> list[str]:
    options = ["--library", str(given.library), "--pictures", str(given.pictures), "--queries", str(given.queries)]
    return [sys.executable, __file__, role, *options]


def resident() -> float:
    """Return the megabytes of this process in memory, mapped files included."""
    with Path("/proc/self/status").open(encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


# ------------------------------------------------------------------------------------------------ the table


def table(figures: dict[str, Any], before: dict[str, Any] | None) -> str:
    """Return the figures as Markdown; of several, the median and the 99th percentile."""
    columns = [figures] if before is None else [before, figures]
    heads = ["now"] if before is None else ["before", "now"]
    names = list(dict.fromkeys(name for each in columns for name in each if name != "pictures"))
    lines = [f"| {figures['pictures']:,} pictures | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(_cell(each.get(name)) for each in columns)} |" for name in names]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return f"{value[0]:,.3g} (p99 {value[1]:,.3g})" if value[0] < 1000 else f"{value[0]:,.0f} (p99 {value[1]:,.0f})"
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


ROLES: dict[str, Callable[[argparse.Namespace], None]] = {"answers": answers, "write": write, "bare": bare}

if __name__ == "__main__":
    main()
