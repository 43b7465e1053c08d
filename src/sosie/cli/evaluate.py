"""``sosie evaluate``: measure on your own pictures what a library answers."""

from __future__ import annotations

import tempfile
import time
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

import sosie
from sosie import files
from sosie.cli.filters import check_where
from sosie.cli.options import JsonOption, LibraryOption, SeenOption
from sosie.cli.output import emit_json, note
from sosie.errors import UsageError
from sosie.types import ImageRef

if TYPE_CHECKING:
    from sosie.evaluation.compare import Comparison
    from sosie.evaluation.runs import Run

__all__ = ["app"]

app = typer.Typer(
    help="Measure on your own pictures: likeness, altered copies, indexes. Answers are stored, then scored.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

RunOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--run", help="The run folder: answers, scores, report.", show_default="runs/<what>-<time>"),
]
OpenOption: TypeAlias = Annotated[bool, typer.Option("--open", help="Show the report in a browser.")]
LabelsOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--label", help="The label to judge by; several are judged by their overlap.", show_default="label"),
]
SeedOption: TypeAlias = Annotated[int, typer.Option("--seed", help="Equal seeds draw equal samples.")]


@app.command("labels")
def labels(
    library: LibraryOption = None,
    model: SeenOption = None,
    label: LabelsOption = None,
    queries: Annotated[
        str | None, typer.Option("--queries", help="Ask with these pictures; else with the library's, each left out.")
    ] = None,
    query_labels: Annotated[
        str | None, typer.Option("--query-labels", help="A table beside the queries; else their folder is the label.")
    ] = None,
    through_index: Annotated[
        bool, typer.Option("--through-index", help="Search as the library does, with its index; else exactly.")
    ] = False,
    k: Annotated[
        int, typer.Option("-k", "--k", help="So many answers are asked for with --through-index.", min=1, max=1000)
    ] = 20,
    run: RunOption = None,
    seed: SeedOption = 0,
    show: OpenOption = False,
    as_json: JsonOption = False,
) -> int:
    """Do lookalikes carry the same label? mAP, recall@k, precision@k, R-precision, nDCG@k."""
    from sosie.evaluation.collection import from_library, from_source, setting_of, through_view
    from sosie.evaluation.labels import predict_labels
    from sosie.sources import SourceOptions, open_source

    with sosie.open(library, model=model, create=False) as lib:
        asked = None
        if queries is not None:
            options = SourceOptions(manifest=query_labels, label_from_folders=query_labels is None)
            asked = from_source(lib, open_source(queries, options), note=note)
        references = from_library(lib)
        vectors = (asked or references).vectors
        index = lib.view().description if through_index else {}
        done = predict_labels(
            _folder(run, "labels"),
            references,
            queries=asked,
            search=through_view(lib, vectors) if through_index else None,
            k=k,
            keys=tuple(label or ()),
            seed=seed,
            setting={**setting_of(lib), "index": {name: index.get(name) for name in ("kind", "generation", "tail")}},
        )
    return _finish(done, show=show, as_json=as_json)


@app.command("regions")
def regions(
    library: LibraryOption = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only these kinds; repeatable.", show_default="all that are kept")
    ] = None,
    label: LabelsOption = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit how parts count to the labels, and store it for this library's searches.")
    ] = False,
    run: RunOption = None,
    seed: SeedOption = 0,
    show: OpenOption = False,
    as_json: JsonOption = False,
) -> int:
    """Do parts help? Whole pictures, objects, squares, masks and both, side by side, with intervals."""
    from sosie.evaluation.collection import setting_of
    from sosie.evaluation.compare import compare_runs
    from sosie.evaluation.regions import compare_kinds
    from sosie.evaluation.report import comparison_page, write_report

    with sosie.open(library, create=False) as lib:
        kinds = kind or lib.extractor.kinds
        if not kinds:
            raise UsageError(
                "the library keeps no regions: `sosie add FOLDER --regions objects` (or pooled, mask:CLASS)"
            )
        folder = _folder(run, "regions")
        runs = compare_kinds(
            folder, lib, kinds, keys=tuple(label or ()), fit=fit, seed=seed, setting=setting_of(lib), note=note
        )
        for each in runs.values():
            write_report(each)
    comparison, path = compare_runs(runs), folder / "report.html"
    files.write(path, comparison_page(comparison))
    _tell_comparison(comparison, as_json=as_json)
    note(f"report: {path}")
    _show(path, show)
    return 0


