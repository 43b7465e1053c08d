"""Do parts help, and what do they cost? Quality on labelled packs, and the speed and memory of everything beside it.

python benchmarks/objects.py quality --shared ../shared --out runs/objects     # whole, objects, pooled, masks, crops
python benchmarks/objects.py speed --shared ../shared --out runs/objects       # pipelines, pooling, 10,000 pictures
python benchmarks/objects.py candidates --shared ../shared --out runs/objects  # what a search of squares misses
python benchmarks/objects.py draw --shared ../shared --out runs/drawn           # boxes and masks, to be looked at
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import statistics
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import sosie
import sosie.query.regions
from sosie.catalogue import AddContent, AddRegions, ContentRow
from sosie.embedders.bundled import BundledEmbedder
from sosie.evaluation.compare import compare_runs
from sosie.evaluation.intervals import paired_bootstrap
from sosie.evaluation.regions import compare_kinds
from sosie.regions.description import read_description
from sosie.regions.detector import OnnxDetector
from sosie.regions.fitting import fit
from sosie.regions.masks import cut_out, masked_region
from sosie.regions.pooled import pooled_regions
from sosie.regions.segmenter import Segmenter
from sosie.types import ImageRef, Picture, Region

DETECTORS = {"yolox_nano": "yolox_nano", "ssd_mobilenet_v1": "ssd_mobilenet_v1", "fastestdet": "FastestDet"}
SEGMENTERS = {"deeplabv3_pascal": "deeplabv3_mnv2_pascal", "skin_clothes_hair": "pan_skin_clothes_hair"}
COMMON = 0.2  # a garment that more people wear tells nothing


# ------------------------------------------------------------------------------------------------ quality


def classes_of_scenes(pack: Path) -> dict[str, set[str]]:
    found = defaultdict(set)
    for row in csv.DictReader((pack / "boxes.csv").open()):
        found[Path(row["path"]).name].add(row["label"])
    return found


def garments_of_people(pack: Path) -> dict[str, set[str]]:
    rows = list(csv.DictReader((pack / "manifest.csv").open()))
    counts = Counter(tag for row in rows for tag in row["tags"].split(";"))
    rare = {tag for tag, count in counts.items() if count <= COMMON * len(rows)}
    return {Path(row["path"]).name: set(row["tags"].split(";")) & rare for row in rows}


def classes_of_garments(pack: Path) -> dict[str, set[str]]:
    return {Path(row["path"]).name: {row["label"]} for row in csv.DictReader((pack / "manifest.csv").open())}


PACKS: Mapping[str, tuple[Callable[[Path], dict[str, set[str]]], str, Sequence[str]]] = {
    "regions-dev": (classes_of_scenes, "deeplabv3_pascal", ("objects", "pooled", "mask:person")),
    "people-dev": (garments_of_people, "skin_clothes_hair", ("objects", "pooled", "mask:clothes")),
    "clothes-dev": (classes_of_garments, "skin_clothes_hair", ("objects", "pooled", "mask:clothes")),
}


def library_of(out: Path, shared: Path, name: str) -> sosie.Library:
    """Add a pack with all kinds of regions, and its labels; what is there already is not done again."""
    labels_of, segmenter, kinds = PACKS[name]
    lib = sosie.open(out / name / "library")
    weights = shared / "weights"
    lib.extractor.use(
        detector=f"yolox_nano:{weights / 'yolox_nano.onnx'}",
        segmenter=f"{segmenter}:{weights / SEGMENTERS[segmenter]}.onnx",
    )
    pack = shared / "data" / name
    lib.add(pack / "images", regions=kinds)
    labels = labels_of(pack)
    for record in lib.pictures():
        lib.set_labels(record.id, {"holds": tuple(sorted(labels[record.uris[0].rsplit("/", 1)[1]]))})
    return lib


def quality(shared: Path, out: Path) -> None:
    for name, (_, _, kinds) in PACKS.items():
        with library_of(out, shared, name) as lib:
            print(f"\n{name}: {len(lib.pictures())} pictures, relevant: shares a class; weights fitted in five folds")
            runs = compare_kinds(out / name / "runs", lib, kinds, keys=("holds",), fit=True, note=print)
            show(compare_runs(runs).rows, ("mAP", "precision@10"))
            if name == "regions-dev":
                crops(lib, shared / "data" / name)


def show(rows: Sequence[Mapping[str, object]], measures: Sequence[str]) -> None:
    for row in rows:
        if row["measure"] in measures:
            change = (
                "" if row["difference"] is None else f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
            )
            print(
                f"  {row['measure']:<14}{row['set-up']:<22}{row['value']:.4f}  {change}{' *' if row['clear'] else ''}"
            )


def crops(lib: sosie.Library, pack: Path) -> None:
    """Ask with the two largest objects of each scene, cut out by hand: which other scenes hold such a thing?"""
    holds = classes_of_scenes(pack)
    boxes = defaultdict(list)
    for row in csv.DictReader((pack / "boxes.csv").open()):
        edges = [min(max(float(row[edge]), 0.0), 1.0) for edge in ("x1", "y1", "x2", "y2")]
        boxes[Path(row["path"]).name].append((row["label"], edges))
    names = {record.id: record.uris[0].rsplit("/", 1)[1] for record in lib.pictures()}
    setups = {"whole": [], "objects": ["objects"], "pooled": ["pooled"], "objects+pooled": ["objects", "pooled"]}
    precisions: dict[str, list[float]] = defaultdict(list)
    at_ten: dict[str, list[float]] = defaultdict(list)
    for content_id, name in names.items():
        largest = sorted(boxes[name], key=lambda each: -(each[1][2] - each[1][0]) * (each[1][3] - each[1][1]))[:2]
        for label, (x1, y1, x2, y2) in largest:
            relevant = {i for i, other in names.items() if i != content_id and label in holds[other]}
            if not relevant or x2 - x1 < 0.02 or y2 - y1 < 0.02:
                continue
            for setup, kinds in setups.items():
                hits = lib.search(lib.read(content_id), k=len(names), box=(x1, y1, x2 - x1, y2 - y1), regions=kinds)
                right = np.array([hit.id in relevant for hit in hits if hit.id != content_id])
                ranks = np.flatnonzero(right) + 1
                precisions[setup].append(float((np.arange(1, len(ranks) + 1) / ranks).sum() / len(relevant)))
                at_ten[setup].append(float(right[:10].mean()))
    print(f"  crops of objects as queries: {len(precisions['whole'])}")
    for setup in precisions:
        for measure, table in (("mAP", precisions), ("precision@10", at_ten)):
            change = paired_bootstrap(np.array(table["whole"]), np.array(table[setup]))
            print(
                f"  {measure:<14}crop against {setup:<18}{np.mean(table[setup]):.4f}  "
                f"{change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
            )


MIXED = ("regions-dev", "people-dev", "clothes-dev", "distractors-a", "caltech101-dev", "art-dev", "instances-dev")


def candidates(shared: Path, out: Path) -> None:
    """How many of the first ten are those that a look at every region of every picture puts there?"""
    crops_of = defaultdict(list)
    for row in csv.DictReader((shared / "data" / "regions-dev" / "boxes.csv").open()):
        x1, y1, x2, y2 = (min(max(float(row[edge]), 0.0), 1.0) for edge in ("x1", "y1", "x2", "y2"))
        if x2 - x1 >= 0.02 and y2 - y1 >= 0.02:
            crops_of[Path(row["path"]).name].append((x1, y1, x2 - x1, y2 - y1))
    with sosie.open(out / "mixed") as lib:
        for name in MIXED:
            lib.add(shared / "data" / name, regions=["pooled"])
        everything = len(lib.pictures())
        agree: dict[str, list[float]] = defaultdict(list)
        for record in lib.pictures():
            for box in sorted(crops_of[record.uris[0].rsplit("/", 1)[1]], key=lambda box: -box[2] * box[3])[:2]:
                for which, limit in (("whole pictures and the largest square", 50_000), ("whole pictures", 0)):
                    sosie.query.regions.EXACT_UNTIL = limit
                    first, asked = [], {"box": box, "regions": ["pooled"], "verify": False}
                    for k in (10, everything):
                        first.append({hit.id for hit in list(lib.search(lib.read(record.id), k=k, **asked))[:10]})
                    agree[which].append(len(first[0] & first[1]) / 10)
        for which, shares in agree.items():
            print(f"  {everything} pictures, {len(shares)} crops, candidates of {which}: {np.mean(shares):.4f}")


# ------------------------------------------------------------------------------------------------ speed


def pictures_of(folder: Path, count: int) -> list[np.ndarray]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())[:count]]


def alternating(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each job; they take turns, so that a busy machine slows all of them alike."""
    taken = defaultdict(list)
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in taken.items()}


