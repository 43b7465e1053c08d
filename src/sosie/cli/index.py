"""``sosie index``: derived indexes; searches are exact without one."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import typer

import sosie
from sosie.catalogue import Space
from sosie.cli.options import JsonOption, LibraryOption, SpaceOption
from sosie.cli.output import emit_json, note
from sosie.elastic import KINDS
from sosie.errors import UsageError
from sosie.indexes.manifest import Manifest
from sosie.indexes.params import read_params
from sosie.indexes.tune import Trial, TuneReport
from sosie.present.recall import WHOSE, recall_text
from sosie.registry import local_indexes

if TYPE_CHECKING:
    from sosie.indexes.annoy import AnnoyMetric

__all__ = ["app"]

app = typer.Typer(help="Build, tune, list and drop the indexes that make search fast.", no_args_is_help=True)

_UNITS = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9}


@app.command("build")
def build(
    library: LibraryOption = None,
    kind: Annotated[
        str, typer.Option(help=f"auto, {', '.join(local_indexes())}; on a cluster {', '.join(KINDS)}.")
    ] = "auto",
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value; repeatable.")] = None,
    recall: Annotated[float, typer.Option(help="The recall@10 to reach.", min=0.01, max=1.0)] = 0.95,
    space: SpaceOption = "whole",
    as_json: JsonOption = False,
) -> int:
    """Build the main index and measure its recall on the library's own vectors."""
    with sosie.open(library, create=False) as lib:
        manifest = lib.indexes.build(kind, read_params(param or []), recall=recall, space=_space(lib, space))
    _tell(manifest, as_json=as_json)
    if manifest.recall is not None and manifest.recall < recall:
        note(f"recall {manifest.recall:.3f} is below {recall:g}: give other parameters, or leave them to be tuned")
    return 0


