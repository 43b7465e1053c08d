"""Who did what: deeds of people that change a library, written to its log together with the deed itself."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sosie.catalogue.records import fields_digest

if TYPE_CHECKING:
    from sosie.catalogue.contract import Store

__all__ = ["ACTOR", "DEEDS", "actor", "insert_deed", "labelling", "removal", "write_down"]

DEEDS = ("label", "remove", "decide", "undecide", "export", "apply", "undo", "restore")
ACTOR: ContextVar[str] = ContextVar("actor", default="")  # whom a server works for; empty: the system's user
_NAMED = 100  # pictures that an entry names; of more it says how many


def actor() -> str:
    """Return who acts: whom a server works for, else the system's user."""
    if found := ACTOR.get():
        return found
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the system's table of users, as in many containers
        return f"uid {os.getuid()}"


def insert_deed(connection: Any, deed: str, detail: Mapping[str, Any]) -> None:
    """Write a deed to the log within the transaction that does it: there is neither without the other."""
    row = (time.time(), actor(), deed, json.dumps(dict(detail)))
    connection.execute(
        "INSERT INTO log (at, actor, deed, detail, digest) VALUES (?, ?, ?, ?, ?)", (*row, fields_digest(*row))
    )


def write_down(store: Store, deed: str, detail: Mapping[str, Any]) -> None:
    """Write a deed to the log; of a library that may only be read nothing is written."""
    if not store.read_only:
        store.append_log(actor(), deed, detail)


def labelling(ids: Sequence[int], labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the log says of labels that were set on pictures."""
    return {"pictures": len(ids), "ids": list(ids[:_NAMED]), "labels": dict(labels)}


def removal(known: Sequence[tuple[int, str, str]]) -> dict[str, Any]:
    """Return what the log says of pictures that were removed, given as (id, SHA-256, URI)."""
    named = [{"id": i, "sha256": sha256, "uri": uri} for i, sha256, uri in known[:_NAMED]]
    return {"pictures": len(known), "removed": named}
