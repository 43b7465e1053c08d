"""``sosie crawl``: add the pictures of a website."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import typer

import sosie
from sosie.cli.add import _stop_on_interrupt
from sosie.cli.options import FeaturesOption, JsonOption, LibraryOption, ModelOption, open_to_add
from sosie.cli.output import emit_json, note, progress_bar
from sosie.contracts import Source
from sosie.sources.keeping import KeepingOriginals
from sosie.sources.web.addresses import Internet
from sosie.sources.web.crawl import CrawlSource, Policy
from sosie.sources.web.frontier import Budget

__all__ = ["crawl"]


def crawl(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to start: a page or a sitemap.")],
    library: LibraryOption = None,
    model: ModelOption = None,
    depth: Annotated[int, typer.Option(help="How many links to follow from the start.", min=0)] = 3,
    pages: Annotated[int, typer.Option(help="How many pages to read at most.", min=1)] = 500,
    pictures: Annotated[int, typer.Option(help="How many pictures to fetch at most.", min=1)] = 10_000,
    hosts: Annotated[int, typer.Option(help="How many hosts to read pages of.", min=1)] = 20,
    delay: Annotated[float, typer.Option(help="Seconds between two requests to one host.", min=0.0)] = 1.0,
    anywhere: Annotated[bool, typer.Option("--anywhere", help="Follow links to other sites, too.")] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Let the crawl reach your own intranet.")
    ] = False,
    keep_originals: Annotated[
        bool, typer.Option("--keep-originals", help="Keep what is downloaded in the library's folder.")
    ] = False,
    features: FeaturesOption = "later",
    as_json: JsonOption = False,
) -> int:
    """Add the pictures of a website, politely.

    robots.txt is obeyed, each host is asked no faster than it likes, and a crawl that was stopped goes on where it
    was. Each picture is labelled with its page, title, alternative text and caption. Pictures are compared with the
    watch list at once (`sosie watch`).
    """
    with open_to_add(library, model) as lib, _stop_on_interrupt() as stop:
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        source = CrawlSource(
            url,
            policy=Policy(
                budget=Budget(pages=pages, depth=depth, hosts=hosts, pictures=pictures),
                delay=delay,
                same_site=not anywhere,
            ),
            internet=Internet(allow_private=allow_private),
            journal=lib.path / "crawls" / f"{name}.jsonl",
        )
        wanted: Source = KeepingOriginals(source, lib.path / "originals") if keep_originals else source
        with progress_bar(f"crawling {url}", quiet=as_json) as bar:
            report = lib.add(wanted, features=features, progress=bar, stop=stop)
        found = {**report.to_json(), "pages": source.pages, "refused_pages": dict(source.refused)}
        found["watch"] = _watched(lib)
    if as_json:
        emit_json(found)
    else:
        _tell(found)
    return 130 if report.interrupted else 0


def _watched(lib: sosie.Library) -> list[dict[str, Any]]:
    from sosie.cli.watch import look

    return look(lib)


def _tell(found: dict[str, Any]) -> None:
    print(f"{found['pages']} pages read, {found['indexed']} new pictures, {found['known'] + found['unchanged']} known")
    if found["refused_pages"]:
        note("pages left out: " + ", ".join(f"{n} {why}" for why, n in sorted(found["refused_pages"].items())))
    if found["quarantined"]:
        note("pictures refused: " + ", ".join(f"{n} {why}" for why, n in found["quarantined"].items()))
    if lacking := found["new"] - found["with_features"]:
        note(f"{lacking} new pictures have no local features: copies of them are found by fingerprint and vector only")
    for hit in found["watch"]:
        print(f"watched {hit['name']}: {hit['verdict']} at {hit['uri']}")
    if found["interrupted"]:
        print("interrupted: run the same command to go on")
