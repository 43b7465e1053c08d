"""``sosie remove``: forget pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json

__all__ = ["remove"]


def remove(
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE…", help="Ids, paths or URIs.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> int:
    """Forget pictures of the library. The files themselves are never touched."""
    with sosie.open(library, create=False) as lib:
        removed = lib.remove([_picture(each) for each in pictures])
    if as_json:
        emit_json({"removed": removed})
    else:
        print(f"forgot {removed} of {len(pictures)}")
    return 0 if removed else 1


def _picture(text: str) -> int | str:
    if text.isdigit():
        return int(text)
    return text if "://" in text else Path(text).absolute().as_uri()
