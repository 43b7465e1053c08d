"""``sosie doctor``: compare what the catalogue says with what is there."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note, note_sandbox
from sosie.errors import SosieError
from sosie.maintenance.checkup import Finding, examine

__all__ = ["doctor"]

_SHOWN = 5  # of one kind


def doctor(
    library: LibraryOption = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended; your own files are never touched.")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read every file: finds changes that left no trace.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Compare files, catalogue, indexes, thumbnails and models.

    Finds what is missing, changed, damaged or left over. Exit code 0 where all is well or mended, 1 where something
    is left to do.
    """
    with sosie.open(library, create=False, read_only=not fix) as lib:
        findings = list(examine(lib, deep=deep))
        mended = [fix and _mend(lib, finding) for finding in findings]
    left = mended.count(False)
    note_sandbox()
    if as_json:
        rows = [{**finding.to_json(), "mended": done} for finding, done in zip(findings, mended, strict=True)]
        emit_json({"found": len(findings), "mended": len(findings) - left, "findings": rows})
    else:
        _tell(findings, mended, fix=fix)
    return 1 if left else 0


def _mend(lib: sosie.Library, finding: Finding) -> bool:
    """Look again under the writer's lock, since much may have happened meanwhile, and act."""
    if finding.mend is None:
        return False
    try:
        with lib.catalogue.writing("sosie doctor"):
            if finding.still():
                said = finding.mend()
                if isinstance(said, str):
                    note(said)
            return not finding.still()
    except Exception as error:  # of a damaged library: the other findings are mended all the same
        text = error if isinstance(error, SosieError | OSError) else f"{type(error).__name__}: {error}"
        note(f"{finding.what}: {text}")
        return False


def _tell(findings: list[Finding], mended: list[bool], *, fix: bool) -> None:
    for kind, count in Counter(finding.kind for finding in findings).items():
        print(f"{count:>6}  {kind}")
        chosen = [(f, done) for f, done in zip(findings, mended, strict=True) if f.kind == kind]
        for finding, done in chosen[:_SHOWN]:
            print(f"        {finding.what}: {finding.detail}{' – mended' if done else ''}")
        if count > _SHOWN:
            print(f"        … and {count - _SHOWN} more")
        if not all(done for _, done in chosen):
            print(f"        → {chosen[0][0].advice}")
    if not findings:
        print("all is well")
    elif not fix and any(finding.mend for finding in findings):
        print("`sosie doctor --fix` mends what can be mended")