@app.command("copies")
def copies(
    library: LibraryOption = None,
    model: SeenOption = None,
    sample: Annotated[int, typer.Option(help="How many pictures to alter.", min=1)] = 100,
    per_picture: Annotated[int, typer.Option("--per-picture", help="In how many ways each.", min=1)] = 8,
    negatives: Annotated[int, typer.Option(help="Altered pictures without a source to ask.", min=0)] = 200,
    outside: Annotated[
        str | None, typer.Option("--outside", help="Pictures that are not in the library, for the negatives.")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", help="Alter only pictures whose labels fit; all stay references.")
    ] = None,
    alteration: Annotated[
        list[str] | None, typer.Option("--alteration", help="Only these; repeatable.", show_default="all")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Only these ways of finding copies; repeatable.")
    ] = None,
    run: RunOption = None,
    seed: SeedOption = 0,
    show: OpenOption = False,
    as_json: JsonOption = False,
) -> int:
    """Are altered copies found, and other pictures left alone? micro-AP, recall at 90 % precision, per alteration."""
    import numpy as np

    from sosie.evaluation.collection import from_library, setting_of
    from sosie.evaluation.copies import CopySettings, Sources, predict_copies
    from sosie.evaluation.methods import library_methods

    settings = CopySettings(sample, per_picture, negatives, tuple(alteration or ()), seed=seed)
    with sosie.open(library, model=model, create=False) as lib:
        check_where(lib, where)
        references = from_library(lib)
        ids = lib.vectors()[0]
        fitting = None if where is None else np.flatnonzero(np.isin(ids, [r.id for r in lib.pictures(where=where)]))
        done = predict_copies(
            _folder(run, "copies"),
            references,
            methods=library_methods(lib, method or (), depth=settings.depth),
            sources=Sources(
                lambda row: lib.engine.analyse(lib.read(int(ids[row])))["working"],
                _outside(lib, outside, negatives),
                fitting,
            ),
            settings=settings,
            setting={**setting_of(lib), "where": where or ""},
            note=note,
        )
    return _finish(done, show=show, as_json=as_json)


@app.command("index")
def index(
    library: LibraryOption = None,
    model: SeenOption = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only these index kinds; repeatable.", show_default="all")
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", help="Neighbours to find.", min=1)] = 10,
    queries: Annotated[int, typer.Option(help="Vectors held out to ask with.", min=1)] = 500,
    run: RunOption = None,
    seed: SeedOption = 0,
    show: OpenOption = False,
    as_json: JsonOption = False,
) -> int:
    """What does each kind of index give for its cost? recall@k against exact search, rate, build time, size."""
    from sosie.evaluation.collection import from_library, setting_of
    from sosie.evaluation.index_runs import measure_indexes

    with sosie.open(library, model=model, create=False) as lib:
        done = measure_indexes(
            _folder(run, "index"),
            from_library(lib),
            kinds=kind or (),
            k=k,
            queries=queries,
            seed=seed,
            setting=setting_of(lib),
            note=note,
        )
    return _finish(done, show=show, as_json=as_json)


@app.command("score")
def score(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    show: OpenOption = False,
    as_json: JsonOption = False,
) -> int:
    """Score the answers of a run again and write its report; reads nothing but the folder."""
    from sosie.evaluation.runs import require_run

    return _finish(require_run(run), show=show, as_json=as_json)


@app.command("compare")
def compare(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN…]", help="Run folders of one kind; the first is the base.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="Measure these models of the library, by its labels; repeatable."),
    ] = None,
    library: LibraryOption = None,
    seed: SeedOption = 0,
    report: Annotated[Path | None, typer.Option("--html", help="Write the page here.")] = None,
    show: OpenOption = False,
    as_json: JsonOption = False,
) -> int:
    """Compare set-ups over the same queries: which differences are clear? Paired bootstrap intervals.

    Set-ups are stored runs, or models that the library was tried with (`--model bundled --model NAME`).
    """
    from sosie.evaluation.compare import compare_runs
    from sosie.evaluation.report import comparison_page

    with tempfile.TemporaryDirectory() as scratch:
        compared = _stored(runs or ()) if runs or not models else _seen(models, library, Path(scratch), seed)
        comparison = compare_runs(compared)
    path = report or (Path("comparison.html") if show else None)
    if path is not None:
        files.write(path, comparison_page(comparison))
        note(f"report: {path}")
        _show(path, show)
    _tell_comparison(comparison, as_json=as_json)
    return 0


