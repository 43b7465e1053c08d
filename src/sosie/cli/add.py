"""``sosie add``: bring a library up to date with folders, archives and lists."""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

import sosie
from sosie.cli.follow import follow
from sosie.cli.options import (
    DetectorOption,
    FeaturesOption,
    JsonOption,
    LibraryOption,
    MaxMegapixelsOption,
    MaxSideOption,
    ModelOption,
    SegmenterOption,
    open_to_add,
)
from sosie.cli.output import emit_json, note, progress_bar
from sosie.contracts import Source
from sosie.decode.limits import limits_of
from sosie.elastic import read_url
from sosie.errors import UsageError
from sosie.library import AddReport, folder_of
from sosie.present.left_out import left_out_text
from sosie.present.recall import recall_text
from sosie.present.text import display_path
from sosie.sources import SourceOptions, open_source
from sosie.sources.folder import FolderSource
from sosie.sources.keeping import KeepingOriginals

if TYPE_CHECKING:
    from sosie.ray import Fleet

__all__ = ["add"]

_HINTS = {
    "private_address": "an address of your own network is reached with --allow-private: add the source again with it",
    "too_many_pixels": "larger pictures are read with --max-megapixels: add them again with it and --again",
    "too_large_side": "longer pictures are read with --max-side: add them again with it and --again",
    "outside": "files outside the list's folder are read with --allow-private: add the list again with it",
}


