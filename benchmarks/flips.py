"""Flip single bits of a catalogue and count what becomes of each: an error, the same answers, or other ones.

    python benchmarks/flips.py [--flips 300] [--seed 1]

Prints JSON. ``silent``: some answer differed, no error was raised and the doctor found nothing. ``missed_on_read``:
some answer differed without an error, but the doctor names the damage (a row that an index page no longer leads to is
not found; no row is there to carry a digest). ``crashes``: an exception that is no SosieError, in reading or in the
doctor. Exit code 0 where ``silent`` and ``crashes`` are 0.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import sosie
from sosie.catalogue.records import PairVerdict
from sosie.errors import SosieError
from sosie.library import Library
from sosie.maintenance.checkup import examine

PICTURES = 12


def make_library(folder: Path) -> Path:
    """Make a small library that holds a row of every kind, its log folded into the file; return its folder."""
    rng = np.random.default_rng(5)
    (folder / "pictures").mkdir()
    for number in range(PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
        coarse.resize((96, 64)).save(folder / "pictures" / f"{number}.png")
    (folder / "pictures" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    with sosie.open(folder / "library", model="histogram") as lib:
        lib.add(folder / "pictures", workers=1)
        store = lib.catalogue
        digests = [record.sha256 for record in lib.pictures()]
        for content_id in range(1, PICTURES + 1):
            lib.set_labels(
                content_id, {"label": f"kind{content_id % 3}", "year": 1990.5 + content_id, "who": ("a", "b")}
            )
        store.put_facts({i: {"exif.camera": ("Model",), "exif.date": (1990.0 + i,)} for i in range(1, PICTURES + 1)})
        store.put_decision(digests[0], digests[1], "not_a_copy", note="seen", at=20)
        low, high = sorted(bytes.fromhex(each) for each in digests[2:4])
        lib.catalogue.put_pairs([PairVerdict(low, high, "judge 1", "copy", 0.9, {"inliers": 40}, 20)])
        lib.catalogue.put_features([(i, rng.bytes(200)) for i in range(1, PICTURES + 1)], version="test")
        store.put_record("watch", {"pictures": {}, "seen": [1, 2, 3]})
        lib.catalogue.append_log("somebody", "added", {"pictures": PICTURES})
    return folder / "library"


def answers(lib: Library) -> Iterator[tuple[str, Any]]:
    """Yield everything that a user is told, name by name."""
    store, pictures = lib.catalogue, lib.pictures()
    yield "pictures", pictures
    yield "filtered", [record.id for record in lib.pictures(where="label = 'kind1' and year > 1995")]
    yield "labels", (lib.labels(), store.all_labels())
    yield "facts", store.facts_of([record.id for record in pictures])
    yield "decisions", store.decisions()
    yield "quarantine", (lib.quarantine(), store.quarantined_refs())
    yield "located", [store.located(uri) for record in pictures for uri in record.uris]
    yield "places", [store.places_of(record.id) for record in pictures]
    yield "features", sorted(lib.catalogue.features(range(1, PICTURES + 1), version="test").items())
    yield "record", store.record("watch")
    yield "log", lib.catalogue.log()
    yield "contents", [store.content(record.id) for record in pictures]
    yield "search", [[(hit.id, hit.score, hit.verdict) for hit in lib.search(r.id, k=5)] for r in pictures]
    keys = [tuple(sorted(bytes.fromhex(r.sha256) for r in pictures[2:4]))]
    yield (
        "pairs",
        [(verdict.verdict, verdict.evidence) for verdict in lib.catalogue.pairs(keys, judge="judge 1").values()],
    )  # a damaged one is judged again: nothing is answered from it


def examined(library: Path) -> list[str]:
    """Return the kinds of what the doctor finds, ["refused"] where the library cannot be opened."""
    try:
        with sosie.open(library, read_only=True) as lib:
            return [finding.kind for finding in examine(lib)]
    except SosieError:
        return ["refused"]


def outcome(library: Path, truth: dict[str, Any]) -> tuple[str, str]:
    """Return what became of a flipped catalogue: its class and more about it."""
    wrong: list[str] = []
    error = ""
    try:
        with sosie.open(library, read_only=True) as lib:
            for name, found in answers(lib):
                if found != truth[name] and not (name in {"pairs", "features"} and len(found) < len(truth[name])):
                    wrong.append(name)
    except SosieError as refused:
        error = str(refused)
    findings = examined(library)
    if wrong and not error:
        return ("missed_on_read" if findings else "silent", ", ".join(wrong) + f" → {findings[:3]}")
    if error and not findings:
        return "error_unseen_by_doctor", error
    return ("refused" if error else "found_by_doctor" if findings else "unchanged"), error


def run(flips: int, seed: int, folder: Path) -> dict[str, Any]:
    """Flip ``flips`` bits, one at a time; return the counts and an example of each kind."""
    library = make_library(folder)
    path = library / "catalogue.sqlite"
    sound = path.read_bytes()
    with sosie.open(library, read_only=True) as lib:
        truth = dict(answers(lib))
    used = [at for at in range(len(sound)) if sound[at]]  # free space of pages is not read
    rng, counts = random.Random(seed), collections.Counter[str]()
    kinds: collections.defaultdict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for _ in range(flips):
        at, bit = rng.choice(used), rng.randrange(8)
        flipped = bytearray(sound)
        flipped[at] ^= 1 << bit
        for beside in library.glob("catalogue.sqlite*"):
            beside.unlink()
        path.write_bytes(flipped)
        try:
            kind, detail = outcome(library, truth)
        except Exception:
            kind, detail = "crashes", f"byte {at} bit {bit}: " + "".join(traceback.format_exc(limit=-2)[-400:])
        counts[kind] += 1
        kinds[kind][detail[:300]] += 1
    told = {kind: found.most_common(12) for kind, found in kinds.items() if kind not in {"unchanged", "refused"}}
    return {"flips": flips, "seed": seed, "silent": 0, "crashes": 0, "missed_on_read": 0, **counts, "examples": told}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sosie-flips-"))
    try:
        found = run(options.flips, options.seed, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found, indent=1, ensure_ascii=False))
    return 1 if found["silent"] or found["crashes"] else 0


if __name__ == "__main__":
    sys.exit(main())
