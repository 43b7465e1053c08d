"""Read lists of pages by the API while pictures are added, and count what is repeated, left out or out of order.

    python benchmarks/pages.py [--lists 40] [--pages 10] [--k 10] [--add 500] [--kind hnsw]

A library of drawn vectors with an approximate index is served; each list is read to its end by its cursors while
pictures are added to the same library between its pages. A hit that comes twice is a repeat. A picture that was there
from the start, that one request for all the hits gives, and that is nearer than the last hit of the pages without being
among them, is a gap. Exit code 1 where there is one of either, or where ranks do not run on.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

import sosie
from sosie.library import Library
from sosie.server.app import create_app
from sosie.server.config import ServerSettings
from sosie.server.run import listen, make_server
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered


@dataclass
class Found:
    """What was counted over all lists; ``grew`` counts lists during which the library grew."""

    lists: int = 0
    hits: int = 0
    repeats: int = 0
    gaps: int = 0
    disordered: int = 0
    grew: int = 0


@contextmanager
def served(library: Library) -> Iterator[httpx.Client]:
    """Serve a library on loopback from a thread."""
    chosen = ServerSettings(port=0, rate=1e6, burst=10**6)
    server = make_server(create_app(library, settings=chosen), chosen)
    with listen(chosen) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=address, timeout=60) as client:
            yield client
        server.should_exit = True
        thread.join(15)


class Adder:
    """Adds ``count`` pictures in ``steps`` equal parts, one part a call."""

    def __init__(self, library: Library, count: int, steps: int) -> None:
        self._library, self._count, self._steps = library, count, max(1, steps)
        self._called = self.added = 0
        self._rng = np.random.default_rng(1)

    def __call__(self) -> None:
        self._called += 1
        while self.added < min(self._count, round(self._count * self._called / self._steps)):
            pixels = self._rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).resize((64, 64)).save(file, "PNG")
            self._library.add_bytes(file.getvalue())
            self.added += 1


def read_list(web: httpx.Client, asked: dict[str, Any], pages: int, add: Callable[[], None]) -> list[dict[str, Any]]:
    """Return the hits of as many pages, by their cursors; pictures are added between them."""
    hits: list[dict[str, Any]] = []
    cursor = ""
    for number in range(pages):
        if number:
            add()
        page = web.get("/api/v1/search", params={**asked, "cursor": cursor}).raise_for_status().json()
        hits += page["hits"]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    return hits


def check(
    web: httpx.Client, found: Found, add: Callable[[], None], *, id_: int, k: int, pages: int, before: int
) -> None:
    """Read one list and count what is wrong with it."""
    asked = {"id": id_, "verify": "false"}
    size = web.get("/api/v1/info").json()["pictures"]
    at_once = web.get("/api/v1/search", params={**asked, "k": min(200, k * pages)}).raise_for_status().json()["hits"]
    hits = read_list(web, {**asked, "k": k}, pages, add)
    ids = [hit["id"] for hit in hits]
    found.lists += 1
    found.hits += len(ids)
    found.repeats += len(ids) - len(set(ids))
    found.disordered += [hit["rank"] for hit in hits] != list(range(1, len(hits) + 1))
    last = min(hit["score"] for hit in hits)
    found.gaps += sum(h["id"] <= before and h["score"] > last + 1e-6 and h["id"] not in set(ids) for h in at_once)
    found.grew += web.get("/api/v1/info").json()["pictures"] > size


def measure(folder: Path, *, pictures: int, lists: int, pages: int, k: int, add: int, kind: str) -> tuple[Found, int]:
    """Return what was counted, and how many pictures were added meanwhile."""
    found = Found()
    with sosie.open(folder / "library", model="histogram") as library:
        fill_with_vectors(library, clustered(pictures, 320))
        library.indexes.build(kind)
        adder = Adder(library, add, lists * (pages - 1))
        with served(library) as web:
            for id_ in (np.random.default_rng(0).permutation(pictures)[:lists] + 1).tolist():
                check(web, found, adder, id_=id_, k=k, pages=pages, before=pictures)
        return found, adder.added


def main() -> int:
    """Print what was counted; 1 where a list repeats, leaves out or is out of order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--lists", type=int, default=40)
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--add", type=int, default=500)
    parser.add_argument("--kind", default="hnsw")
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        found, added = measure(Path(folder), **given)
    print(f"{found.lists} lists of {given['pages']} pages, {found.hits} hits, {added} pictures added meanwhile")
    print(f"repeated {found.repeats}, left out {found.gaps}, lists out of order {found.disordered}")
    print(f"the library grew during {found.grew} of the lists")
    return int(found.repeats + found.gaps + found.disordered > 0)


if __name__ == "__main__":
    sys.exit(main())