def pipelines(shared: Path, threads: int) -> None:
    """How much of the bare network's rate is left when pictures are prepared and outputs are read?"""
    pictures = pictures_of(shared / "data" / "regions-dev" / "images", 48)
    for names, kind in ((DETECTORS, OnnxDetector), (SEGMENTERS, Segmenter)):
        for name, file in names.items():
            task = "detect" if kind is OnnxDetector else "segment"
            network = kind(read_description(f"{name}:{shared / 'weights' / file}.onnx", task=task), threads=threads)
            network.warm_up()
            about, session = network.description, network._session
            feeds = [{about.input.name: fit(each, about.input).tensor} for each in pictures]
            wanted = about.classes[15] if name == "deeplabv3_pascal" else about.classes[0]

            def whole(network=network, wanted=wanted) -> None:
                for each in pictures:
                    if isinstance(network, OnnxDetector):
                        network.detect(each)
                    else:
                        region = masked_region(network.probability(each, wanted), wanted, threshold=0.5)
                        cut_out(each, region)

            def bare(session=session, about=about, feeds=feeds) -> None:
                for feed in feeds:
                    session.run(list(about.outputs), feed)

            taken = alternating({"bare": bare, "pipeline": whole}, 5)
            bare_ms, whole_ms = (1000 * taken[each] / len(pictures) for each in ("bare", "pipeline"))
            share = f"{bare_ms / whole_ms:.0%} of its rate"
            print(f"  {name:<18} bare {bare_ms:.1f} ms, pipeline {whole_ms:.1f} ms: {share}")


