"""How fast pictures are added, against what decoding and the network alone could do in the same run.

    python benchmarks/ingest.py FOLDER [--memory 100000]

Prints JSON. ``of_slower_limit``: the rate of ingest over the slower of decode-only and inference-only, each measured
with the cores that ingest gives it (one decode worker, one inference thread, two cores). ``of_both``: with all cores
for either, over the rate at which the machine could do one after the other, 1 / (1/decode + 1/inference).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import sosie
from sosie.analysis.worker import analysis_params
from sosie.decode import DecodePool
from sosie.embedders.bundled import BundledEmbedder
from sosie.types import Picture

SUFFIXES = {".jpg", ".jpeg", ".png"}


def decode_rate(files: list[bytes], embedder: BundledEmbedder, workers: int) -> tuple[float, list[Picture]]:
    params = analysis_params(embedder.spec.preprocessing)
    with DecodePool(workers, analyse="sosie.analysis.worker:analyse", params=params) as pool:
        list(pool.map(((0, files[0]),) * workers, in_flight=workers))  # the workers have started
        started = time.perf_counter()
        found = [got for _, got in pool.map(enumerate(files), in_flight=128)]
        rate = len(files) / (time.perf_counter() - started)
    good = [got for got in found if not isinstance(got, sosie.BadPicture)]
    return rate, [Picture(got["input"], 1, 1) for got in good]


def inference_rate(pictures: list[Picture], embedder: BundledEmbedder) -> float:
    embedder.embed(pictures[:32])
    started = time.perf_counter()
    for at in range(0, len(pictures), 32):
        embedder.embed(pictures[at : at + 32])
    return len(pictures) / (time.perf_counter() - started)


def ingest_rate(folder: Path, workers: int, embedder: BundledEmbedder) -> float:
    with tempfile.TemporaryDirectory() as place, sosie.open(Path(place) / "lib") as lib:
        lib.__dict__["embedder"] = embedder  # the same network with the same threads, already loaded
        report = lib.add(folder, workers=workers)
        return report.seen / report.seconds


def rates(folder: Path, workers: int, threads: int | None) -> dict[str, float]:
    files = [p.read_bytes() for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES]
    embedder = BundledEmbedder(threads=threads)
    decode, pictures = decode_rate(files, embedder, workers)
    inference = inference_rate(pictures, embedder)
    return {"decode": decode, "inference": inference, "ingest": ingest_rate(folder, workers, embedder)}


def cold_search(pictures: int) -> dict[str, float]:
    """Time `sosie search` from a cold shell on a library of so many pictures, beside importing the two engines."""
    with tempfile.TemporaryDirectory() as place:
        library = synthetic_library(Path(place), pictures)
        query = Path(place) / "query.jpg"
        write_picture(query, 7)
        search = [sys.executable, "-m", "sosie", "search", str(query), "-L", str(library), "--json"]
        engines = [sys.executable, "-c", "import onnxruntime, faiss"]
        nothing, imported = [sys.executable, "-c", "pass"], [sys.executable, "-c", "import sosie"]
        times: dict[str, list[float]] = {"search": [], "engines": [], "python": [], "import": []}
        for _ in range(7):
            for name, command in (("search", search), ("engines", engines), ("python", nothing), ("import", imported)):
                started = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                times[name].append(time.perf_counter() - started)
    median = {name: float(np.median(values)) for name, values in times.items()}
    allowed = 1.2 * median["engines"] + 0.3
    return {
        "search_s": median["search"],
        "engines_s": median["engines"],
        "allowed_s": allowed,
        "import_sosie_ms": 1000 * (median["import"] - median["python"]),
    }


def rerun(pictures: int) -> dict[str, float]:
    """Add a folder of small pictures twice."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        for seed in range(pictures):
            write_picture(folder / f"{seed % 100:02d}" / f"{seed:06d}.jpg", seed)
        with sosie.open(Path(place) / "lib") as lib:
            first, again = lib.add(folder), lib.add(folder)
    assert again.unchanged == pictures
    return {"first_s": first.seconds, "again_s": again.seconds, "faster": first.seconds / again.seconds}


def memory(pictures: int) -> dict[str, float]:
    """Add many pictures and watch the memory of everything together: this process and its decode workers."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pictures"
        for seed in range(pictures):
            write_picture(folder / f"{seed % 1000:03d}" / f"{seed:06d}.jpg", seed)
        samples: list[tuple[int, float]] = []
        with sosie.open(Path(place) / "lib") as lib:
            lib.add(folder, progress=lambda done: samples.append((done.seen, resident())))
    tenth = max(1, len(samples) // 10)
    early = float(np.median([mib for _, mib in samples[tenth : 2 * tenth]]))
    late = float(np.median([mib for _, mib in samples[-tenth:]]))
    return {"pictures": pictures, "peak_mib": max(m for _, m in samples), "early_mib": early, "late_mib": late}


def resident() -> float:
    """Return the resident memory of this process and its children, in MiB; shared pages count for each."""
    mine = os.getpid()
    pages = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if mine in (int(entry.name), parent):
                    pages += int((entry / "statm").read_text().split()[1])
            except OSError:
                continue
    return pages * resource.getpagesize() / 2**20


def write_picture(path: Path, seed: int) -> None:
    """Write a small JPEG; every seed has its own pixels."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize((120, 90), Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "JPEG", quality=80)


def synthetic_library(place: Path, pictures: int) -> Path:
    """Make a library with the vectors of pictures that were never drawn: only searching it is timed."""
    from sosie.catalogue import AddContent, ContentRow
    from sosie.types import ImageRef

    rng = np.random.default_rng(0)
    with sosie.open(place / "lib") as lib:
        changes = []
        for number in range(pictures):
            vectors = {space.id: rng.standard_normal(space.dim).astype(np.float32) for space in lib.spaces}
            unit = {key: vector / np.linalg.norm(vector) for key, vector in vectors.items()}
            row = ContentRow(rng.bytes(32), 1000, "JPEG", 120, 90, rng.bytes(16), rng.bytes(32), 100)
            changes.append(AddContent(row, ImageRef(f"file:///pictures/{number}.jpg", {"label": "x"}), unit))
        lib.catalogue.apply(changes, root="file:///pictures/")
    return place / "lib"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--memory", type=int, default=0, help="add so many pictures and watch the memory")
    options = parser.parse_args()
    found: dict[str, object] = {"cores": os.cpu_count(), "threads": threading.active_count()}
    if options.folder:
        split = rates(options.folder, workers=1, threads=1)
        found["one_core_each"] = {
            **split,
            "of_slower_limit": split["ingest"] / min(split["decode"], split["inference"]),
        }
        full = rates(options.folder, workers=os.cpu_count() or 1, threads=None)
        both = 1 / (1 / full["decode"] + 1 / full["inference"])
        found["all_cores_each"] = {**full, "of_both": full["ingest"] / both}
        found["cold_search_10000"] = cold_search(10_000)
        found["rerun_10000"] = rerun(10_000)
    if options.memory:
        found["memory"] = memory(options.memory)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