@app.command("list")
def list_(library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Say which index answers, what it covers and what recall it was measured to have."""
    with sosie.open(library, create=False) as lib:
        found, manifest = lib.view().description, lib.indexes.manifest
    if manifest is not None:
        found |= {name: _summary(manifest)[name] for name in ("params", "given", "measured")}
    if as_json:
        emit_json(found)
        return 0
    words = "" if manifest is None else f" {_words(manifest)}"
    by = "" if found["metric"] == "dot" else f" by {found['metric']}"
    print(f"{found['kind']}{words}, recall {recall_text(found)}{by}, {found['tail']} pictures in the exact tail")
    if "recall_interval" in found:
        note(f"the recall was {WHOSE}")
    return 0


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write; made where it is missing.")],
    library: LibraryOption = None,
    metric: Annotated[str, typer.Option(help="angular, euclidean, dot, manhattan or hamming.")] = "angular",
    trees: Annotated[int, typer.Option(help="More trees find more and take more room.", min=1)] = 50,
    space: SpaceOption = "whole",
    as_json: JsonOption = False,
) -> int:
    """Write an ordinary Annoy file of the library's vectors, with ids.npy and vectors.npy beside it."""
    with sosie.open(library, create=False) as lib:
        chosen, by = _space(lib, space), cast("AnnoyMetric", metric)
        path = lib.indexes.export_annoy(folder, metric=by, n_trees=trees, space=chosen)
        count = len(np.load(folder / "ids.npy", mmap_mode="r", allow_pickle=False))
    if as_json:
        emit_json({"path": str(path), "metric": metric, "trees": trees, "vectors": count})
    else:
        print(f"{path}: {count} vectors; item i is row i of ids.npy and vectors.npy beside it")
    return 0


def _space(lib: sosie.Library, name: str) -> Space | None:
    """Return a space by its name; None is the library's own, also on a cluster."""
    return None if name == "whole" else lib.extractor.space_named(name)


@app.command("versions")
def versions(library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """List the versions of the index that a cluster keeps."""
    with sosie.open(library, create=False) as lib:
        found = lib.indexes.versions()
    if as_json:
        emit_json({"versions": [asdict(version) for version in found]})
        return 0
    for version in found:
        mark = "answers" if version.current else ""
        print(f"{version.number}  {version.kind:<10} {version.pictures} pictures  {version.bytes / 1e6:.1f} MB  {mark}")
    return 0


@app.command("use")
def use(
    version: Annotated[int, typer.Argument(help="Its number, see `sosie index versions`.")],
    library: LibraryOption = None,
) -> int:
    """Let an older version of a cluster's index answer again; no search fails meanwhile."""
    with sosie.open(library, create=False) as lib:
        chosen = lib.indexes.use_version(version)
    print(f"version {chosen.number} answers: {chosen.kind}, {chosen.pictures} pictures")
    return 0


@app.command("drop")
def drop(
    library: LibraryOption = None,
    version: Annotated[int | None, typer.Option(help="This version of a cluster's index.")] = None,
) -> int:
    """Forget the main index; nothing is lost, searches are exact again."""
    with sosie.open(library, create=False) as lib:
        if version is not None:
            lib.indexes.drop_version(version)
            print(f"dropped version {version}")
            return 0
        lib.indexes.drop()
    print("dropped; searches are exact")
    return 0


@app.command("tune")
def tune(
    library: LibraryOption = None,
    recall: Annotated[float, typer.Option(help="The recall to reach.", min=0.01, max=1.0)] = 0.95,
    k: Annotated[int, typer.Option("-k", "--k", help="The recall is measured at k.", min=1)] = 10,
    memory: Annotated[str | None, typer.Option(help="At most so much memory: 500MB.")] = None,
    latency: Annotated[str | None, typer.Option(help="At most so long for 99 of 100 queries: 5ms.")] = None,
    kinds: Annotated[str | None, typer.Option(help="Only these kinds, with commas between.")] = None,
    build_winner: Annotated[bool, typer.Option("--build/--no-build", help="Build the winner.")] = True,
    as_json: JsonOption = False,
) -> int:
    """Measure kinds and parameters on the library's own vectors, and build the fastest that reaches the recall."""
    with sosie.open(library, create=False) as lib:
        report = lib.indexes.tune(
            recall=recall,
            k=k,
            memory=None if memory is None else int(_amount(memory, _UNITS)),
            latency=None if latency is None else _amount(latency, {"": 1, "ms": 1, "s": 1000, "us": 1e-3}),
            kinds=kinds.split(",") if kinds else None,
            progress=note,
        )
        manifest = lib.indexes.build("auto", recall=recall) if report.winner and build_winner else None
    if as_json:
        emit_json({**report.to_json(), "built": manifest and _summary(manifest)})
    else:
        _table(report)
        if manifest:
            _tell(manifest, as_json=False)
    if report.winner is None:
        note("no kind reaches that: lower --recall, or allow more --memory or --latency")
    return 0 if report.winner else 1


def _amount(text: str, units: dict[str, float]) -> float:
    match = re.fullmatch(r"([\d.]+)\s*([a-z]*)", text.strip().lower())
    if not match or match[2] not in units:
        raise UsageError(f"{text!r} is not an amount; units: {', '.join(unit for unit in units if unit)}")
    return float(match[1]) * units[match[2]]


def _summary(manifest: Manifest) -> dict[str, Any]:
    return {
        "kind": manifest.kind,
        "params": dict(manifest.params),
        "given": dict(manifest.note.get("given", {})),
        "generation": manifest.generation,
        "vectors": manifest.count,
        "bytes": manifest.size,
        "recall": manifest.recall,
        "measured": dict(manifest.measured),
    }


def _tell(manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        emit_json(_summary(manifest))
        return
    recall = recall_text({"recall": manifest.recall, "recall_interval": manifest.recall_interval})
    size = f"{manifest.size / 1e6:.1f} MB"
    print(f"{manifest.kind} {_words(manifest)}: {manifest.count} vectors, {size}, recall@10 {recall}")


def _words(manifest: Manifest) -> str:
    """Return the parameters; those that a person set, and that nothing tuned, are marked."""
    given = manifest.note.get("given", {})
    marks = {name: " (given)" if name in given else "" for name in manifest.params}
    return " ".join(f"{name}={value}{marks[name]}" for name, value in manifest.params.items())


def _table(report: TuneReport) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report.n} vectors, recall@{report.k} ≥ {report.recall}", title_justify="left")
    for name in ("kind", "parameters", "recall", "p50 ms", "p99 ms", "memory MB", "build s", ""):
        table.add_column(name, justify="left" if name in ("kind", "parameters", "") else "right")
    last_rung = max((trial.n for trial in report.trials), default=0)
    for trial in report.trials:
        if trial.n == last_rung:
            table.add_row(*_row(trial))
    Console().print(table)


def _row(trial: Trial) -> list[str]:
    measured = trial.measured
    words = " ".join(f"{name}={value}" for name, value in trial.params.items())
    return [
        trial.kind,
        words,
        f"{measured.recall:.3f} [{measured.low:.3f}, {measured.high:.3f}]",
        f"{measured.p50_ms:.2f}",
        f"{measured.p99_ms:.2f}",
        f"{trial.memory / 1e6:.1f}",
        f"{trial.build_s:.1f}",
        ("front" if trial.pareto else "") + (" ← winner" if trial.winner else ""),
    ]
