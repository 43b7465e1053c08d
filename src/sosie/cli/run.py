"""``sosie run``: the whole pipeline from one file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie import files
from sosie.cli.add import _stop_on_interrupt, fleet_at
from sosie.cli.options import JsonOption, open_to_add
from sosie.cli.output import emit_json, note, progress_bar
from sosie.cli.run_summary import summary
from sosie.cli.run_training import check_training, train_from_file
from sosie.cli.search import write_sheet
from sosie.decode.limits import Limits, limits_of
from sosie.elastic import Cluster
from sosie.errors import NotFound
from sosie.query.class_first import ClassFirst
from sosie.settings import Application, RegionsSection, SearchSection, json_schema, read_application
from sosie.sources import SourceOptions, open_source
from sosie.sources.dataset import PRESETS

__all__ = ["run"]


def run(
    path: Annotated[Path, typer.Argument(metavar="APPLICATION.YAML")] = Path("application.yaml"),
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the file.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Run the whole pipeline from one file: add, train, index, search, evaluate, serve."""
    if schema:
        print(json_schema())
        return 0
    application = read_application(path)
    here = path.resolve().parent
    check_training(application)
    with _open(application, here) as lib:
        _see(application.regions, lib, here)
        done: dict[str, Any] = {"add": _add(application, lib, here, quiet=as_json)}
        done["train"] = train_from_file(application, lib, here, quiet=as_json)
        done["index"] = _index(application, lib)
        done["search"] = _search(application.search, lib, here)
        done["evaluate"] = _evaluate(application, lib, here)
        done["library"] = lib.stats()
        done["place"] = str(_cluster(application) or lib.path)
    if as_json:
        emit_json(done)
    else:
        print(summary(done))
    return _serve(application, here) if application.serving.enabled else 0


def _open(application: Application, here: Path) -> sosie.Library:
    """Open the library; where training may have given it another model, ``model`` is only what it began with."""
    place, cluster, limits = here / application.library, _cluster(application), _limits(application)
    if application.training is None:
        return open_to_add(place, application.model, cluster=cluster, limits=limits)
    try:
        sosie.open(place, create=False, read_only=True, cluster=cluster).close()
    except NotFound:
        open_to_add(place, application.model, cluster=cluster, limits=limits).close()
    return open_to_add(place, None, cluster=cluster, limits=limits)


def _cluster(application: Application) -> Cluster | None:
    """Return where the library lies, if not in a folder."""
    return Cluster(**application.elasticsearch.model_dump()) if application.store == "elasticsearch" else None


def _limits(application: Application) -> Limits:
    return limits_of(application.max_megapixels, application.max_side)


def _resolve(here: Path, path: str) -> str:
    return path if "://" in path else str(here / path)


def _see(section: RegionsSection, lib: sosie.Library, here: Path) -> None:
    """Give pictures the parts that the file names, from now on; the networks are loaded and tried first."""
    lib.extractor.use(detector=_network(here, section.detector), segmenter=_network(here, section.segmenter))
    if section.kinds:
        lib.extractor.keep(section.kinds)


def _network(here: Path, asked: str | None) -> str | None:
    """Return a network's description with its file taken from the folder of the file: ``NAME:FILE`` or a path."""
    if asked is None:
        return None
    name, colon, file = asked.rpartition(":")
    return f"{name}{colon}{here / file}"


def _add(application: Application, lib: sosie.Library, here: Path, *, quiet: bool) -> list[dict[str, Any]]:
    reports = []
    with _stop_on_interrupt() as stop, fleet_at(application.ray) as fleet:
        for section in application.sources:
            preset = section.dataset is None or section.dataset in PRESETS
            options = SourceOptions(
                include=section.include,
                exclude=section.exclude,
                label_from_folders=section.label_from_folders,
                manifest=section.manifest,
                dataset=section.dataset if preset else _resolve(here, str(section.dataset)),
                url_column=section.url_column,
                label_columns=section.label_columns or None,
            )
            source = open_source(_resolve(here, section.path), options)
            with progress_bar(f"adding {section.path}", quiet=quiet) as bar:
                report = lib.add(
                    source,
                    sync=section.sync,
                    labels=section.labels,
                    gps=section.gps,
                    features=section.features,
                    fleet=fleet,
                    progress=bar,
                    stop=stop,
                )
            if stop.is_set():
                raise KeyboardInterrupt
            note(f"{section.path}: {report.new} new of {report.seen}, {report.quarantined.total()} refused")
            reports.append({"source": section.path, **report.to_json()})
    return reports


def _index(application: Application, lib: sosie.Library) -> dict[str, Any]:
    section, tuning = application.index, application.tuning
    if tuning.index:
        lib.indexes.tune(recall=section.recall, k=tuning.k, kinds=tuning.kinds or None)
        lib.indexes.build("auto", section.params or None, recall=section.recall)
    elif section.kind == "auto":
        lib.indexes.keep()
    else:
        lib.indexes.build(section.kind, section.params or None, recall=section.recall)
    return lib.view().description


def _search(section: SearchSection, lib: sosie.Library, here: Path) -> list[dict[str, Any]]:
    if not section.images:
        return []
    results = lib.search_many(
        [_resolve(here, image) for image in section.images],
        k=section.k,
        where=section.where,
        class_first=ClassFirst(section.min_class) if section.class_first else False,
    )
    documents = [result.to_json() for result in results]
    if section.html:
        write_sheet(results, lib, here / section.html)
    if section.json_file:
        files.write_json(here / section.json_file, documents, indent=1)
    return documents


def _evaluate(application: Application, lib: sosie.Library, here: Path) -> list[dict[str, Any]]:
    """Measure what the file asks for, as `sosie evaluate` does; a run of an earlier time is kept."""
    from sosie.evaluation.collection import from_library
    from sosie.evaluation.copies import CopySettings, Sources, predict_copies
    from sosie.evaluation.labels import predict_labels
    from sosie.evaluation.methods import library_methods

    section = application.evaluation
    folder = here / section.runs / time.strftime("%Y%m%d-%H%M%S")
    setting = {"space": lib.space.name, "spec": lib.space.spec_hash, "sosie": sosie.__version__}
    done = []
    if section.labels:
        run = predict_labels(folder / "labels", from_library(lib), keys=(section.labels,), setting=setting)
        done.append(_scored(run))
    if section.copies:
        ids, settings = lib.vectors()[0], CopySettings(sample=section.copies)
        run = predict_copies(
            folder / "copies",
            from_library(lib),
            methods=library_methods(lib, depth=settings.depth),
            sources=Sources(lambda row: lib.engine.analyse(lib.read(int(ids[row])))["working"], [], None),
            settings=settings,
            setting=setting,
            note=note,
        )
        done.append(_scored(run))
    return done


def _scored(run: Any) -> dict[str, Any]:
    from sosie.evaluation.report import write_report

    note(f"report: {write_report(run)}")
    stored = json.loads((run.folder / "score.json").read_text(encoding="utf-8"))
    return {"metrics": stored["metrics"], "config": dict(run.config), "run": str(run.folder)}


def _serve(application: Application, here: Path) -> int:
    from sosie.cli.serve import PATIENCE, network_cores, serve_library, server_settings

    settings = server_settings(
        host=application.serving.host, port=application.serving.port, runs=here / application.evaluation.runs
    )
    cluster, threads = _cluster(application), network_cores()
    limits = _limits(application)
    with sosie.open(
        here / application.library, cluster=cluster, patience=PATIENCE, threads=threads, limits=limits
    ) as lib:
        serve_library(lib, settings)
    return 0
