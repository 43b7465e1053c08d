"""Models beside each other on labelled packs: mAP, copies, time on one core.

    python benchmarks/models.py table DATA --model v2=mobilenet_v2.onnx:224:embedding:signed
    python benchmarks/models.py copies DATA/copies-dev --outside DATA/distractors-a
    python benchmarks/models.py speed --model v2=mobilenet_v2.onnx:224:embedding:signed

DATA holds packs: folders with ``manifest.csv`` (path, label). A model is NAME=FILE:SIDE[:OUTPUT[:SCALING]], SCALING
``raw`` (RGB 0 to 255) or ``signed`` (x / 127.5 - 1); bundled, the version before it and histogram are always there.
``table`` and ``copies`` go through libraries and `sosie evaluate`, as a user would. Nothing is chosen by these packs.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import sosie
from sosie.embedders.bundled import EARLIER
from sosie.embedders.onnx import OnnxEmbedder, read_description
from sosie.evaluation.collection import from_library
from sosie.evaluation.compare import compare_runs
from sosie.evaluation.copies import CopySettings, Sources, predict_copies
from sosie.evaluation.labels import predict_labels, score_labels
from sosie.evaluation.methods import library_methods
from sosie.evaluation.report import write_report
from sosie.evaluation.runs import Run
from sosie.networks.runtime import digest_of
from sosie.registry import resolve
from sosie.sources import SourceOptions, open_source
from sosie.types import Picture

EARLIER_NAMES = tuple(f"bundled-{version}" for version in EARLIER)
PACKS = ("caltech101-dev", "art-dev", "crossdepict-dev", "clothes-dev", "instances-dev")


def described(text: str, folder: Path) -> Path:
    """Write the description of NAME=FILE:SIDE[:OUTPUT[:SCALING]] and return it."""
    import onnxruntime

    name, _, rest = text.partition("=")
    given = rest.split(":")
    file, side, output, scaling = given + ["", "160", "semantic", "raw"][len(given) :]
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    grey = np.full((1, 3, int(side), int(side)), 0.5, np.float32)
    shape = session.run([output], {session.get_inputs()[0].name: grey})[0].shape
    how = {"side": int(side), "fit": "squash", "resample": "bicubic"}
    if scaling == "signed":
        how |= {"scale": 127.5, "mean": [1, 1, 1]}
    path = folder / f"{name}.json"
    path.write_text(
        json.dumps(
            {
                "name": name,
                "version": "1",
                "licence": "as its publisher says",
                "file": str(Path(file).absolute()),
                "sha256": digest_of(Path(file)),
                "input": session.get_inputs()[0].name,
                "heads": [{"name": "semantic", "dim": int(shape[1]), "output": output}],
                "preprocessing": how,
            }
        )
    )
    return path


def pack_library(pack: Path, folder: Path) -> Path:
    """Make a library of a pack, labelled by its manifest."""
    rows = list(csv.DictReader((pack / "manifest.csv").open(newline="")))
    with sosie.open(folder / pack.name) as lib:
        labels = {r["path"]: r["label"] for r in rows}
        lib.add(open_source(str(pack / "images"), SourceOptions()))
        for record in lib.pictures():
            name = record.uris[0].rpartition("/")[2]
            lib.set_labels(record.id, {"label": labels[f"images/{name}"]})
    return folder / pack.name


def table(options: argparse.Namespace) -> None:
    """Print mAP of every model on every pack, with the interval of the first."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models = ["bundled", *EARLIER_NAMES, *(str(described(each, folder)) for each in options.model), "histogram"]
        cells: dict[str, list[str]] = {model: [] for model in models}
        for pack in PACKS:
            library = pack_library(options.data / pack, folder)
            runs: dict[str, Run] = {}
            for model in models:
                with sosie.open(library, model=model, create=False) as lib:
                    lib.models.catch_up()
                    runs[model] = predict_labels(
                        folder / "runs" / pack / Path(model).stem, from_library(lib), keys=("label",)
                    )
                    score = score_labels(runs[model])
                    interval = score.intervals["mAP"]
                    cells[model].append(f"{score.metrics['mAP']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]")
            differences = [row for row in compare_runs(runs).rows if row["measure"] == "mAP"]
            print(pack, json.dumps({Path(r["set-up"]).stem: r["difference"] for r in differences}))
        print("| model | " + " | ".join(PACKS) + " |\n|---|" + "---|" * len(PACKS))
        for model, row in cells.items():
            print(f"| {Path(model).stem} | " + " | ".join(row) + " |")


def copies(options: argparse.Namespace) -> None:
    """Print how the copy vector, the semantic one and PDQ find altered copies of a pack among distractors."""
    from functools import partial

    with tempfile.TemporaryDirectory() as scratch, sosie.open(Path(scratch) / "library", model=options.model) as lib:
        lib.add(open_source(str(options.pack), SourceOptions()))
        references, ids = from_library(lib), lib.vectors()[0]
        source = open_source(str(options.outside), SourceOptions())
        outside = [partial(lambda ref: lib.engine.analyse(source.read(ref))["working"], ref) for ref in source][:200]
        run = predict_copies(
            Path(scratch) / "run",
            references,
            methods=library_methods(lib, ["copy", "semantic", "pdq", "pdq-turns"]),
            sources=Sources(lambda row: lib.engine.analyse(lib.read(int(ids[row])))["working"], outside),
            settings=CopySettings(sample=options.sample, per_picture=8, negatives=200),
        )
        write_report(run)
        stored = json.loads((run.folder / "score.json").read_text())
        names = ("micro_ap", "recall@1", "recall@p90", "recall_before_false")
        print("| method | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
        for method, values in stored["methods"].items():
            print(f"| {method} | " + " | ".join(f"{values[name]:.3f}" for name in names) + " |")


def speed(options: argparse.Namespace) -> None:
    """Print the time of one picture on one core, the models taking turns, and the memory of this process."""
    with tempfile.TemporaryDirectory() as scratch:
        embedders = {name: resolve("embedders", name)(threads=1) for name in ("bundled", *EARLIER_NAMES)}
        for each in options.model:
            path = described(each, Path(scratch))
            embedders[path.stem] = OnnxEmbedder(read_description(path), threads=1)
        taken: dict[str, list[float]] = {name: [] for name in embedders}
        for turn in range(options.rounds + 5):
            for name, embedder in embedders.items():
                side = embedder.spec.preprocessing.side
                picture = [Picture(np.full((side, side, 3), 99, np.uint8), side, side)]
                started = time.perf_counter()
                embedder.embed(picture)
                if turn >= 5:
                    taken[name].append(1e3 * (time.perf_counter() - started))
    for name, times in taken.items():
        print(f"{name}: least {min(times):.2f} ms, median {statistics.median(times):.2f} ms a picture, one core")
    print(f"most memory held: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, action in (("table", table), ("copies", copies), ("speed", speed)):
        command = commands.add_parser(name)
        command.set_defaults(action=action)
        if name == "table":
            command.add_argument("data", type=Path)
        if name in ("table", "speed"):
            command.add_argument("--model", action="append", default=[])
        if name == "copies":
            command.add_argument("pack", type=Path)
            command.add_argument("--outside", type=Path, required=True)
            command.add_argument("--sample", type=int, default=100)
            command.add_argument("--model", default="bundled")
        if name == "speed":
            command.add_argument("--rounds", type=int, default=200)
    chosen = parser.parse_args()
    chosen.action(chosen)


if __name__ == "__main__":
    main()
