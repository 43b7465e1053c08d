"""``sosie labels``: explore a library by its labels, and edit them."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeAlias

import typer

import sosie
from sosie import files
from sosie.catalogue import PictureRecord
from sosie.catalogue.deeds import write_down
from sosie.cli.filters import check_where
from sosie.cli.options import JsonOption, LibraryOption, WhereOption
from sosie.cli.output import emit_json, note
from sosie.errors import LibraryBusy, LibraryReadOnly, SosieError, UnknownName, UsageError
from sosie.present.csv import guarded
from sosie.present.page import Html
from sosie.registry import nearest
from sosie.sources.columns import guess_kinds, label_of
from sosie.types import LabelValue

__all__ = ["app"]

app = typer.Typer(help="Explore a library by its labels, and edit them.", no_args_is_help=True)

_WRITTEN = (".csv", ".jsonl")
_PAGE = 1000  # records held at a time

PlotOption: TypeAlias = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Draw it into a .svg file, or a .html page.")
]


@app.command("count")
def count(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="Labels; default: all.")] = None,
    library: LibraryOption = None,
    where: WhereOption = None,
    most: Annotated[int, typer.Option(help="How many values of each label to show.", min=1)] = 20,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> int:
    """Count the values of labels; --plot draws them, and how many labels a picture has."""
    with sosie.open(library, create=False, read_only=True) as lib:
        check_where(lib, where)
        counts = lib.catalogue.label_counts(lib.catalogue.condition(where))
        kinds = lib.catalogue.label_kinds()
        sizes = _labels_a_picture(lib, where, names) if plot else {}
    for name in names or ():
        if name not in kinds:
            raise UnknownName(f"no picture has a label {name!r}; {nearest(name, kinds)}")
    chosen = {name: counts.get(name, {}) for name in (names or counts)}
    if plot is not None:
        from sosie.present.label_plots import count_plots

        _plot(plot, count_plots(chosen, sizes), "Labels", where)
    if as_json:
        emit_json({name: {"kinds": kinds[name], "values": values} for name, values in chosen.items()})
        return 0
    for name, values in chosen.items():
        print(f"{name} ({', '.join(kinds[name])}): {len(values)} values")
        for text, number in itertools.islice(values.items(), most):
            print(f"{number:>8}  {text}")
        if len(values) > most:
            print(f"{'…':>8}  {len(values) - most} more")
    if not chosen:
        note("no labels yet: `sosie add` takes them from folders, tables and databases")
    return 0


@app.command("cross")
def cross(
    first: Annotated[str, typer.Argument(metavar="NAME", help="A label, for the rows.")],
    second: Annotated[str, typer.Argument(metavar="NAME", help="Another one, for the columns.")],
    library: LibraryOption = None,
    where: WhereOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> int:
    """Count how often the values of two labels meet on a picture."""
    with sosie.open(library, create=False, read_only=True) as lib:
        check_where(lib, where)
        pairs = lib.catalogue.label_cross(first, second, lib.catalogue.condition(where))
        kinds = {} if pairs else lib.catalogue.label_kinds()
    for name in (first, second):
        if not pairs and name not in kinds:
            raise UnknownName(f"no picture has a label {name!r}; {nearest(name, kinds)}")
    if plot is not None:
        from sosie.present.label_plots import cross_plot

        _plot(plot, [cross_plot(pairs, first, second)] if pairs else [], f"{first} and {second}", where)
    if as_json:
        emit_json({"rows": first, "columns": second, "counts": [[*pair, number] for pair, number in pairs.items()]})
        return 0
    from rich.console import Console
    from rich.table import Table

    columns = list(dict.fromkeys(column for _, column in pairs))[:12]
    table = Table(f"{first} \\ {second}", *columns)
    for row in dict.fromkeys(row for row, _ in pairs):
        table.add_row(row, *(str(pairs.get((row, column), "")) for column in columns))
    Console().print(table)
    return 0


@app.command("list")
def list_(
    library: LibraryOption = None,
    where: WhereOption = None,
    limit: Annotated[int, typer.Option("-n", "--limit", help="How many pictures.", min=1)] = 50,
    html: Annotated[Path | None, typer.Option(help="Write a page with the pictures that opens from disk.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Show the pictures of a sub-collection."""
    with sosie.open(library, create=False) as lib:
        check_where(lib, where)
        matching = len(lib.catalogue.live_ids(lib.catalogue.condition(where)))
        records = lib.pictures(where=where, limit=limit)
        if html is not None:
            _write_page(lib, records, html, where=where or "all pictures", matching=matching)
    if as_json:
        emit_json({"count": matching, "pictures": [record.to_json() for record in records]})
        return 0
    for record in records:
        labels = ", ".join(f"{name}={_text(value)}" for name, value in record.labels.items())
        print(f"{record.id}\t{record.uris[0]}\t{labels}")
    note(f"{len(records)} of {matching} pictures")
    return 0


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="A .csv or .jsonl file; - prints CSV.")],
    library: LibraryOption = None,
    where: WhereOption = None,
) -> int:
    """Write a sub-collection with its labels: a list that `sosie add --allow-private` reads again."""
    if str(file) != "-" and file.suffix.lower() not in _WRITTEN:
        raise UsageError(
            f"labels are written as {' or '.join(_WRITTEN)}, not {file.suffix or 'without an ending'}: "
            f"name the file {file.with_suffix('.csv').name}, which spreadsheets open"
        )
    with sosie.open(library, create=False, read_only=True) as lib:
        check_where(lib, where)
        names = sorted(lib.catalogue.label_kinds())
        if str(file) == "-":
            written = _write_csv(sys.stdout, names, _records(lib, where))
            _log_export(library, written, "-")
            return 0
        with files.writing_text(file) as out:
            if file.suffix.lower() == ".jsonl":
                written = _write_json_lines(out, _records(lib, where))
            else:
                written = _write_csv(out, names, _records(lib, where))
    _log_export(library, written, file.name)
    note(f"{written} pictures in {file}")
    return 0


