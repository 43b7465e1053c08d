"""The request that is being answered: its id, for answers, problems and the log."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import Scope

from sosie.present.text import shorten, visible

__all__ = ["CURRENT", "CurrentRequest", "current_request", "request_id"]

HEADER = b"x-request-id"
_SAFE = re.compile(rb"[A-Za-z0-9._~+/=:-]{1,64}")  # UUIDs, ULIDs, trace ids; no log is broken by them
_PATH = 200  # characters of a path that the log repeats


@dataclass(frozen=True, slots=True)
class CurrentRequest:
    """What a line of the log needs to know of the request that it is about."""

    id: str
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {shorten(visible(self.path), _PATH)} (request {self.id})"


CURRENT: ContextVar[CurrentRequest | None] = ContextVar("current_request", default=None)


def current_request(scope: Scope) -> CurrentRequest:
    """Return what a scope says of its request; its id is the caller's own (``X-Request-ID``) where that is harmless."""
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    known = given.decode("ascii") if _SAFE.fullmatch(given) else secrets.token_hex(8)
    return CurrentRequest(known, scope["method"], scope["path"])


def request_id() -> str | None:
    """Return the id of the request that is being answered; None outside of one."""
    current = CURRENT.get()
    return None if current is None else current.id
