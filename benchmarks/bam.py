"""Ingest a BAM!-like database of 2,000 URLs, killed twice: counts, quarantine, labels, a sub-collection.

    python benchmarks/bam.py PACK [--rows 2000] [--model histogram]

PACK is a folder with images/ and manifest.csv (label, artist …). Its pictures are served by a local server, each row a
variant of its own; a fifth of the URLs is dead, others are corrupt, slow, web pages, or one placeholder for many.
Prints JSON; every check that fails ends the run.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from PIL import Image, ImageEnhance

import sosie
from sosie.testing.servers import Answer, PictureServer, Seen

ATTRIBUTES = [
    *(f"content_{name}" for name in ("bicycle", "bird", "building", "cars", "cat", "dog", "flower", "people", "tree")),
    *(f"emotion_{name}" for name in ("gloomy", "happy", "peaceful", "scary")),
    *(
        f"media_{name}"
        for name in ("3d_graphics", "comic", "graphite", "oilpaint", "pen_ink", "vectorart", "watercolor")
    ),
]


def what_is_at(row: int) -> str:
    """A fifth is dead; of the rest some are bad in other ways."""
    if row % 5 == 0:
        return "dead"
    return {0: "corrupt", 2: "slow", 3: "html", 4: "placeholder"}.get(row % 100 // 4 if row % 4 == 1 else -1, "good")


def variant(data: bytes, row: int) -> bytes:
    """Return a picture of its own for each row: the same painting, a little lighter or darker."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    out = io.BytesIO()
    ImageEnhance.Brightness(picture).enhance(0.8 + 0.0002 * row).save(out, "JPEG", quality=85)
    return out.getvalue()


def serve(server: PictureServer, pack: Path, labels: list[dict[str, str]], rows: int) -> None:
    placeholder = variant((pack / labels[0]["path"]).read_bytes(), -500)

    def answer(seen: Seen) -> bytes | Answer:
        row = int(seen.path.strip("/").removesuffix(".jpg"))
        kind = what_is_at(row)
        if kind == "dead":
            return Answer(status=404 if row % 2 else 410)
        if kind == "placeholder":
            return placeholder
        if kind == "html":
            return Answer(b"<!doctype html><p>This picture was removed", headers={"Content-Type": "image/jpeg"})
        data = variant((pack / labels[row % len(labels)]["path"]).read_bytes(), row)
        if kind == "slow":
            time.sleep(1.0)
        return data[: len(data) // 2] if kind == "corrupt" else data

    server.pages.update({f"/{row}.jpg": answer for row in range(1, rows + 1)})


def write_database(path: Path, url: str, labels: list[dict[str, str]], rows: int) -> None:
    with sqlite3.connect(path) as database:
        columns = ", ".join(f"{name} text" for name in ATTRIBUTES)
        database.execute("CREATE TABLE modules (mid integer primary key, project_id, src, mature_content, license)")
        database.execute(f"CREATE TABLE automatic_labels (mid integer primary key, {columns})")
        for mid in range(1, rows + 1):
            database.execute("INSERT INTO modules VALUES (?, ?, ?, 0, 'cc')", (mid, mid // 10, f"{url}/{mid}.jpg"))
            style = labels[mid % len(labels)]["label"]
            values = [
                ("positive", "negative", "unsure")[(hash_of(style) + at + mid % 2) % 3] for at in range(len(ATTRIBUTES))
            ]
            marks = ", ".join("?" * (1 + len(ATTRIBUTES)))
            database.execute(f"INSERT INTO automatic_labels VALUES ({marks})", [mid, *values])
    database.close()


def hash_of(text: str) -> int:
    return sum(text.encode())


def stored(library: Path) -> int:
    try:
        with sosie.open(library, create=False, read_only=True) as lib:
            return int(lib.catalogue.counts()["locations"])
    except sosie.SosieError:
        return 0


def run(command: list[str], *, kill_at: int | None, library: Path) -> dict[str, object]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    while kill_at is not None and process.poll() is None:
        if stored(library) >= kill_at:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return {}
        time.sleep(0.1)
    out, _ = process.communicate()
    assert process.returncode == 0, process.returncode
    report: dict[str, object] = json.loads(out)
    return report


def main(pack: Path, rows: int, model: str) -> None:
    labels = list(csv.DictReader((pack / "manifest.csv").open(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as folder, PictureServer() as server:
        serve(server, pack, labels, rows)
        database, library = Path(folder) / "bam.sqlite", Path(folder) / "lib"
        write_database(database, server.url, labels, rows)
        command = [sys.executable, "-m", "sosie", "add", str(database), "--dataset", "bam", "--allow-private"]
        command += ["-L", str(library), "--model", model, "--json"]
        started = time.perf_counter()
        asked_of_stored = []
        for kill_at in (rows // 5, rows // 2):
            run(command, kill_at=kill_at, library=library)
            with sosie.open(library) as lib:
                have = {uri.rpartition(":")[2].partition("/")[2] for r in lib.pictures() for uri in r.uris}
            asked_of_stored.append((len(server.seen), have))
        report = run(command, kill_at=None, library=library)
        seconds = time.perf_counter() - started
        print(json.dumps(judge(library, server, report, asked_of_stored, rows, seconds), indent=1))


def judge(
    library: Path,
    server: PictureServer,
    report: dict[str, object],
    kills: list[tuple[int, set[str]]],
    rows: int,
    seconds: float,
) -> dict[str, object]:
    kinds = Counter(map(what_is_at, range(1, rows + 1)))
    for asked, have in kills:
        again = {seen.path.strip("/") for seen in server.seen[asked:]} & have
        assert not again, f"fetched twice: {again}"
    with sosie.open(library) as lib:
        counts = lib.catalogue.counts()
        refused = Counter(row.reason for row in lib.quarantine())
        where = "media has 'oilpaint' and content has 'cat'"
        chosen = lib.pictures(where=where)
        assert all("oilpaint" in r.labels["media"] and "cat" in r.labels["content"] for r in chosen)
    good = kinds["good"] + kinds["slow"]
    assert counts["pictures"] == good + (kinds["placeholder"] > 0), (counts, kinds)
    assert counts["locations"] == good + kinds["placeholder"]
    assert refused["gone"] == kinds["dead"]
    assert counts["locations"] + sum(refused.values()) == rows
    return {
        "rows": rows,
        "served": dict(kinds),
        "pictures": counts["pictures"],
        "locations": counts["locations"],
        "quarantine": dict(refused.most_common()),
        "requests": len(server.seen),
        "last_run": {name: report[name] for name in ("seen", "unchanged", "indexed", "known")},
        "kills": [len(have) for _, have in kills],
        "sub_collection": {"where": where, "pictures": len(chosen)},
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--model", default="histogram")
    args = parser.parse_args()
    main(args.pack, args.rows, args.model)
