"""``sosie demo``: a first look in under a minute."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie.cli.options import JsonOption
from sosie.cli.output import emit_json
from sosie.cli.search import write_sheet
from sosie.errors import UsageError
from sosie.types import SearchResult
from sosie_gallery.gallery import Gallery, GalleryItem, draw_gallery
from sosie_gallery.source import GallerySource

__all__ = ["demo"]

_SHOWN = 6  # queries on the contact sheet
_QUERIES = 60  # queries that the printed figures are over


def demo(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the gallery and its library go.")] = Path(
        "sosie-demo"
    ),
    seed: Annotated[int, typer.Option(help="Another seed draws another gallery.")] = 0,
    pictures: Annotated[int, typer.Option(help="How many pictures to draw, copies and scenes aside.", min=20)] = 600,
    as_json: JsonOption = False,
) -> int:
    """Draw a gallery, add it to a library, search it, and write a contact sheet."""
    if folder.exists() and not (folder / "gallery").is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} holds something else: name an empty folder")
    started = time.monotonic()
    gallery = _draw(folder / "gallery", seed, pictures, quiet=as_json)
    with sosie.open(folder / "library") as lib:
        report = lib.add(GallerySource(gallery))
        asked = _queries(gallery, seed)
        sheet = folder / "contact-sheet.html"
        write_sheet(_answers(asked[:_SHOWN], gallery, lib, verify=True), lib, sheet)
        found = _figures(asked, _answers(asked, gallery, lib, verify=False), gallery, lib)
    seconds = time.monotonic() - started
    if as_json:
        emit_json({**found, "add": report.to_json(), "sheet": str(sheet), "seconds": seconds})
    else:
        _tell(gallery, found, sheet, folder, seconds)
    return 0


def _draw(folder: Path, seed: int, pictures: int, *, quiet: bool) -> Gallery:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("drawing a gallery", total=None)
        return draw_gallery(
            folder,
            seed=seed,
            pictures=pictures,
            copies=pictures // 10,
            scenes=pictures // 20,
            workers=os.cpu_count() or 1,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _queries(gallery: Gallery, seed: int) -> list[GalleryItem]:
    """Choose queries of different subjects, in an order that shows variety first."""
    items = gallery.of_kind("picture")
    random.Random(seed).shuffle(items)  # noqa: S311 - a choice of pictures, not a secret
    by_subject: dict[str, list[GalleryItem]] = {}
    for item in items:
        by_subject.setdefault(item.subject, []).append(item)
    rounds = zip(*(group for group in by_subject.values()), strict=False)
    return [item for each in rounds for item in each][:_QUERIES]


def _answers(asked: list[GalleryItem], gallery: Gallery, lib: sosie.Library, *, verify: bool) -> list[SearchResult]:
    found = lib.search_many([gallery.folder / item.path for item in asked], k=11, verify=verify)
    return [_without_itself(result) for result in found]


def _without_itself(result: SearchResult) -> SearchResult:
    others = [hit for hit in result if hit.verdict != "identical"][:10]
    return replace(result, hits=tuple(replace(hit, rank=rank) for rank, hit in enumerate(others, 1)))


def _figures(
    asked: list[GalleryItem], results: list[SearchResult], gallery: Gallery, lib: sosie.Library
) -> dict[str, Any]:
    """Say how often the first answers share the query's labels, and how often a copy finds its original.

    These are of the vectors alone: nothing is verified.
    """
    shares = {}
    for name in ("subject", "media", "mood"):
        hits = [hit.labels.get(name) == item.labels[name] for item, r in zip(asked, results, strict=True) for hit in r]
        shares[name] = sum(hits) / max(1, len(hits))
    copies = gallery.of_kind("copy")
    answers = lib.search_many([gallery.folder / item.path for item in copies], k=6, verify=False)
    found = [
        any(hit.uri.endswith(item.original) for hit in answer) for item, answer in zip(copies, answers, strict=True)
    ]
    return {
        "pictures": lib.stats()["pictures"],
        "queries": len(asked),
        "share_of_first_10": shares,
        "copies": len(copies),
        "copies_found_in_first_5": sum(found),
        "ms_a_query": results[0].took_ms,
    }


def _tell(gallery: Gallery, found: dict[str, Any], sheet: Path, folder: Path, seconds: float) -> None:
    shares = found["share_of_first_10"]
    print(f"{found['pictures']} pictures drawn, added and searched in {seconds:.0f} s")
    print(
        f"of the ten pictures most like a query, {shares['subject']:.0%} show the same subject,"
        f" {shares['media']:.0%} are of the same medium, {shares['mood']:.0%} of the same mood"
    )
    print(
        f"{found['copies_found_in_first_5']} of {found['copies']} altered copies have their original among the first 5"
    )
    print(f"\nlook:    {sheet}")
    example = gallery.folder / gallery.of_kind("picture")[0].path
    print(f"search:  sosie search {example} -L {folder / 'library'}")