def add(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…", help="Folders, archives, lists of URLs, dataset databases, http(s)://, s3://."
        ),
    ],
    library: LibraryOption = None,
    model: ModelOption = None,
    label_from_folders: Annotated[
        bool, typer.Option("--label-from-folders", help="Each picture's folder becomes its label.")
    ] = False,
    include: Annotated[list[str] | None, typer.Option(help="Only names that match this pattern; repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave out names that match; repeatable.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="name=value for every picture; repeatable.")
    ] = None,
    manifest: Annotated[
        str | None, typer.Option("--labels", help="A table below the folder whose columns become labels.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="What a database holds: bam, or a YAML file (docs/how-to/add-pictures.md).")
    ] = None,
    url_column: Annotated[str | None, typer.Option(help="The column of a list that holds the URL or path.")] = None,
    label_column: Annotated[
        list[str] | None, typer.Option(help="A column of a list to keep as a label; repeatable; default: all.")
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let downloads reach your intranet, and lists name any file.")
    ] = False,
    keep_originals: Annotated[
        bool, typer.Option("--keep-originals", help="Keep what is downloaded in the library's folder.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="Let a Ray cluster read and embed: its HOST:PORT, auto, or local for the cores of this machine.",
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and keep folders and library in step.")] = False,
    sync: Annotated[bool, typer.Option("--sync", help="Forget pictures of these sources that are gone.")] = False,
    forget_all: Annotated[
        bool, typer.Option("--forget-all", help="With --sync: even where nearly all of many pictures are gone.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Look again at what seems unchanged or was refused; ask servers for changes."),
    ] = False,
    regions: Annotated[
        list[str] | None,
        typer.Option("--regions", help="Embed parts, too, from now on: objects, pooled, mask:CLASS; repeatable."),
    ] = None,
    gps: Annotated[
        bool, typer.Option("--gps", help="Keep where pictures were taken, too (exif.latitude, exif.longitude).")
    ] = False,
    features: FeaturesOption = "later",
    detector: DetectorOption = None,
    segmenter: SegmenterOption = None,
    max_megapixels: MaxMegapixelsOption = None,
    max_side: MaxSideOption = None,
    as_json: JsonOption = False,
) -> int:
    """Add pictures to the library.

    Files that are known and unchanged cost nothing. One that cannot be used goes to the quarantine (`sosie
    quarantine`) and never stops the run. Interrupt it when you like: the same command goes on from there.
    """
    if ray and watch:
        raise UsageError("--watch follows a folder picture by picture, on this machine: leave out --ray")
    if keep_originals and library and read_url(str(library)):
        raise UsageError("--keep-originals keeps pictures in a library's folder, and a library on a cluster has none")
    if forget_all and not (sync or watch):
        raise UsageError("--forget-all says how far --sync may go: add --sync")
    folder = folder_of(library or "sosie-library")
    options = SourceOptions(
        include=include or (),
        exclude=exclude or (),
        label_from_folders=label_from_folders,
        manifest=manifest,
        dataset=dataset,
        url_column=url_column,
        label_columns=label_column,
        allow_private=allow_private,
        validators=str(folder / "downloads.jsonl"),
    )
    opened = [open_source(each, options) for each in sources]
    if keep_originals:
        opened = [KeepingOriginals(source, folder / "originals") for source in opened]
    labels = _labels(label or [])
    report = AddReport()
    limits = limits_of(max_megapixels, max_side)
    with open_to_add(library, model, limits=limits) as lib, _stop_on_interrupt() as stop, fleet_at(ray) as fleet:
        lib.extractor.use(detector=detector, segmenter=segmenter)
        lib.extractor.keep(regions or ())
        for spec, source in zip(sources, opened, strict=True):
            with progress_bar(f"adding {spec}", quiet=as_json) as bar:
                _count_beside(source, bar)
                report += lib.add(
                    source,
                    sync=sync or watch,
                    forget_all=forget_all,
                    again=again,
                    labels=labels,
                    gps=gps,
                    features=features,
                    fleet=fleet,
                    progress=bar,
                    stop=stop,
                )
            if stop.is_set():
                break
        if not stop.is_set() and (built := lib.indexes.keep()):
            told = {"recall": built.recall, "recall_interval": built.recall_interval}
            note(f"built a {built.kind} index over {built.count} pictures, recall@10 {recall_text(told)}")
        total = lib.catalogue.counts()["pictures"]
        if watch and not stop.is_set():
            _tell(report, total)
            follow(sources, opened, lib, labels=labels, gps=gps, features=features, stop=stop)
            return 0
    if as_json:
        emit_json({**report.to_json(), "library": str(lib.path), "pictures": total})
    else:
        _tell(report, total)
    return 130 if report.interrupted else 0


def fleet_at(address: str | None) -> AbstractContextManager[Fleet | None]:
    """Connect to a Ray cluster, where one is asked for."""
    if address is None:
        return nullcontext()
    from sosie.ray import connect

    return connect(address)


def _labels(pairs: list[str]) -> dict[str, Any]:
    labels = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise UsageError(f"--label takes name=value, not {pair!r}")
        labels[name] = value
    return labels


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Let the first Ctrl-C end the run after what is in flight; the second one ends it at once."""
    stop = threading.Event()

    def on_signal(_signal: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        note("stopping after what is in flight; once more to stop at once")

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _count_beside(source: Source, bar: Any) -> None:
    """Find out how many files there are while the first are being added, so that a time left can be shown."""
    if not isinstance(source, FolderSource):
        return
    twin = copy.copy(source)  # iterating keeps notes on the source

    def count() -> None:
        try:
            bar.set_total(sum(1 for _ in twin))
        except sosie.SosieError:
            return  # the run itself reports what is wrong

    threading.Thread(target=count, daemon=True).start()


def _tell(report: AddReport, total: int) -> None:
    parts = [f"{report.new} new"]
    if report.completed:
        parts.append(f"{report.completed} known and completed with the vectors or regions that they lacked")
    for name in ("unchanged", "known", "moved", "missing", "dropped"):
        if count := getattr(report, name):
            parts.append(f"{count} {name}")
    if report.relabelled:
        parts.append(f"{report.relabelled} of them got labels")
    print(f"{', '.join(parts)} in {report.seconds:.1f} s; the library holds {total} pictures")
    _tell_what_is_not_in(report)
    for root, count in report.left.items():
        print(f"{count} of these pictures have left {display_path(root)}: renamed? `sosie sources forget` retires it")
    if report.replaced:
        print(f"{report.replaced} places hold another picture than before")
    if lacking := report.new - report.with_features:
        print(f"{lacking} have no local features yet: the first `sosie copies` computes them, or `--features now` does")
    if report.seen == 0:
        print("no pictures were found there: is it the right folder?")
    if report.interrupted:
        print("interrupted: run the same command to go on")


def _tell_what_is_not_in(report: AddReport) -> None:
    if report.quarantined:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.quarantined.most_common())
        print(f"refused: {reasons} (see `sosie quarantine`)")
        if hints := [hint for reason, hint in _HINTS.items() if report.quarantined[reason]]:
            print("\n".join(hints))
    if report.left_out:
        print(f"left out: {left_out_text(report.left_out)} (see `sosie quarantine list --left-out`)")
    if report.kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.kept.most_common())
        print(f"kept: {report.kept.total()} pictures of the library could not be read this time ({reasons})")
