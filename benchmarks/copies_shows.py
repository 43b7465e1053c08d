"""What the documentation says of copies beyond recall: real edits, certificates, duplicates, pictures from outside.

    python benchmarks/copies_shows.py real-edits   PACK/ --library DIR     # first answers, micro-AP over pairs
    python benchmarks/copies_shows.py certificates ORIGINALS/              # crop and scale beside what was done
    python benchmarks/copies_shows.py duplicates   ORIGINALS/ --library DIR
    python benchmarks/copies_shows.py outside      OTHER/ --references A/ B/ --library DIR

``PACK`` holds ``images/`` and a ``manifest.csv`` whose column ``group`` says which pictures were made of one. Libraries
are made where there are none. Of pictures from ``outside`` no reference was made: altered, none of them should be
called a copy; ``--calibrate`` fits the probabilities to the references first, as `sosie copies` does by itself.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import sosie
from sosie.alterations import Altered, Record, alter, names
from sosie.analysis.features import extractor
from sosie.decode import decode
from sosie.evaluation.metrics import micro_average_precision
from sosie.query.copy_query import CopyQuery
from sosie.types import Picture
from sosie.verify.certificate import Certificate, certify
from sosie.verify.evidence import examine

SURE = 0.95
EDITS = ("crop_50", "flip", "jpeg", "meme", "grey", "text", "scale_down", "border", "brightness", "paste")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(SHOWS))
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--references", type=Path, nargs="+", default=[])
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--calibrate", action="store_true")
    options = parser.parse_args()
    print(json.dumps(SHOWS[options.what](options), indent=1))


# ------------------------------------------------------------------------------------------------ real edits


def real_edits(options: argparse.Namespace) -> dict[str, Any]:
    """Ask each hand-made edit for the others of its painting; itself is no answer."""
    groups = _groups(options.pictures / "manifest.csv")
    with _library(options.library, [options.pictures / "images"]) as library:
        ids = {record.id: Path(record.uris[0]).name for record in library.pictures()}
        partners = {i: [j for j in ids if j != i and groups[ids[j]] == groups[ids[i]]] for i in ids}
        scores, right, first, sure = [], [], 0, 0
        asked = [i for i in ids if partners[i]]
        for content_id in asked:
            query = replace(_query(library, library.read(content_id)), exclude=content_id, sha256="", pixels=b"")
            hits = library.copies.find_analysed(query, k=len(ids), least=0.0).hits
            first += bool(hits) and hits[0].id in partners[content_id]
            sure += any(hit.verdict != "similar" for hit in hits if hit.id in partners[content_id])
            scores += [hit.score for hit in hits]
            right += [hit.id in partners[content_id] for hit in hits]
    pairs = sum(map(len, partners.values()))
    return {
        "queries": len(asked),
        "first answer shows the same painting": first,
        "above the cut-off": sure,
        "pairs": pairs,
        "micro-AP over pairs": round(micro_average_precision(np.array(scores), np.array(right), pairs), 4),
    }


def _groups(manifest: Path) -> dict[str, str]:
    with manifest.open(encoding="utf-8") as file:
        return {Path(row["path"]).name: row["group"] for row in csv.DictReader(file)}


# ------------------------------------------------------------------------------------------------ certificates


def certificates(options: argparse.Namespace) -> dict[str, Any]:
    """Alter pictures, and compare what the certificate says with the record of what was done."""
    crops, scales, flips, missing = [], [], [], 0
    for _, original, altered in _altered(options.pictures, options.count):
        if altered.record.homography is None or altered.record.crop is None:
            continue
        found = _certificate(original, altered)
        if found is None:
            missing += 1
            continue
        ours, truth = (np.array([x, y, x + w, y + h]) for x, y, w, h in (found.crop, altered.record.crop))
        crops.append(float(np.abs(ours - truth).max()))
        flips.append(found.mirrored == altered.record.mirrored)
        if (true_scale := _scale(altered.record)) is not None:
            scales.append(abs(float(np.sqrt(found.scale[0] * found.scale[1])) / true_scale - 1))
    return {
        "certificates": len(crops),
        "nothing to lay over": missing,
        "worst edge of the crop, share of the picture, 50/90/95 %": _quantiles(crops),
        "scale, relative error, 50/90/95 %": _quantiles(scales),
        "scales": len(scales),
        "mirror images told right": round(float(np.mean(flips)), 4),
    }


def _certificate(original: np.ndarray, altered: Altered) -> Certificate | None:
    sides = [Picture(each, each.shape[1], each.shape[0]) for each in (altered.pixels, original)]
    evidence = examine(*(extractor().extract(side) for side in sides))
    if evidence.inliers == 0:
        return None
    sizes = {"query_size": altered.pixels.shape[1::-1], "reference_size": original.shape[1::-1]}
    return certify(altered.pixels, original, evidence, **sizes)


def _scale(record: Record) -> float | None:
    """Return pixels after for one before, across and down together; None where perspective makes it vary."""
    matrix = record.homography / record.homography[2, 2]
    if np.abs(matrix[2, :2]).max() > 1e-9:
        return None
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


# ------------------------------------------------------------------------------------------------ duplicates


def duplicates(options: argparse.Namespace) -> dict[str, Any]:
    """Make a folder of 60 pictures with three edits each and 40 alone, and look for the groups in it."""
    folder = options.library / "pictures"
    groups = _known_groups(sorted(options.pictures.iterdir()), folder, families=60, alone=40)
    with _library(options.library / "library", [folder]) as library:
        report = library.copies.duplicates()
    name = lambda record: Path(record.uris[0]).name  # noqa: E731
    formed, least = [], 1.0
    for group in report.groups:
        members = [group.best, *(record for record, _ in group.others)]
        formed += [tuple(sorted(map(name, pair))) for pair in itertools.combinations(members, 2)]
        least = min([least, *(match.probability for _, match in group.others)])
    true = {pair for members in groups.values() for pair in itertools.combinations(sorted(members), 2)}
    return {
        "files": sum(map(len, groups.values())),
        "groups": len(report.groups),
        "pairs formed": len(formed),
        "precision": round(sum(pair in true for pair in formed) / max(1, len(formed)), 4),
        "recall": round(sum(pair in true for pair in formed) / len(true), 4),
        "bridges shown": len(report.bridges),
        "cut-off": round(report.cut_off, 4),
        "least probability of a member to its best": round(least, 4),
    }


def _known_groups(paths: list[Path], folder: Path, *, families: int, alone: int) -> dict[int, list[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[int, list[str]] = defaultdict(list)
    ways = itertools.cycle(EDITS)
    for at, path in enumerate(paths[: families + alone]):
        pixels = decode(path.read_bytes()).pixels
        members = {path.name: path.read_bytes()}
        if at < families:
            members |= {f"{at:03d}-{way}.png": _png(alter(pixels, way, at).pixels) for way in itertools.islice(ways, 3)}
        for name, data in members.items():
            (folder / name).write_bytes(data)
            groups[at].append(name)
    return groups


# ------------------------------------------------------------------------------------------------ outside


def outside(options: argparse.Namespace) -> dict[str, Any]:
    """Ask altered pictures that no reference was made from, and list those called a copy all the same."""
    said = []
    with _library(options.library, options.references) as library:
        measured = library.copies.calibrate(sample=100, per_picture=2)[1] if options.calibrate else {}
        for path, _, altered in _altered(options.pictures, options.count):
            found = library.copies.find_analysed(_query(library, _png(altered.pixels)), k=1, least=SURE)
            said += [
                {"picture": path.name, "way": altered.record.name, "copy of": hit.uri, "probability": hit.probability}
                for hit in found
            ]
        references = library.stats()["pictures"]
    return {"references": references, "asked": options.count, "called a copy": len(said), "which": said, **measured}


# ------------------------------------------------------------------------------------------------ shared


def _library(folder: Path, sources: list[Path]) -> sosie.Library:
    library = sosie.open(folder)
    for source in sources:
        library.add(source, workers=2)
    library.copies.prepare(workers=2)
    return library


def _query(library: sosie.Library, data: bytes) -> CopyQuery:
    picture = decode(data)
    return library.copies.query_of_picture("query", picture)


def _altered(folder: Path, count: int) -> Iterator[tuple[Path, np.ndarray, Altered]]:
    """Yield ``count`` pictures of a folder and an altered copy of each, every way about as often."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    ways = names()
    for at in range(count):
        path = paths[at % len(paths)]
        pixels = decode(path.read_bytes()).pixels
        yield path, pixels, alter(pixels, ways[at % len(ways)], at)


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _quantiles(values: list[float]) -> list[float]:
    return np.round(np.percentile(values or [0.0], [50, 90, 95]), 5).tolist()


SHOWS = {"real-edits": real_edits, "certificates": certificates, "duplicates": duplicates, "outside": outside}

if __name__ == "__main__":
    main()
