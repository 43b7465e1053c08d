"""``sosie copies``: which pictures of the library are these altered copies of?"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie import files
from sosie.cli.options import JsonOption, KOption, LibraryOption
from sosie.cli.output import emit_json, note
from sosie.cli.progress import progress_of
from sosie.errors import BadPicture, UsageError
from sosie.present.csv import to_csv
from sosie.sources import open_source
from sosie.sources.reading import read_uri
from sosie.types import Hit, SearchResult

__all__ = ["copies"]


def copies(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE…", help="Pictures, folders, archives or URL lists.")],
    k: KOption = 10,
    library: LibraryOption = None,
    max_false_rate: Annotated[
        float,
        typer.Option("--max-false-rate", help="How many queries without a copy may get one: 1e-4 is one in 10,000."),
    ] = 1e-3,
    unsure: Annotated[bool, typer.Option("--unsure", help="Show what falls short of the cut-off, too.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what each stage cost and found.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write an evidence report of the matches.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that decode.", min=1)] = 1,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line of CSV for each hit instead.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Say which pictures of the library IMAGE is an altered copy of, how sure that is, and why."""
    if as_json and as_csv:
        raise UsageError("choose one of --json and --csv")
    with sosie.open(library, create=False) as lib:
        with progress_of("local features of the library", quiet=as_json) as progress:
            prepared = lib.copies.prepare(workers=max(workers, 2), progress=progress)
        if prepared.failed:
            note(f"{len(prepared.failed)} pictures are away: they match by fingerprint and vector only")
        if lib.copies.calibration_is_due():
            note("calibrating to this library, once: `sosie calibrate` does it again")
            with progress_of("calibrating", quiet=as_json) as progress:
                lib.copies.calibrate(sample=100, per_picture=2, progress=progress)
        waiting: deque[tuple[str, bytes]] = deque()
        least = 0.0 if unsure else None
        answers = lib.copies.find_many(
            _noted(_read(images), waiting), k=k, max_false_rate=max_false_rate, least=least, workers=workers
        )
        results: list[dict[str, Any]] = []
        found: list[SearchResult] = []
        matched: dict[str, bytes] = {}  # what the report will show
        for answer in answers:
            name, data = waiting.popleft()
            if isinstance(answer, BadPicture):
                note(f"{name}: {answer}")
                results.append({"query": name, "error": {"reason": answer.reason, "detail": answer.detail}, "hits": []})
                continue
            results.append(answer.to_json())
            found.append(answer)
            if html is not None and len(answer):
                matched[name] = data
            if not (as_json or as_csv):
                _print(answer, explain=explain)
        if html is not None:
            _report(lib, matched, results, html, max_false_rate=max_false_rate)
    if as_json:
        emit_json(results[0] if len(results) == 1 else results)
    elif as_csv:
        sys.stdout.write(to_csv(found))
    if results and all("error" in result for result in results):
        return 3
    return 0 if any(result["hits"] for result in results) else 1


def _read(images: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of every picture; what a source cannot read is told and left out."""
    for image in images:
        path = Path(image)
        if path.is_file() and path.suffix.lower() not in {".txt", ".csv", ".zip", ".tar", ".gz", ".parquet", ".sqlite"}:
            yield image, read_uri(path.absolute().as_uri())
            continue
        source = open_source(image)
        for ref in source:
            try:
                yield ref.uri, source.read(ref)
            except BadPicture as error:
                note(f"{ref.uri}: {error}")


def _noted(pictures: Iterator[tuple[str, bytes]], waiting: deque[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Remember what was asked, for as long as its answer is awaited."""
    for picture in pictures:
        waiting.append(picture)
        yield picture


def _print(result: SearchResult, *, explain: bool) -> None:
    print(f"{result.query}")
    for hit in result:
        print(f"  {hit.verdict:<13} {hit.probability or 0:7.4f}  {hit.id:>6}  {hit.uri}{_why(hit)}")
    if not len(result):
        print("  no copy found")
    if explain:
        for name, cost in result.index["stages"].items():
            print(f"    {name:<18} {cost['candidates']:4.0f} candidates {cost['ms']:9.1f} ms")
        print(f"    cut-off {result.index['cut_off']:.4f} at a false-match rate of {result.index['max_false_rate']:g}")


def _why(hit: Hit) -> str:
    said: list[str] = []
    if hit.evidence.get("inliers"):
        said.append(f"{hit.evidence['inliers']} points")
    if hit.evidence.get("mirrored"):
        said.append("mirrored")
    if hit.evidence.get("decision"):
        said.append(f"decided: {hit.evidence['decision']}")
    return f"  ({', '.join(said)})" if said else ""


def _report(
    lib: sosie.Library,
    data: dict[str, bytes],
    results: list[dict[str, Any]],
    path: Path,
    *,
    max_false_rate: float,
) -> None:
    from sosie.copies.report import evidence_report

    pairs = [
        ((result["query"], data[result["query"]]), (hit["uri"], lib.read(hit["id"])))
        for result in results
        for hit in result["hits"]
    ]
    if not pairs:
        raise UsageError("there is no match to report; --unsure shows what falls short")
    comparisons = list(lib.copies.compare_many(pairs, max_false_rate=max_false_rate))
    model = hashlib.sha256(lib.copies.finder.model.encode()).hexdigest()[:16]
    about: dict[str, Any] = {
        "library": str(lib.path),
        "model": lib.copies.finder.model,
        "model, SHA-256 of its name": model,
    }
    about |= {"calibration": lib.copies.finder.calibration.about, "false-match rate": max_false_rate}
    files.write(path, evidence_report(comparisons, title="Copies: evidence", about=about))
    note(f"evidence report: {path}")
