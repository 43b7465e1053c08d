"""Models beside each other on labelled packs: mAP, time on one core, size; and options of one network's quality.

    python benchmarks/models.py table DATA --model v2=mobilenet_v2.onnx:224:embedding:signed
    python benchmarks/models.py copies DATA/copies-dev --outside DATA/distractors-a
    python benchmarks/models.py options DATA --fit DATA/distractors-a
    python benchmarks/models.py speed --model v2=mobilenet_v2.onnx:224:embedding:signed

DATA holds packs: folders with ``manifest.csv`` (path, label). A model is NAME=FILE:SIDE[:OUTPUT[:SCALING]], SCALING
``raw`` (RGB 0 to 255) or ``signed`` (x / 127.5 - 1); bundled and histogram are always there. ``table`` and ``copies``
go through libraries and `sosie evaluate`, as a user would. Nothing is chosen by these packs.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import sosie
from sosie.embedders.bundled import BundledEmbedder
from sosie.embedders.onnx import OnnxEmbedder, read_description, unit
from sosie.embedders.preprocessing import resize
from sosie.evaluation.collection import from_library
from sosie.evaluation.compare import compare_runs
from sosie.evaluation.copies import CopySettings, Sources, predict_copies
from sosie.evaluation.labels import predict_labels, score_labels
from sosie.evaluation.methods import library_methods
from sosie.evaluation.report import write_report
from sosie.evaluation.runs import Run
from sosie.networks.runtime import digest_of
from sosie.sources import SourceOptions, open_source
from sosie.types import FloatMatrix, Picture

SIDE = BundledEmbedder().spec.preprocessing.side
SIDES = (96, 128, 160, 192)
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
        models = ["bundled", *(str(described(each, folder)) for each in options.model), "histogram"]
        cells: dict[str, list[str]] = {model: [] for model in models}
        for pack in PACKS:
            library = pack_library(options.data / pack, folder)
            runs: dict[str, Run] = {}
            for model in models:
                with sosie.open(library, model=model, create=False) as lib:
                    lib.catch_up()
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

    with tempfile.TemporaryDirectory() as scratch, sosie.open(Path(scratch) / "library") as lib:
        lib.add(open_source(str(options.pack), SourceOptions()))
        references, ids = from_library(lib), lib.vectors()[0]
        source = open_source(str(options.outside), SourceOptions())
        outside = [partial(lambda ref: lib.analyse(source.read(ref))["working"], ref) for ref in source][:200]
        run = predict_copies(
            Path(scratch) / "run",
            references,
            methods=library_methods(lib, ["copy", "semantic", "pdq", "pdq-turns"]),
            sources=Sources(lambda row: lib.analyse(lib.read(int(ids[row])))["working"], outside),
            settings=CopySettings(sample=options.sample, per_picture=8, negatives=200),
        )
        write_report(run)
        stored = json.loads((run.folder / "score.json").read_text())
        names = ("micro_ap", "recall@1", "recall@p90", "recall_before_false")
        print("| method | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
        for method, values in stored["methods"].items():
            print(f"| {method} | " + " | ".join(f"{values[name]:.3f}" for name in names) + " |")


# ------------------------------------------------------------------------------------------------ options


def single_look(bundled: Path, out: Path) -> None:
    """Write the bundled network without its mirrored look; raise where its graph is another one."""
    import onnx

    model = onnx.load(bundled)
    both = next(node for node in model.graph.node if node.op_type == "Concat" and node.input[0] == "image")
    unit_rows = [node for node in model.graph.node if node.op_type == "Div" and "Expand" in node.input[1]]
    one = unit_rows[0].output[0]  # the semantic rows before the two looks are added
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            if name == both.output[0]:
                node.input[at] = "image"
    needed, kept = {one}, []
    for node in reversed(model.graph.node):  # what only the second look needs goes
        if needed & set(node.output):
            needed |= set(node.input)
            kept.insert(0, node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(one, onnx.TensorProto.FLOAT, ["n", 256]))
    onnx.save(model, out)


def int8(bundled: Path, pictures: Sequence[Picture], out: Path) -> None:
    """Write the bundled network with its convolutions in 8 bits, their ranges fitted to pictures (post-training)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Shown(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            for picture in self.left:
                return {"image": picture.pixels.transpose(2, 0, 1)[None].astype(np.float32)}
            return None

    plain = out.with_suffix(".float.onnx")
    quant_pre_process(str(bundled), str(plain), skip_symbolic_shape=True)  # folds the half-precision weights
    quantize_static(
        plain, out, Shown(), op_types_to_quantize=["Conv"], per_channel=True, activation_type=QuantType.QUInt8
    )


def squares(pack: Path, side: int) -> tuple[list[Picture], list[str]]:
    """Return a pack's pictures as squares, and their labels."""
    from sosie.decode import decode

    rows = list(csv.DictReader((pack / "manifest.csv").open(newline="")))
    pictures = []
    for row in rows:
        pixels = decode((pack / row["path"]).read_bytes()).pixels
        pictures.append(Picture(resize(pixels, side, side, "bicubic"), side, side))
    return pictures, [row["label"] for row in rows]


def mean_average_precision(rows: FloatMatrix, labels: Sequence[str]) -> float:
    """Return leave-one-out mAP of unit vectors (n, dim)."""
    codes = np.unique(labels, return_inverse=True)[1]
    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    right = codes[order] == codes[:, None]
    precision = right.cumsum(axis=1) / np.arange(1, right.shape[1] + 1)
    return float(((precision * right).sum(axis=1) / np.maximum(right.sum(axis=1), 1)).mean())


def whitening(rows: FloatMatrix, kept: int) -> tuple[FloatMatrix, FloatMatrix]:
    """Return (mean, projection) of PCA whitening fitted to rows (n, dim) (Jégou and Chum, 2012)."""
    mean = rows.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(rows - mean, rowvar=False))
    top = np.argsort(values)[::-1][:kept]
    return mean, np.asarray(axes[:, top] / np.sqrt(values[top] + 1e-9), np.float32)


