"""``sosie watch``: standing queries, which report when a copy of one of your pictures turns up."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import sosie
from sosie import files
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note
from sosie.errors import BadPicture, UnknownName, UsageError
from sosie.present.csv import matches_csv
from sosie.types import Hit

__all__ = ["app", "look"]

app = typer.Typer(help="Report when copies of your own pictures turn up in the library.", no_args_is_help=True)

_RECORD = "watch"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST = 100  # hits of one picture that are looked at


@app.command("add")
def add(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE…", help="Pictures of yours.")],
    library: LibraryOption = None,
) -> int:
    """Watch for copies of pictures. They are kept in the library's folder, so that they may be moved or deleted."""
    with sosie.open(library) as lib:
        known = _record(lib)
        for image in images:
            data = _bytes_of(image)
            lib.engine.analyse(data)  # what is no picture is refused here, not at every look
            digest = hashlib.sha256(data).hexdigest()
            place = lib.path / "watch" / digest
            files.make_folder(place.parent)
            files.write(place, data)
            known["pictures"][_free_name(image.name, digest, known["pictures"])] = digest
        lib.catalogue.put_record(_RECORD, known)
    print(f"watching {len(known['pictures'])} pictures; `sosie watch look` reports copies that are new")
    return 0


@app.command("list")
def list_(library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Show what is watched for."""
    with sosie.open(library, create=False, read_only=True) as lib:
        pictures = _record(lib)["pictures"]
    if as_json:
        emit_json({"pictures": [{"name": name, "sha256": digest} for name, digest in pictures.items()]})
    else:
        print("\n".join(pictures) or "nothing is watched: `sosie watch add IMAGE`")
    return 0


@app.command("remove")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Names as `sosie watch list` gives them.")],
    library: LibraryOption = None,
) -> int:
    """Watch no longer for some pictures."""
    with sosie.open(library, create=False) as lib:
        known, gone = _record(lib), list[str]()
        for name in names:
            digest = known["pictures"].pop(name, None)
            if digest is None:
                raise UnknownName(f"nothing watched is called {name!r}: `sosie watch list`")
            gone.append(digest)
        lib.catalogue.put_record(_RECORD, known)
        for digest in set(gone) - set(known["pictures"].values()):
            if _DIGEST.fullmatch(digest):  # what is no digest may lead out of the folder
                files.remove(lib.path / "watch" / digest)
    return 0


@app.command("look")
def look_command(
    library: LibraryOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Report known copies, too.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line of CSV for each copy instead.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Report copies that were added since the last look. Exit code 1 where there are none."""
    with sosie.open(library, create=False) as lib:
        found = look(lib, everything=everything)
    if as_json:
        emit_json({"hits": found})
    elif as_csv:
        sys.stdout.write(matches_csv(found))
    else:
        for hit in found:
            print(f"{hit['name']}: {hit['verdict']} at {hit['uri']}")
        if not found:
            note("no new copies")
    return 0 if found else 1


def look(lib: sosie.Library, *, everything: bool = False) -> list[dict[str, Any]]:
    """Return the copies of watched pictures among what was added since the last look, and remember how far it went."""
    known = _record(lib)
    newest = int(lib.catalogue.live_ids().max(initial=0))
    since = 0 if everything else int(known["seen"])
    if not known["pictures"] or newest <= since:
        return []
    lib.copies.prepare()
    asked = [(name, (lib.path / "watch" / digest).read_bytes()) for name, digest in known["pictures"].items()]
    found = []
    for (name, _), result in zip(asked, lib.copies.find_many(asked, k=_MOST), strict=True):
        if isinstance(result, BadPicture):
            note(f"{name} cannot be used any more: {result}")
            continue
        found += [_document(name, hit) for hit in result if hit.id > since]
    lib.catalogue.put_record(_RECORD, {**known, "seen": newest})
    return found


def _document(name: str, hit: Hit) -> dict[str, Any]:
    return {"name": name, "page": hit.labels.get("page"), **hit.to_json()}


def _record(lib: sosie.Library) -> dict[str, Any]:
    return {"pictures": {}, "seen": 0, **(lib.catalogue.record(_RECORD) or {})}


def _bytes_of(image: Path) -> bytes:
    """Return the bytes of a picture that somebody named."""
    from sosie.sources.files import read_regular_file

    try:
        return read_regular_file(image)
    except BadPicture as error:
        raise UsageError(f"{image} cannot be watched: {error}") from error


def _free_name(name: str, digest: str, taken: dict[str, str]) -> str:
    if taken.get(name, digest) == digest:
        return name
    return f"{digest[:8]}-{name}"
