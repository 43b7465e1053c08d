"""``sosie compare``: is one picture a copy of the other?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

import sosie
from sosie import files
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note
from sosie.copies.compare import ANALYSE, PARAMS, Comparison, side_of
from sosie.copies.compare import compare as compare_sides
from sosie.elastic import read_url
from sosie.errors import SosieError
from sosie.query.encode import bytes_of
from sosie.verify.calibration import shipped_calibration

__all__ = ["compare"]


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="The picture that may be a copy.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The picture that it may be a copy of.")],
    library: LibraryOption = None,
    max_false_rate: Annotated[
        float, typer.Option("--max-false-rate", help="The rate of false matches that the cut-off stands for.")
    ] = 1e-3,
    html: Annotated[Path | None, typer.Option(help="Write an evidence report.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Say what picture A is to picture B: exit code 0 the same or a copy, 1 not, 2 where it cannot be told.

    Decisions and the calibration of the library are used where there is one.
    """
    try:
        found = _compare(first, second, library, max_false_rate)
    except SosieError as error:  # 1 is an answer here, so every failure is 2
        note(f"sosie: {error}")
        return 2
    if html is not None:
        from sosie.copies.report import evidence_report

        files.write(html, evidence_report([found], title="Is it a copy?"))
        note(f"evidence report: {html}")
    if as_json:
        emit_json(found.to_json())
    else:
        _print(found)
    return 0 if found.is_copy else 1


def _compare(first: str, second: str, library: Path | None, max_false_rate: float) -> Comparison:
    pair = ((first, bytes_of(first)), (second, bytes_of(second)))
    folder = library or Path(os.environ.get("SOSIE_LIBRARY") or "sosie-library")
    if library is not None or read_url(str(folder)) or (folder / "catalogue.sqlite").exists():
        with sosie.open(folder, create=False, read_only=True) as lib:
            return next(lib.copies.compare_many([pair], max_false_rate=max_false_rate))
    from sosie.decode import DecodePool
    from sosie.decode.limits import limits_of

    with DecodePool(1, analyse=ANALYSE, params=PARAMS, limits=limits_of()) as pool:
        sides = [side_of(*one, pool) for one in pair]
        return compare_sides(*sides, calibration=shipped_calibration(), max_false_rate=max_false_rate)


def _print(found: Comparison) -> None:
    print(f"{found.judged.verdict}  (probability {found.judged.probability:.4f}, cut-off {found.cut_off:.4f})")
    if found.certificate is not None:
        for sentence in found.certificate.sentences():
            print(f"  {sentence}")
    evidence = found.evidence
    print(
        f"  {evidence.inliers} points of {evidence.matched} agree; {evidence.query_share:.0%} of A shows B, "
        f"{evidence.reference_share:.0%} of B is seen in A"
    )
