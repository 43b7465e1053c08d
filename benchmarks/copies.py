"""Copy detection: time per stage and memory, with as many references as asked for.

    OPENBLAS_NUM_THREADS=1 python benchmarks/copies.py PICTURES/ --references 10000
    OPENBLAS_NUM_THREADS=1 python benchmarks/copies.py PICTURES/ --references 100000 --queries 40

The local features of the pictures are extracted once; the library is enlarged to ``--references`` by repeating them
with other signatures and other fingerprints, so that posting lists are as long and as uneven as with real pictures, and
votes as rare. Queries are altered copies of the pictures (``sosie.alterations``), as PNG files, read, analysed and
answered in this one process, so the figures are for one core. Processor time is given beside time on the clock: on a
busy machine only the former says anything.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sosie.alterations import alter, names
from sosie.analysis.features import analyse_query, extractor
from sosie.analysis.fingerprints import fingerprint
from sosie.catalogue import PictureRecord
from sosie.decode import decode
from sosie.query.copy_query import query_of
from sosie.query.finder import CopyFinder
from sosie.types import Picture
from sosie.verify.features import from_bytes, to_bytes
from sosie.verify.inverted import Segment, build_segment, merge
from sosie.verify.words import shipped_vocabulary

PARAMS: dict[str, Any] = {"side": 360, "preprocessing": {"side": 128, "fit": "squash", "resample": "bicubic"}}


class EnlargedCatalogue:
    """What the finder asks of a catalogue, over repeated pictures: content i is picture i modulo their number."""

    read_only = True

    def __init__(self, blobs: list[bytes], codes: np.ndarray, count: int) -> None:
        self._blobs, self._count = blobs, count
        rng = np.random.default_rng(0)
        self._ids = np.arange(count, dtype=np.int64)
        self._codes = rng.integers(0, 256, (count, 32), dtype=np.uint8)
        self._codes[: len(codes)] = codes[:count]

    def epoch(self) -> int:
        return 1

    def live_ids(self) -> np.ndarray:
        return self._ids

    def feature_ids(self, *, version: str) -> np.ndarray:
        return self._ids

    def features(self, ids: list[int], *, version: str) -> dict[int, bytes]:
        return {i: self._blobs[i % len(self._blobs)] for i in ids}

    def fingerprints(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._ids, self._codes, np.full(self._count, 100, np.uint8)

    def decisions(self) -> list[Any]:
        return []

    def record(self, key: str) -> None:
        return None

    def content_id(self, sha256: bytes) -> None:
        return None

    def ids_with_pixels(self, digest: bytes) -> list[int]:
        return []

    def pictures(self, ids: list[int]) -> list[PictureRecord]:
        return [PictureRecord(i, f"{i:064x}", 1, "JPEG", 1, 1, (f"memory:{i}",)) for i in ids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--references", type=int, default=10_000)
    parser.add_argument("--originals", type=int, default=600)
    parser.add_argument("--queries", type=int, default=80)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pixels = _originals(options.pictures, options.originals)
    finder = _finder(pixels, options.references)
    asked = _questions(pixels, options.queries)
    _ask(finder, asked[:3])  # what is loaded lazily is loaded
    print(json.dumps({"references": options.references, **_ask(finder, asked)}, indent=1))


def _originals(folder: Path, count: int) -> list[np.ndarray]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})[:count]
    return [decode(path.read_bytes()).pixels for path in paths]


def _finder(pixels: list[np.ndarray], references: int) -> CopyFinder:
    pictures = [Picture(each, each.shape[1], each.shape[0]) for each in pixels]
    blobs = [to_bytes(extractor().extract(picture)) for picture in pictures]
    codes = np.array([np.frombuffer(fingerprint(picture).bits, np.uint8) for picture in pictures])
    catalogue: Any = EnlargedCatalogue(blobs, codes, references)
    finder = CopyFinder(catalogue, Path(tempfile.mkdtemp()), nearest=None, model="none")
    one = build_segment(np.arange(len(blobs)), [from_bytes(blob) for blob in blobs], shipped_vocabulary())
    finder._words._segments = _enlarged(one, references)
    finder._words._folders = [{} for _ in finder._words._segments]
    return finder


def _enlarged(one: Segment, references: int) -> list[Segment]:
    """Repeat a segment until there are enough pictures; further copies have scrambled signatures."""
    rng = np.random.default_rng(0)
    segments: list[Segment] = []
    for block in range(-(-references // len(one))):
        mask = np.uint64(0) if block == 0 else rng.integers(1, 2**63, dtype=np.uint64)
        part = replace(one, ids=one.ids + block * len(one), signatures=one.signatures ^ mask)
        if segments and len(segments[-1]) + len(part) <= 1 << 15:
            segments[-1] = merge(segments[-1], part)
        else:
            segments.append(part)
    return segments


def _questions(pixels: list[np.ndarray], count: int) -> list[tuple[int, bytes]]:
    import io

    from PIL import Image

    ways, asked = names(), []
    for at in range(count):
        row = at * len(pixels) // count
        altered = alter(pixels[row], ways[at % len(ways)], at, others=pixels[:8]).pixels
        out = io.BytesIO()
        Image.fromarray(altered).save(out, "PNG", compress_level=1)
        asked.append((row, out.getvalue()))
    return asked


def _ask(finder: CopyFinder, asked: list[tuple[int, bytes]]) -> dict[str, Any]:
    wall, busy, stages, right = [], [], defaultdict(list), 0
    for row, data in asked:
        clock, processor = time.perf_counter(), time.process_time()
        picture = decode(data)
        stages["decode"].append((time.perf_counter() - clock) * 1000)
        analysed = analyse_query(picture, PARAMS)
        stages["decode and analyse"].append((time.perf_counter() - clock) * 1000)
        result = finder.find(query_of("query", "", analysed, np.empty((0, 1), np.float32)))
        busy.append((time.process_time() - processor) * 1000)
        wall.append((time.perf_counter() - clock) * 1000)
        right += bool(len(result)) and result[0].id == row
        for name, cost in result.index["stages"].items():
            stages[name].append(cost["ms"])
    return {
        "queries": len(asked),
        "found first": right,
        "median ms, processor": round(float(np.median(busy)), 1),
        "90th percentile ms, processor": round(float(np.percentile(busy, 90)), 1),
        "mean ms, processor": round(float(np.mean(busy)), 1),
        "median ms, clock": round(float(np.median(wall)), 1),
        "median ms by stage, clock": {name: round(float(np.median(each)), 2) for name, each in stages.items()},
        "peak memory, GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


if __name__ == "__main__":
    main()
