"""``sosie backup`` and ``sosie restore``: a library and its safe copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sosie
from sosie.catalogue.deeds import write_down
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json
from sosie.cli.progress import progress_of
from sosie.elastic import read_url
from sosie.errors import UsageError
from sosie.library import folder_of
from sosie.maintenance.backup import BackupReport, back_up
from sosie.maintenance.backup import restore as bring_back

__all__ = ["backup", "restore"]


def backup(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the backup goes: a new folder, or an earlier backup.")
    ],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> int:
    """Copy the library to DIR while it is in use: catalogue, uploads, originals, watched pictures, models, keys.

    What DIR holds already, by digest, is not copied again. Indexes and thumbnails are left out: they are made again.
    Your own pictures stay where they are, and are not part of it.
    """
    with progress_of("copying", quiet=as_json) as show:
        report = back_up(_local(library), folder, progress=show)
    return _answer(report, folder, "backed up", as_json=as_json)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `sosie backup` wrote.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a library of a backup, where there is none, or in the place of a catalogue that is damaged or empty.

    Every file is checked first. A library that can be read is never written over. Keys come back with the library.
    """
    target = _local(library)
    with progress_of("restoring", quiet=as_json) as show:
        report = bring_back(folder, target, progress=show)
    with sosie.open(target, create=False) as lib:
        write_down(lib.catalogue, "restore", {"from": str(folder.resolve()), "pictures": report.pictures})
    return _answer(report, target, "restored", as_json=as_json)


def _local(library: Path | None) -> Path:
    if library is not None and read_url(str(library)):
        raise UsageError("a library on a cluster is backed up by the cluster's snapshots, or by `sosie export DIR`")
    return folder_of(library or "sosie-library")


def _answer(report: BackupReport, where: Path, done: str, *, as_json: bool) -> int:
    if as_json:
        emit_json({**report.to_json(), "folder": str(where)})
    else:
        files = f"{report.copied} files copied, {report.known} were there"
        print(f"{done}: {report.pictures} pictures in {where} ({files}; {report.bytes / 1e6:.1f} MB)")
    return 0
