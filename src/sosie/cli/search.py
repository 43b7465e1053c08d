"""``sosie search``: which pictures of the library look like this one?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

import sosie
from sosie import files
from sosie.analysis.regions import Parts
from sosie.cli.filters import check_where
from sosie.cli.options import (
    ClassifierOption,
    DetectorOption,
    JsonOption,
    KOption,
    LibraryOption,
    SegmenterOption,
    WhereOption,
    parse_box,
)
from sosie.cli.output import emit_json, note
from sosie.errors import SosieError, UsageError
from sosie.indexes.params import read_params
from sosie.query.class_first import ClassFirst
from sosie.query.encode import Asked, bytes_of, with_words
from sosie.query.regions import read_shares
from sosie.types import Distance, SearchResult

__all__ = ["asked_of", "search"]


def search(
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IMAGE…]", help='Pictures, or "a.jpg + b.jpg - text:at night", or id:17.'),
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="Search by words, such as flamingo, or add them to each IMAGE.")
    ] = None,
    k: KOption = 10,
    library: LibraryOption = None,
    where: WhereOption = None,
    box: Annotated[str | None, typer.Option(help="Search for a part: x,y,width,height, each 0 to 1.")] = None,
    objects: Annotated[bool, typer.Option("--objects", help="Search by every object in IMAGE.")] = False,
    number: Annotated[
        int | None,
        typer.Option("--object", help="Search by one object, numbered as --objects --json has it.", min=1),
    ] = None,
    mask: Annotated[
        str | None, typer.Option(help="Keep a class of the segmenter, such as person; '!person' drops it.")
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(help="How much whole pictures and parts count: whole=0,mask=1; what is not named, nothing."),
    ] = None,
    only_part: Annotated[
        bool, typer.Option("--only-part", help="Compare parts alone: whole pictures count nothing.")
    ] = False,
    fill: Annotated[str, typer.Option(help="What takes the place of masked pixels: mean or blur.")] = "mean",
    regions: Annotated[
        list[str] | None,
        typer.Option(help="Kinds to search along with whole pictures, or none; repeatable.", show_default="what fits"),
    ] = None,
    index_param: Annotated[
        list[str] | None,
        typer.Option("--index-param", "-p", help="A search parameter of the index for this once: ef=200; repeatable."),
    ] = None,
    class_first: Annotated[
        bool, typer.Option("--class-first", help="Search within the class that the classifier gives IMAGE.")
    ] = False,
    min_class: Annotated[
        float, typer.Option(help="Search all pictures where the class is less probable than this.", min=0, max=1)
    ] = 0.5,
    classifier: ClassifierOption = None,
    detector: DetectorOption = None,
    segmenter: SegmenterOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a contact sheet that opens from disk.")] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify",
            help="Say which answers are copies, or hold IMAGE or a part of it, and put them first.",
        ),
    ] = True,
    min_likeness: Annotated[
        float | None, typer.Option(help="Leave out what is only alike, with a score below this.", min=-1, max=1)
    ] = None,
    thumbnails: Annotated[str, typer.Option(help="Pictures in the terminal: auto, always or never.")] = "auto",
    distance: Annotated[
        str | None,
        typer.Option(help="Show distances, too: cosine, l2 or angular (Annoy's).", show_default="none in the text"),
    ] = None,
) -> int:
    """Find the pictures most like IMAGE, best first; with a model that knows words, most like what --text says."""
    far = _distance(distance)
    with sosie.open(library, create=False) as lib:
        queries = [with_words(each, text) for each in (map(asked_of, images) if images else [None])]
        lib.extractor.use(detector=detector, segmenter=segmenter)
        if fill not in ("mean", "blur"):
            raise UsageError(f"--fill is mean or blur, not {fill!r}")
        parts = Parts(parse_box(box), objects, number, mask, "blur" if fill == "blur" else "mean")
        kinds = None if regions is None else [kind for kind in regions if kind != "none"]
        check_where(lib, where)
        results = lib.search_many(
            queries,
            k=k,
            where=where,
            parts=parts,
            regions=kinds,
            verify=verify,
            index_params=read_params(index_param or []),
            shares=_shares(share, only_part=only_part, mask=mask, kinds=kinds),
            class_first=ClassFirst(min_class, classifier) if class_first else False,
            min_likeness=min_likeness,
        )
        if lib.catalogue.counts()["pictures"] == 0:
            note("the library holds no pictures yet: `sosie add FOLDER`")
        if any(result.index.get("complete") is False for result in results):
            note("the index found fewer than there are: `-p probes=N` looks further, `-p fill=exact` at build fills up")
        if html is not None:
            write_sheet(results, lib, html, distance=far)
        _show(results, lib, as_json=as_json, as_csv=as_csv, thumbnails=thumbnails, distance=far)
    return 0


def _shares(
    text: str | None, *, only_part: bool, mask: str | None, kinds: Sequence[str] | None
) -> dict[str, float] | None:
    """Read ``whole=0,mask=1``; ``--only-part`` gives every kind of part that is searched the same."""
    if text is not None and only_part:
        raise UsageError("choose one of --share and --only-part")
    if only_part:
        return dict.fromkeys(kinds or (["mask"] if mask else ["objects"]), 1.0)
    return None if text is None else read_shares(text)


def asked_of(image: str) -> Asked:
    """Return what a person typed as a query: ``id:17`` is a picture of the library."""
    return int(image[3:]) if image.startswith("id:") and image[3:].isdigit() else image


def _distance(text: str | None) -> Distance | None:
    if text is None:
        return None
    for known in get_args(Distance):
        if text == known:
            return cast(Distance, known)
    raise UsageError(f"--distance is {', '.join(get_args(Distance))}, not {text!r}")


def _show(
    results: Sequence[SearchResult],
    lib: sosie.Library,
    *,
    as_json: bool,
    as_csv: bool,
    thumbnails: str,
    distance: Distance | None,
) -> None:
    if as_json and as_csv:
        raise UsageError("choose one of --json and --csv")
    if as_json:
        documents = [result.to_json(distance) for result in results]
        emit_json(documents[0] if len(documents) == 1 else documents)
    elif as_csv:
        from sosie.present.csv import to_csv

        sys.stdout.write(to_csv(results, distance=distance))
    else:
        from sosie.present.table import print_results

        print_results(
            results,
            thumbnail=lambda hit: thumbnail_or_none(lib, hit.id),
            thumbnails=thumbnails,
            distance=distance,
        )


def thumbnail_or_none(lib: sosie.Library, content_id: int) -> bytes | None:
    """Return a picture's thumbnail, or None where the picture is away."""
    try:
        return lib.thumbnail(content_id)
    except SosieError:
        return None


def write_sheet(
    results: Sequence[SearchResult], lib: sosie.Library, path: Path, *, distance: Distance | None = None
) -> None:
    """Write the contact sheet of some results and say where it lies."""
    from sosie.present.html import contact_sheet

    ids = {hit.uri: hit.id for result in results for hit in result}

    def thumbnail(uri: str) -> bytes | None:
        if uri in ids:
            return thumbnail_or_none(lib, ids[uri])
        try:
            return lib.pictures.preview(bytes_of(uri))
        except SosieError:
            return None

    text = contact_sheet(results, thumbnail=thumbnail, title="Sosie", notes=_notes(results), distance=distance)
    files.write(path, text)
    note(f"contact sheet: {path}")


def _notes(results: Sequence[SearchResult]) -> dict[str, str]:
    index = results[0].index if results else {}
    return {name: str(value) for name, value in index.items() if value is not None}