# ------------------------------------------------------------------------------------------------ helpers


def _stored(runs: Sequence[Path]) -> dict[str, Run]:
    """Open the runs to compare."""
    from sosie.evaluation.runs import require_run

    if len({path.name for path in runs}) < max(len(runs), 1):
        raise UsageError("give run folders of different names: the names tell the set-ups apart")
    return {path.name: require_run(path) for path in runs}


def _seen(models: Sequence[str], library: Path | None, folder: Path, seed: int) -> Mapping[str, Run]:
    """Judge the library seen through each of these models."""
    from sosie.evaluation.trial import compare_spaces

    with ExitStack() as stack:
        opened = [stack.enter_context(sosie.open(library, model=name, create=False)) for name in models]
        return compare_spaces(opened, folder, seed=seed)


def _folder(run: Path | None, what: str) -> Path:
    return run or Path("runs") / f"{what}-{time.strftime('%Y%m%d-%H%M%S')}"


def _outside(lib: sosie.Library, place: str | None, most: int) -> list[Any]:
    """Return functions that give the pixels of pictures which are not in the library."""
    import hashlib
    from functools import partial

    from sosie.errors import BadPicture
    from sosie.sources import SourceOptions, open_source

    if place is None:
        return []
    found: list[Any] = []
    source = open_source(place, SourceOptions())

    def pixels(ref: ImageRef) -> Any:
        return lib.engine.analyse(source.read(ref))["working"]

    for ref in source:
        if len(found) == most:
            break
        try:
            data = source.read(ref)
            if lib.catalogue.content_id(hashlib.sha256(data).digest()) is None:
                lib.engine.analyse(data)  # one that does not decode is no negative
                found.append(partial(pixels, ref))
        except BadPicture as error:
            note(f"left out {ref.uri}: {error}")
    return found


def _tell_comparison(comparison: Comparison, *, as_json: bool) -> None:
    from sosie.evaluation.runs import plain

    if as_json:
        emit_json(plain({"rows": comparison.rows, "differing": comparison.differing}))
        return
    for row in comparison.rows:
        change = (
            "" if row["difference"] is None else f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
        )
        if change and row["cluster_low"] == row["cluster_low"]:
            change += f", by cluster [{row['cluster_low']:+.4f}, {row['cluster_high']:+.4f}]"
        mark = " *" if row["clear"] else ""
        print(f"{row['measure']:<22}{row['set-up']:<28}{row['value']:.4f}  {change}{mark}")


def _finish(done: Any, *, show: bool, as_json: bool) -> int:
    import json

    from sosie.evaluation.report import interval_text, write_report

    path = write_report(done)
    stored = json.loads((done.folder / "score.json").read_text(encoding="utf-8"))
    if as_json:
        found = {name: stored[name] for name in ("metrics", "intervals", "notes") if name in stored}
        emit_json({**found, "config": dict(done.config), "run": str(done.folder)})
    else:
        intervals = stored.get("intervals", {})
        intervals = intervals.get(stored.get("method"), intervals)  # of several methods the first is reported
        cluster = "picture" if done.protocol == "copies" else "class"
        for name, value in stored["metrics"].items():
            spread = f"  {interval_text(intervals[name], cluster)}" if name in intervals and value is not None else ""
            print(f"{name:<22}" + ("–" if value is None else f"{value:.4f}{spread}"))
        for line in stored.get("notes", ()):
            note(line)
        _table(stored)
    note(f"report: {path}")
    _show(path, show)
    return 0


def _table(stored: dict[str, Any]) -> None:
    """Print the rows of a run that has several methods or index settings."""
    for name, values in stored.get("methods", {}).items():
        shown = "  ".join(f"{key} {value:.3f}" for key, value in values.items() if value is not None)
        print(f"{name:<14}{shown}")
    for least, row in stored.get("fastest", {}).items():
        print(f"recall ≥ {least}: {row['kind']} ({row['setting']}) {row['queries_per_second']:.0f} queries/s")


def _show(path: Path, show: bool) -> None:
    if show and not webbrowser.open(path.absolute().as_uri()):
        note(f"no browser was found; open {path} yourself")