def pooling(shared: Path, threads: int) -> None:
    embedder = BundledEmbedder(threads=threads)
    side = embedder.spec.preprocessing.side
    batch = [
        Picture(np.asarray(Image.fromarray(p).resize((side, side))), side, side)
        for p in pictures_of(shared / "data" / "regions-dev" / "images", 32)
    ]
    taken = alternating(
        {
            "embed": lambda: embedder.embed(batch),
            "embed and pool": lambda: pooled_regions(embedder.embed_with_maps(batch)[1]),
        },
        9,
    )
    regions, vectors = pooled_regions(embedder.feature_maps(batch[:1]))
    plain, both = (1000 * seconds / len(batch) for seconds in taken.values())
    print(
        f"  embedding {plain:.2f} ms a picture, with {len(regions)} pooled regions of {vectors.shape[2]} numbers"
        f" {both:.2f} ms: {both / plain - 1:+.1%}"
    )


def searching(out: Path, pictures: int, objects: int) -> None:
    """Search a library of random vectors: the time does not depend on what they mean."""
    rng = np.random.default_rng(0)
    with sosie.open(out / "random") as lib:
        lib.extractor._remember(kinds=["objects", "pooled"])
        spaces = {
            "objects": lib.catalogue.ensure_spaces(
                lib.embedder.spec, regions="objects:any", heads=lib.embedder.spec.heads[:1]
            )[0],
            "pooled": lib.extractor.space("pooled"),
        }
        lib.extractor.__dict__["key_of"] = lambda kind: "objects:any" if kind == "objects" else kind
        whole = lib.spaces[0]

        def unit(rows: int, dim: int) -> np.ndarray:
            vectors = rng.standard_normal((rows, dim)).astype(np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        squares = pooled_regions(lib.embedder.feature_maps([Picture(np.zeros((128, 128, 3), np.uint8), 128, 128)]))[0]
        before = lib.catalogue.path.stat().st_size
        sizes = {}
        for kind in ("whole", "objects", "pooled"):
            changes = []
            for at in range(pictures):
                digest = at.to_bytes(32, "big")
                row = ContentRow(digest, 1, "JPEG", 640, 480, digest[-16:])
                regions = {}
                if kind != "whole":
                    found = squares if kind == "pooled" else [Region((0.1, 0.1, 0.5, 0.5), "thing", 0.8)] * objects
                    regions = {
                        spaces[kind].id: AddRegions(spaces[kind].regions, found, unit(len(found), spaces[kind].dim))
                    }
                vectors = {whole.id: unit(1, whole.dim)[0]} if kind == "whole" else {}
                changes.append(AddContent(row, ImageRef(f"file:///{at}.jpg"), vectors, regions))
            for start in range(0, len(changes), 1000):
                lib.catalogue.apply(changes[start : start + 1000], root="file:///")
            lib.catalogue.query("PRAGMA wal_checkpoint(TRUNCATE)")
            now = lib.catalogue.path.stat().st_size
            sizes[kind], before = now - before, now
        counts = {"whole": 1, "objects": objects, "pooled": len(squares)}
        for kind, size in sizes.items():
            rows = counts[kind] * pictures
            # the vector; of a region its id, its picture, its place in the order of pictures and how sure it is, too
            memory = 4 * whole.dim if kind == "whole" else 4 * spaces[kind].dim + 28
            print(f"  {kind:<8} {size / rows:7.0f} bytes of catalogue a region, {memory} bytes of memory when searched")
        picture = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
        Image.fromarray(picture).save(out / "query.jpg")
        query = (out / "query.jpg").read_bytes()
        jobs = {
            kind: lambda kinds=kinds: lib.search(query, regions=kinds)
            for kind, kinds in (("whole", []), ("objects", ["objects"]), ("pooled", ["pooled"]))
        }
        tell_search(jobs, "without an index of squares")
        started = time.perf_counter()
        lib.indexes.keep()
        tell_search(jobs, f"with one, built in {time.perf_counter() - started:.0f} s")


def tell_search(jobs: Mapping[str, Callable[[], object]], how: str, rounds: int = 25) -> None:
    """Print the time of a search by the clock and, true on a busy machine, by the processor with its decoder."""
    taken, busy = alternating(jobs, rounds), {}
    for kind, job in jobs.items():
        started = processor_seconds()
        for _ in range(rounds):
            job()
        busy[kind] = (processor_seconds() - started) / rounds
    for kind, seconds in taken.items():
        print(
            f"  search of {kind:<8}{1000 * seconds:6.1f} ms, {seconds / taken['whole']:.2f} times whole pictures;"
            f" processor {1000 * busy[kind]:.1f} ms, {busy[kind] / busy['whole']:.2f} times; {how}"
        )


def processor_seconds() -> float:
    """Return the processor time of this process and of its decoders, which still run (Linux, in ticks of 10 ms)."""
    mine, ticks = str(os.getpid()), 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = stat.read_text().rpartition(")")[2].split()
            if mine in (stat.parent.name, fields[1]):
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def speed(shared: Path, out: Path, threads: int, pictures: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    print(f"pipelines, {threads} threads")
    pipelines(shared, threads)
    print("pooled regions")
    pooling(shared, threads)
    print(f"search over {pictures} pictures with 4 objects each")
    searching(out, pictures, 4)


# ------------------------------------------------------------------------------------------------ drawing

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#800000")


def drawn(pixels: np.ndarray, regions: Sequence[Region]) -> Image.Image:
    """Return a picture with boxes, names and masks on it."""
    image = Image.fromarray(pixels).convert("RGB")
    for at, region in enumerate(regions):
        colour = COLOURS[at % len(COLOURS)]
        if region.mask is not None:
            mask = Image.fromarray((region.mask * 120).astype(np.uint8)).resize(image.size)
            image.paste(Image.new("RGB", image.size, colour), mask=mask)
        x, y, width, height = region.box
        left, top = x * image.width, y * image.height
        pen = ImageDraw.Draw(image)
        pen.rectangle((left, top, left + width * image.width, top + height * image.height), outline=colour, width=3)
        text = f"{region.label or 'nothing'} {region.confidence:.2f}"
        box = pen.textbbox((left + 3, top + 2), text)
        pen.rectangle((box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2), fill=colour)
        pen.text((left + 3, top + 2), text, fill="white")
    return image


def draw(shared: Path, out: Path, folder: Path | None, count: int = 6) -> None:
    """Draw what each network sees in some pictures, one sheet a network."""
    out.mkdir(parents=True, exist_ok=True)
    weights = shared / "weights"
    for name, file in {**DETECTORS, **SEGMENTERS}.items():
        people = name in SEGMENTERS
        pack = shared / "data" / ("people-dev" if people else "regions-dev") / "images"
        pictures = pictures_of(folder or pack, count)
        if people:
            network = Segmenter(read_description(f"{name}:{weights / file}.onnx", task="segment"))
            wanted = "person" if name == "deeplabv3_pascal" else "clothes"
            found = [[masked_region(network.probability(p, wanted), wanted, threshold=0.5)] for p in pictures]
        else:
            detector = OnnxDetector(read_description(f"{name}:{weights / file}.onnx", task="detect"))
            found = [detector.detect(p) for p in pictures]
        shots = [
            drawn(p, regions).resize((300, round(300 * p.shape[0] / p.shape[1])))
            for p, regions in zip(pictures, found, strict=True)
        ]
        width = 300 * (len(shots) if people else 3)
        rows = [shots] if people else [shots[:3], shots[3:]]
        sheet = Image.new("RGB", (width, sum(max(s.height for s in row) for row in rows)), "white")
        top = 0
        for row in rows:
            for at, shot in enumerate(row):
                sheet.paste(shot, (300 * at, top))
            top += max(shot.height for shot in row)
        sheet.save(out / f"{name}.jpg", quality=85)
        print(out / f"{name}.jpg")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "speed", "candidates", "draw"))
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="holds data/ and weights/")
    parser.add_argument("--out", type=Path, default=Path("runs/objects"))
    parser.add_argument("--from", dest="pictures_in", type=Path, help="draw the first pictures of this folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=10_000)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.what == "quality":
        quality(asked.shared, asked.out)
    elif asked.what == "candidates":
        candidates(asked.shared, asked.out)
    elif asked.what == "speed":
        speed(asked.shared, asked.out, asked.threads, asked.pictures)
    else:
        draw(asked.shared, asked.out, asked.pictures_in)
    return 0


if __name__ == "__main__":
    sys.exit(main())
