"""``sosie sources``: where the pictures of a library came from; retire a source, or say where it is now."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json, note
from sosie.maintenance.sources import Root
from sosie.present.text import display_path

__all__ = ["app"]

app = typer.Typer(help="List the roots of a library, retire one, say where one is now.", no_args_is_help=True)

RootArgument = Annotated[
    str, typer.Argument(metavar="ROOT", help="A folder, file or URI, as `sosie sources list` shows.")
]
_SHOWN = 20


@app.command("list")
def list_(library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Show every root: its places, those that are gone, its last run, whether it can be reached."""
    with sosie.open(library, create=False, read_only=True) as lib:
        roots = list(lib.sources)
    if as_json:
        emit_json({"sources": [root.to_json() for root in roots]})
        return 0
    for root in roots:
        print(_line(root))
    if not roots:
        print("nothing was added yet")
    return 0


@app.command("forget")
def forget(root: RootArgument, library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """Forget all places that came by a root. Files are never touched; pictures at other places stay."""
    with sosie.open(library, create=False) as lib:
        count = lib.sources.forget(_uri(root, [known.root for known in lib.sources]))
    if as_json:
        emit_json({"forgotten": count})
    else:
        print(f"forgot {count} places")
    return 0


@app.command("move")
def move(
    old: RootArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where it is now.")],
    library: LibraryOption = None,
    all_checked: Annotated[
        bool, typer.Option("--all-checked", help="Compare every file by its digest; without it, a sample.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Say where a root is now, without reading its files: places, labels and vectors stay.

    Exit code 1 where some files are not there.
    """
    with sosie.open(library, create=False) as lib:
        source = _uri(old, [known.root for known in lib.sources])
        target = _uri(new, [])
        if source.endswith("/"):
            target = target.rstrip("/") + "/"
        moved = lib.sources.move(source, target, check_all=all_checked)
    if as_json:
        emit_json({"moved": moved.moved, "checked": moved.checked, "left": list(moved.left)})
    else:
        print(f"{moved.moved} places are at {display_path(target)} now; {moved.checked} were compared by their bytes")
        for uri in moved.left[:_SHOWN]:
            note(f"not there: {display_path(uri)}")
        if len(moved.left) > _SHOWN:
            note(f"… and {len(moved.left) - _SHOWN} more")
    return 1 if moved.left else 0


def _uri(text: str, roots: list[str]) -> str:
    """Return the root that a person means: a URI as it is, a path as a folder or a file."""
    if "://" in text:
        return text
    path = Path(text).absolute()
    candidates = [path.as_uri().rstrip("/") + ending for ending in ("/", "", "!/")]
    known = [uri for uri in candidates if uri in roots]
    return (known or ([candidates[0]] if path.is_dir() or not path.suffix else [candidates[1]]))[0]


def _line(root: Root) -> str:
    when = "" if root.last_run is None else f", last run {datetime.fromtimestamp(root.last_run, UTC):%Y-%m-%d %H:%M}"
    gone = f", {root.gone} gone" if root.gone else ""
    away = ", cannot be reached" if root.reachable is False else ""
    return f"{root.places:>8}  {display_path(root.root)}{gone}{when}{away}"
