"""Crawl a local site of 2,000 pages with the command line, kill it, go on; read manners from the server's log.

    python benchmarks/crawl.py [--pages 2000] [--delay 0.005]

Prints JSON; every check that fails ends the run.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

import sosie
from sosie.testing.servers import Answer, PictureServer, Seen


def picture(seed: int) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((96, 64), Image.Resampling.BICUBIC).save(out, "JPEG")
    return out.getvalue()


def page(links: list[str], images: list[str]) -> Answer:
    text = "".join(f'<a href="{link}">x</a>' for link in links)
    text += "".join(
        f'<figure><img src="{src}" alt="{src}"><figcaption>No. {src}</figcaption></figure>' for src in images
    )
    return Answer(f"<html><title>A page</title>{text}</html>".encode(), headers={"Content-Type": "text/html"})


def build(server: PictureServer, pages: int) -> None:
    """A tree of pages, ten links each, a picture on every fourth, and places that robots.txt forbids."""

    def answer(seen: Seen) -> Answer:
        at = int(seen.path.strip("/") or 0)
        links = [f"/{child}" for child in range(10 * at + 1, 10 * at + 11) if child < pages]
        return page([*links, f"/private/{at}", f"/calendar?day={at}"], [f"/{at}.jpg"] if at % 4 == 0 else [])

    def calendar(seen: Seen) -> Answer:
        day = int(seen.path.rpartition("=")[2])
        return page([f"/calendar?day={day + 1}", f"/calendar?day={day + 7}"], [])

    class Site(dict[str, object]):
        def get(self, path: str, default: object = None) -> object:  # type: ignore[override]
            if path == "/robots.txt":
                return b"User-agent: *\nDisallow: /private/\n"
            if path.startswith("/calendar"):
                return calendar
            if path.endswith(".jpg"):
                return picture(int(path[1:-4]))
            return answer

    server.pages = Site()  # type: ignore[assignment]


def pictures_of(library: Path) -> int:
    try:
        with sosie.open(library, create=False, read_only=True) as lib:
            return int(lib.catalogue.counts()["pictures"])
    except sosie.SosieError:
        return 0


def main(pages: int, delay: float) -> None:
    with tempfile.TemporaryDirectory() as folder, PictureServer() as server:
        build(server, pages)
        library = Path(folder) / "lib"
        command = [sys.executable, "-m", "sosie", "crawl", f"{server.url}/", "-L", str(library), "--model", "histogram"]
        command += ["--allow-private", "--depth", "5", "--pages", str(pages + 100), "--delay", str(delay), "--json"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        while pictures_of(library) < pages // 16 and process.poll() is None:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed_at, before = len(server.seen), pictures_of(library)
        with sosie.open(library) as lib:
            have = {"/" + uri.rpartition("/")[2] for record in lib.pictures() for uri in record.uris}
        out = subprocess.run(command, capture_output=True, check=True).stdout
        seconds = time.perf_counter() - started
        report = json.loads(out)
        print(
            json.dumps(
                judge(server, report, pages, delay, killed_at, have, pictures_of(library), before, seconds), indent=1
            )
        )


def judge(
    server: PictureServer,
    report: dict[str, object],
    pages: int,
    delay: float,
    killed_at: int,
    have: set[str],
    pictures: int,
    before: int,
    seconds: float,
) -> dict[str, object]:
    asked = [seen for seen in server.seen if seen.path != "/robots.txt"]
    kinds = Counter(
        "calendar" if "calendar" in s.path else "picture" if s.path.endswith(".jpg") else "page" for s in asked
    )
    assert not [seen for seen in asked if seen.path.startswith("/private")], "robots.txt was not obeyed"
    assert server.most_at_once == 1, "more than one request at once"
    halves = [server.seen[:killed_at], server.seen[killed_at:]]
    waits = [(half[-1].at - half[1].at) / (len(half) - 2) for half in halves]
    assert min(waits) >= delay, waits
    twice = Counter(seen.path for seen in asked if not seen.path.endswith(".jpg"))
    read_twice = sum(count - 1 for count in twice.values())
    assert read_twice <= 8, "pages were read again"
    assert not {seen.path for seen in server.seen[killed_at:]} & have, "stored pictures were fetched again"
    assert pictures == len(range(0, pages, 4)), pictures
    assert kinds["calendar"] <= 100, kinds
    return {
        "site": {"pages": pages, "pictures": len(range(0, pages, 4))},
        "requests": dict(kinds),
        "refused_pages": report["refused_pages"],
        "pictures": {"before_kill": before, "after": pictures},
        "pages_read_again_after_kill": read_twice,
        "mean_seconds_between_requests": [round(wait, 4) for wait in waits],
        "asked_delay": delay,
        "most_requests_at_once": server.most_at_once,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--delay", type=float, default=0.005)
    args = parser.parse_args()
    main(args.pages, args.delay)