def _log_export(library: Path | None, pictures: int, name: str) -> None:
    """Write an export to the log, for which the library is opened again: what is exported may be read-only."""
    try:
        with sosie.open(library, create=False) as lib:
            write_down(lib.catalogue, "export", {"pictures": pictures, "as": name})
    except (LibraryBusy, LibraryReadOnly) as error:
        note(f"this export is not in the log: {error}")


@app.command("set")
def set_(
    labels: Annotated[list[str], typer.Argument(metavar="NAME=VALUE…", help="name=value; name= takes it away.")],
    library: LibraryOption = None,
    where: WhereOption = None,
    ids: Annotated[list[int] | None, typer.Option("--id", help="A picture by its id; repeatable.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Set labels of the pictures that --where or --id picks; a;b gives several values, 1889 a number."""
    if (where is None) == (not ids):
        raise UsageError("say which pictures: --where EXPRESSION or --id N, one of them")
    wanted = _labels(labels)
    with sosie.open(library, create=False) as lib:
        check_where(lib, where)
        if where:
            chosen = lib.catalogue.live_ids(lib.catalogue.condition(where)).tolist()
        else:
            chosen = [lib.picture(i).id for i in ids or ()]
        lib.catalogue.edit_labels(chosen, wanted)
    if as_json:
        emit_json({"changed": len(chosen)})
    else:
        print(f"set {', '.join(wanted)} on {len(chosen)} pictures")
    return 0 if chosen else 1


@app.command("predict")
def predict(
    model: Annotated[str, typer.Argument(help="What `sosie train classifier` made: its folder, or a model's name.")],
    library: LibraryOption = None,
    where: WhereOption = None,
    name: Annotated[
        str, typer.Option("--name", help="Labels are called NAME.class and NAME.confidence.")
    ] = "predicted",
    as_json: JsonOption = False,
) -> int:
    """Store the class that a trained network tells of each picture, to filter by: predicted.class = 'cat'."""
    from sosie.cli.progress import progress_of
    from sosie.training.predict import find_package, store_predictions

    with sosie.open(library, create=False) as lib, progress_of("classes", quiet=as_json) as progress:
        check_where(lib, where)
        package = find_package(lib, model)
        count = store_predictions(lib, package, where=where, prefix=name, progress=progress)
    if as_json:
        emit_json({"labelled": count, "model": str(package), "labels": [f"{name}.class", f"{name}.confidence"]})
    else:
        print(f"set {name}.class and {name}.confidence on {count} pictures")
    return 0 if count else 1


def _labels_a_picture(lib: sosie.Library, where: str | None, names: Sequence[str] | None) -> dict[int, int]:
    """Return how many pictures have how many labels; numbers are no labels."""
    every, sizes = lib.catalogue.all_labels(), Counter[int]()
    for content_id in lib.catalogue.live_ids(lib.catalogue.condition(where)).tolist():
        labels = every.get(content_id, {})
        sizes[sum(_words(labels[name]) for name in (names or labels) if name in labels)] += 1
    return dict(sizes)


def _words(value: LabelValue) -> int:
    return len(value) if isinstance(value, tuple) else int(isinstance(value, str))


def _plot(path: Path, charts: Sequence[Html], title: str, where: str | None) -> None:
    from sosie.present.label_plots import alone, plot_page

    if path.suffix not in (".svg", ".html"):
        raise UsageError(f"--plot draws into a .svg or .html file, not {path}")
    if not charts:
        raise UsageError("there is nothing to draw: no picture has such labels")
    lead = f"Pictures that meet {where}" if where else "All pictures"
    files.write(path, alone(charts) if path.suffix == ".svg" else plot_page(charts, title=title, lead=lead))
    note(f"plot: {path}")


def _labels(pairs: Sequence[str]) -> dict[str, LabelValue | None]:
    labels: dict[str, LabelValue | None] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name.strip() and equals):
            raise UsageError(f"expected name=value, not {pair!r}")
        kind = guess_kinds(["value"], [{"value": text}])["value"]
        labels[name.strip()] = label_of(text, kind)
    return labels


def _records(lib: sosie.Library, where: str | None) -> Iterator[PictureRecord]:
    """Yield all records, a page at a time, so that a million of them need no memory."""
    last = 0
    while records := lib.pictures(where=where, limit=_PAGE, after=last):
        yield from records
        last = records[-1].id


def _write_csv(out: TextIO, names: Sequence[str], records: Iterable[PictureRecord]) -> int:
    writer = csv.writer(out)
    writer.writerow(["url", "id", *map(guarded, names)])
    written = 0
    for record in records:
        writer.writerow([guarded(record.uris[0]), record.id, *(_cell(record.labels.get(name, "")) for name in names)])
        written += 1
    return written


def _write_json_lines(out: TextIO, records: Iterable[PictureRecord]) -> int:
    written = 0
    for record in records:
        labels = {name: list(value) if isinstance(value, tuple) else value for name, value in record.labels.items()}
        out.write(json.dumps({**labels, "url": record.uris[0], "id": record.id}, ensure_ascii=False) + "\n")
        written += 1
    return written


def _cell(value: LabelValue) -> object:
    """Return a label as a cell of a table: only texts are guarded, a negative number is no formula."""
    return _text(value) if isinstance(value, float) else guarded(_text(value))


def _text(value: LabelValue) -> str:
    if isinstance(value, tuple):
        return ";".join(value)
    return value if isinstance(value, str) else f"{value:.15g}"


def _write_page(lib: sosie.Library, records: Sequence[PictureRecord], path: Path, *, where: str, matching: int) -> None:
    from sosie.present.page import page, picture, pictures, section

    shots = []
    for record in records:
        labels: dict[str, Any] = {name: _text(value) for name, value in record.labels.items()}
        caption = ", ".join(f"{name}: {text}" for name, text in labels.items()) or record.uris[0].rpartition("/")[2]
        shots.append(picture(_thumbnail(lib, record.id), f"Picture {record.id}", caption))
    body = section("pictures", where, pictures(shots))
    files.write(path, page("A sub-collection", body, lead=f"{len(records)} of {matching} pictures"))
    note(f"page: {path}")


def _thumbnail(lib: sosie.Library, content_id: int) -> bytes | None:
    try:
        return lib.thumbnail(content_id)
    except SosieError:
        return None
