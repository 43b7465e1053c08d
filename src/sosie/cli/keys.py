"""``sosie keys``: who may use the server, and for what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from typing import Annotated, Any

import typer

import sosie
from sosie.cli.options import JsonOption, LibraryOption
from sosie.cli.output import emit_json
from sosie.errors import UsageError

__all__ = ["app"]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Make, list and revoke keys of the server.")

_NEVER = "There is no key: the server is open, and keeps to this machine."
_NONE_LEFT = "No key is left, and the server refuses everyone: make one with `sosie keys create NAME`."

NameArgument = Annotated[str, typer.Argument(help="Who or what will use the key.")]
IdArgument = Annotated[str, typer.Argument(help="The key's id, as `sosie keys list` shows it.")]
ScopeOption = Annotated[
    str, typer.Option("--scope", help="read: search and look; write: add and label too; admin: everything.")
]


@app.command("create")
def create(
    name: NameArgument, scope: ScopeOption = "read", library: LibraryOption = None, as_json: JsonOption = False
) -> int:
    """Make a key and show it, this once."""
    keys = import_module("sosie.server.keys")
    try:
        chosen = keys.Scope(scope)
    except ValueError:
        raise UsageError(f"a scope is read, write or admin, not {scope!r}") from None
    with _store(library) as store:
        key, token = store.create(name, chosen)
    if as_json:
        emit_json({**_shown(key), "key": token})
    else:
        print(token)
        typer.echo(f"Keep it: it is not shown again. It may {key.scope}; its id is {key.id}.", err=True)
    return 0


@app.command("list")
def list_keys(library: LibraryOption = None, as_json: JsonOption = False) -> int:
    """List the keys, without what is secret."""
    with _store(library) as store:
        keys, closed = [_shown(key) for key in store.list()], store.closed
    if as_json:
        emit_json({"keys": keys})
        return 0
    for key in keys:
        print(f"{key['id']}  {key['scope']:<5}  {key['created_at'][:10]}  {key['name']}")
    if not keys:
        typer.echo(_NONE_LEFT if closed else _NEVER, err=True)
    return 0


@app.command("revoke")
def revoke(key_id: IdArgument, library: LibraryOption = None) -> int:
    """Make a key useless, at once."""
    with _store(library) as store:
        gone, left = store.revoke(key_id), store.list()
    typer.echo(f"Revoked {gone.id} ({gone.name}).", err=True)
    if not left:
        typer.echo(_NONE_LEFT, err=True)
    return 0


@contextmanager
def _store(library: LibraryOption) -> Iterator[Any]:
    with sosie.open(library, create=False) as lib:
        # By name: cli and server stand on one row and know nothing of each other.
        yield import_module("sosie.server.keys").keys_of(lib)


def _shown(key: Any) -> dict[str, str]:
    made = datetime.fromtimestamp(key.created_at, UTC).isoformat(timespec="seconds")
    return {"id": key.id, "name": key.name, "scope": str(key.scope), "created_at": made}
