"""Boxes drawn on pictures: is the picture that a box was drawn on the first answer, and named for what it is?

    python benchmarks/boxes.py FOLDER… --library LIBRARY --boxes 500

The library holds the pictures of the folders, and others, by a plain `sosie add`: no local features are stored. Boxes
are drawn by seed, of 8 to 60 per cent of the area, at most 2 : 1 of the picture's own shape. Asked four ways: by the
box on the picture of the library, and by uploads of the crop: as a PNG, turned by 5 degrees, and at 70 per cent of its
size as a JPEG of quality 60. A box counts where its source is first, not as `similar`, at 0.95 or more.

Boxes with too little texture to tell are counted apart. The rule, stated before any was measured: a crop in which
RootSIFT finds fewer than 12 points, or with fewer than 6 cells of 24 × 24 pixels (at most 480 along the longer side)
whose luminance deviates by 5 grey levels.
"""

from __future__ import annotations

import argparse
import io
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import sosie
from sosie.analysis.features import extractor
from sosie.types import Box, Picture, Pixels, SearchResult
from sosie.verify.pixels import CELL, SIDE, luminance

LEAST = 0.95
WAYS = ("box", "crop", "turned", "smaller")


@dataclass
class Count:
    """Of one way: boxes asked, those whose source is first with a verdict, those with it first at all."""

    asked: int = 0
    told: int = 0
    first: int = 0
    milliseconds: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--library", required=True)
    parser.add_argument("--boxes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", nargs="*", default=WAYS)
    options = parser.parse_args()
    counts, plain = {way: Count() for way in options.ways}, 0
    with sosie.open(options.library, create=False, read_only=True) as library:
        ids = {uri: each.id for each in library.pictures() for uri in each.uris}
        network = network_ms(library)
        for path, box in drawn(options.folders, options.boxes, random.Random(options.seed)):
            pixels = crop(path, box)
            if too_plain(pixels):
                plain += 1
                continue
            for way in options.ways:
                missed = ask(library, ids[path.absolute().as_uri()], box, pixels, way, counts[way])
                if missed:
                    print(f"{way}: {path.name} {[round(edge, 3) for edge in box]} {missed}", flush=True)
    print(f"{options.boxes} boxes, {plain} with too little texture; the network takes {network:.1f} ms a picture here")
    for way, count in counts.items():
        share, cost = count.told / max(1, count.asked), count.milliseconds / max(1, count.asked)
        print(f"{way:8} {count.told} of {count.asked} ({share:.1%}) told, {count.first} first, {cost:.0f} ms a query")


def drawn(folders: list[Path], count: int, rng: random.Random) -> Iterator[tuple[Path, Box]]:
    pictures = sorted(path for folder in folders for path in folder.iterdir())
    for _ in range(count):
        area, shape = rng.uniform(0.08, 0.6), 2 ** rng.uniform(-1, 1)
        width = min(1.0, max(area, (area * shape) ** 0.5))
        height = min(1.0, area / width)
        yield rng.choice(pictures), (rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height)


def crop(path: Path, box: Box) -> Pixels:
    image = Image.open(path).convert("RGB")
    width, height = image.size
    x, y, w, h = (round(edge * side) for edge, side in zip(box, (width, height, width, height), strict=True))
    return np.asarray(image.crop((x, y, x + w, y + h)))


def too_plain(pixels: Pixels) -> bool:
    """Tell by the rule above whether a crop has too little texture."""
    picture = Picture(pixels, pixels.shape[1], pixels.shape[0])
    image = Image.fromarray(luminance(pixels))
    image.thumbnail((SIDE, SIDE))
    grey = np.asarray(image, np.float32)
    rows, columns = grey.shape[0] // CELL, grey.shape[1] // CELL
    cells = grey[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL)
    return len(extractor().extract(picture)) < 12 or int((cells.std(axis=(1, 3)) >= 5).sum()) < 6


def ask(library: sosie.Library, source: int, box: Box, pixels: Pixels, way: str, count: Count) -> str:
    """Ask in one way and count the answer; return what was first where that is not right."""
    started = time.process_time()
    result = library.search(source, box=box) if way == "box" else library.search(uploaded(pixels, way))
    count.milliseconds += 1000 * (time.process_time() - started)
    count.asked += 1
    hit = result[0]
    count.first += hit.id == source
    right = hit.id == source and hit.verdict != "similar" and (hit.probability or 0) >= LEAST
    count.told += right
    return "" if right else f"{hit.verdict} {hit.probability} {place(result, source)}"


def place(result: SearchResult, source: int) -> str:
    return next((f"{hit.rank}: {hit.verdict} {hit.probability}" for hit in result if hit.id == source), "not among 10")


def uploaded(pixels: Pixels, way: str) -> bytes:
    image, out = Image.fromarray(pixels), io.BytesIO()
    if way == "turned":
        image = image.rotate(5, Image.Resampling.BICUBIC)
    if way == "smaller":
        image = image.resize((round(0.7 * image.width), round(0.7 * image.height)), Image.Resampling.LANCZOS)
        image.save(out, "JPEG", quality=60)
    else:
        image.save(out, "PNG")
    return out.getvalue()


def network_ms(library: sosie.Library) -> float:
    pictures = [Picture(np.full((224, 224, 3), at, np.uint8), 224, 224) for at in range(8)]
    library.engine.embedder.embed(pictures[:1])
    started = time.process_time()
    for each in pictures:
        library.engine.embedder.embed([each])
    return 1000 * (time.process_time() - started) / len(pictures)


if __name__ == "__main__":
    main()