def options_table(options: argparse.Namespace) -> None:
    """Print mAP and time of what could be done with the same network."""
    import onnxruntime

    weights = Path(sosie.__file__).parent / "embedders" / "weights" / "bundled.onnx"
    with tempfile.TemporaryDirectory() as scratch:
        once = Path(scratch) / "once.onnx"
        single_look(weights, once)
        eighth = Path(scratch) / "int8.onnx"
        int8(weights, squares(options.fit, SIDE)[0][:200], eighth)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        settings.log_severity_level = 3
        networks = {
            name: onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
            for name, path in {"mirrored": weights, "single": once, "int8": eighth}.items()
        }
        print(f"in 8 bits the file has {eighth.stat().st_size / 2**20:.1f} MiB")

    def run(look: str, pictures: Sequence[Picture], output: int = 0) -> FloatMatrix:
        batch = np.stack([p.pixels.transpose(2, 0, 1) for p in pictures]).astype(np.float32)
        blocks = [networks[look].run(None, {"image": batch[i : i + 16]})[output] for i in range(0, len(batch), 16)]
        return np.concatenate(blocks).astype(np.float32)

    def gem(pictures: Sequence[Picture]) -> FloatMatrix:
        maps = run("mirrored", pictures, output=2)
        return unit(np.cbrt((np.maximum(maps, 1e-6) ** 3).mean(axis=(2, 3))))

    found: dict[str, list[float]] = {}
    fit = run("mirrored", squares(options.fit, SIDE)[0])
    centre = fit.mean(axis=0)
    for pack in PACKS:
        sides = {side: squares(options.data / pack, side) for side in SIDES}
        shipped, labels = sides[SIDE]
        looks = {
            look: {side: run(look, pictures) for side, (pictures, _) in sides.items()}
            for look in ("mirrored", "single")
        }
        rows = {f"{look}, {side} px": each for look, by_side in looks.items() for side, each in by_side.items()}
        for look, by_side in looks.items():
            rows[f"{look}, 128 and 160 px averaged"] = unit(by_side[128] + by_side[160])
        rows[f"mirrored, {SIDE} px, convolutions in 8 bits"] = run("int8", shipped)
        seen = looks["mirrored"][SIDE]
        for kept in (64, 128, 256):
            mean, axes = whitening(fit, kept)
            rows[f"whitened to {kept} on other pictures"] = unit((seen - mean) @ axes)
        mean, axes = whitening(seen, 64)
        rows["whitened to 64 on the library itself"] = unit((seen - mean) @ axes)
        rows["centred on other pictures"] = unit(seen - centre)
        rows["feature map, generalised mean (p = 3)"] = gem(shipped)
        for name, each in rows.items():
            found.setdefault(name, []).append(mean_average_precision(each, labels))
    print("| option | " + " | ".join(PACKS) + " | mean |\n|---|" + "---|" * (len(PACKS) + 1))
    for name, values in found.items():
        print(f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + f" | {np.mean(values):.3f} |")
    for look, network in networks.items():
        for side in SIDES:
            picture = np.zeros((1, 3, side, side), np.float32)
            taken = []
            for _ in range(60):
                started = time.perf_counter()
                network.run(None, {"image": picture})
                taken.append(1e3 * (time.perf_counter() - started))
            print(f"{look} {side} px: least {min(taken):.2f} ms, median {statistics.median(taken):.2f} ms")


def speed(options: argparse.Namespace) -> None:
    """Print the time of one picture on one core, the models taking turns, and the memory of this process."""
    with tempfile.TemporaryDirectory() as scratch:
        embedders = {"bundled": OnnxEmbedder(BundledEmbedder()._description, threads=1)}
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
    for name, action in (("table", table), ("copies", copies), ("options", options_table), ("speed", speed)):
        command = commands.add_parser(name)
        command.set_defaults(action=action)
        if name in ("table", "options"):
            command.add_argument("data", type=Path)
        if name in ("table", "speed"):
            command.add_argument("--model", action="append", default=[])
        if name == "options":
            command.add_argument("--fit", type=Path, required=True)
        if name == "copies":
            command.add_argument("pack", type=Path)
            command.add_argument("--outside", type=Path, required=True)
            command.add_argument("--sample", type=int, default=100)
        if name == "speed":
            command.add_argument("--rounds", type=int, default=200)
    chosen = parser.parse_args()
    chosen.action(chosen)


if __name__ == "__main__":
    main()
