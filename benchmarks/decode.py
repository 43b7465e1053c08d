"""Measure decoding: pictures a second of bare Pillow, of `decode`, and of `DecodePool` with one and two workers.

    python benchmarks/decode.py [--shared ../shared] [--rounds 5] [--side 224]

Every figure is the best of several interleaved rounds, as a ratio to bare Pillow in the same run. "pixels" sends the
whole decoded picture back, "digest" what an analysis leaves of it, as ingest does.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sosie.decode import DecodePool, decode
from sosie.types import Picture

ROOT = Path(__file__).resolve().parents[1]


def digest(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """A small analysis, whose answer has a few dozen bytes."""
    return {"digest": hashlib.blake2b(picture.pixels[:1], digest_size=16).digest(), "width": picture.width}


def bare(pictures: Sequence[bytes], side: int | None) -> None:
    """The least that one can do with Pillow: open, draft, convert, array."""
    for data in pictures:
        image = Image.open(io.BytesIO(data))
        if side:
            image.draft("RGB", (side, side))
        np.asarray(image.convert("RGB"))


def in_process(pictures: Sequence[bytes], side: int | None) -> None:
    for data in pictures:
        decode(data, side=side)


def in_pool(pool: DecodePool) -> Callable[[Sequence[bytes], int | None], None]:
    def run(pictures: Sequence[bytes], side: int | None) -> None:
        for _ in pool.map(enumerate(pictures), in_flight=16):
            pass

    return run


def folder(path: Path, at_most: int) -> list[bytes]:
    return [file.read_bytes() for file in sorted(path.iterdir())[:at_most]]


def twelve_megapixels(count: int) -> list[bytes]:
    """Photograph-like: smooth structure with fine grain, 4000 × 3000, JPEG quality 90."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize(
            (4000, 3000), Image.Resampling.BICUBIC
        )
        grain = rng.normal(0, 6, (3000, 4000, 1)).astype(np.float32)
        buffer = io.BytesIO()
        Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        pictures.append(buffer.getvalue())
    return pictures


def measure(
    ways: Mapping[str, Callable[..., None]], pictures: Sequence[bytes], side: int | None, rounds: int
) -> dict[str, float]:
    best = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way(pictures, side)
            best[name] = max(best[name], len(pictures) / (time.perf_counter() - start))
    return best


def cold_start(rounds: int) -> tuple[float, float]:
    """Milliseconds that the constructor takes, and until the first picture is back."""
    picture = _tiny()
    constructed, answered = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        pool = DecodePool()
        constructed.append(time.perf_counter() - start)
        pool.submit(picture).result()
        answered.append(time.perf_counter() - start)
        pool.close()
    return 1000 * min(constructed), 1000 * min(answered)


def _tiny() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    return buffer.getvalue()


def report(title: str, pictures: Sequence[bytes], side: int | None, rounds: int) -> None:
    params = {"side": side}
    small = "decode:digest"
    with (
        DecodePool(1, params=params) as one,
        DecodePool(2, params=params) as two,
        DecodePool(1, params=params, analyse=small) as one_small,
        DecodePool(2, params=params, analyse=small) as two_small,
    ):
        ways = {
            "bare Pillow": bare,
            "decode()": in_process,
            "1 worker, pixels": in_pool(one),
            "2 workers, pixels": in_pool(two),
            "1 worker, digest": in_pool(one_small),
            "2 workers, digest": in_pool(two_small),
        }
        best = measure(ways, pictures, side, rounds)
    print(f"\n{title}: {len(pictures)} pictures, side {side}")
    for name, rate in best.items():
        ratios = f"{rate / best['bare Pillow']:6.2f} × bare  {rate / best['decode()']:6.2f} × decode()"
        print(f"  {name:20s} {rate:9.1f} pictures/s  {ratios}")


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("SOSIE_SHARED", ROOT.parent / "shared")))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=224)
    chosen = parser.parse_args(arguments)
    constructed, answered = cold_start(chosen.rounds)
    print(f"cold start: constructor {constructed:.1f} ms, first answer after {answered:.0f} ms")
    for pack in ("caltech101-dev", "people-dev"):
        report(pack, folder(chosen.shared / "data" / pack / "images", 300), chosen.side, chosen.rounds)
    big = twelve_megapixels(6)
    report("12 MP JPEG", big, chosen.side, chosen.rounds)
    report("12 MP JPEG, in full", big[:3], None, min(2, chosen.rounds))


if __name__ == "__main__":
    # The workers import the analysis by name, so this file has to have one.
    sys.path.insert(0, str(ROOT / "benchmarks"))
    main()
