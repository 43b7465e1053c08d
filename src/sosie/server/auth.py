"""Who calls, and what they may do: an API key in a header, or a session in a cookie that a key opened.

In a library that never had a key everything is open, which ``sosie serve`` allows on loopback alone. Once there was
one, every call needs one, even where none is left.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as StarletteScope

from sosie.catalogue.deeds import ACTOR
from sosie.errors import DamagedError
from sosie.server.config import is_loopback
from sosie.server.guards import host_of
from sosie.server.keys import Scope
from sosie.server.limits import Intake, has_body, refuse
from sosie.server.places import HIDDEN
from sosie.server.problems import Problem
from sosie.server.state import State, state_of

__all__ = ["COOKIE", "Admin", "KeyFirst", "Reader", "Writer", "scope_of"]

COOKIE = "sosie_session"
_KEY_NEEDED = "this server needs a key: send `Authorization: Bearer KEY` (sosie keys create)"
_LOGIN_BYTES = 16 * 1024

_LOG = logging.getLogger("sosie.server")
_BEARER = HTTPBearer(auto_error=False, description="A key made by `sosie keys create`.")


def scope_of(request: Request, state: State, token: str | None = None) -> Scope | None:
    """Return what the caller may do, None where a key is needed and none was shown.

    Raises Problem where the keys cannot be read: then nobody may do anything.
    """
    try:
        return _scope_of(request, state, token)
    except DamagedError as error:
        _LOG.error("nobody is let in: %s", error)
        raise Problem(503, "keys_damaged", "the server cannot read its keys: its log says what to do") from error


def _scope_of(request: Request, state: State, token: str | None) -> Scope | None:
    if not state.keys.closed:
        return Scope.ADMIN if _is_local(request, state) else None
    if token is not None:
        key = state.keys.find(token)
    else:
        key = state.sessions.key(request.cookies.get(COOKIE, ""), state.keys)
    if key is None:
        return None
    ACTOR.set(f"key {key.name}")
    HIDDEN.set(not key.scope.includes(Scope.WRITE))
    return key.scope


def _is_local(request: Request, state: State) -> bool:
    """Say whether a caller is on this machine, and came by a name of it: without keys nobody else is let in."""
    by_own_name = host_of(request.scope) in state.settings.own_hosts
    return by_own_name and (request.client is None or is_loopback(request.client.host))


class KeyFirst:
    """Refuse the body of a caller who shows no key before any of it is taken in; a form to log in may be small."""

    def __init__(self, app: ASGIApp, *, state: State) -> None:
        self._app, self._state = app, state
        self._small = Intake(
            app, most=_LOGIN_BYTES, idle=state.settings.idle_timeout, total=state.settings.head_timeout
        )

    async def __call__(self, scope: StarletteScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(scope) or self._is_known(Request(scope)):
            await self._app(scope, receive, send)
        elif scope["path"] == "/login":
            await self._small(scope, receive, send)
        else:
            await refuse(send, 401, "key_needed", _KEY_NEEDED, {"WWW-Authenticate": "Bearer", "Connection": "close"})

    def _is_known(self, request: Request) -> bool:
        try:
            return _scope_of(request, self._state, _bearer(request)) is not None
        except DamagedError:
            return False


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


def _needs(least: Scope) -> Callable[..., Awaitable[State]]:
    async def check(
        request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)] = None
    ) -> State:
        state = state_of(request)
        scope = scope_of(request, state, bearer.credentials if bearer else None)
        if scope is None:
            raise Problem(
                401,
                "key_needed",
                _KEY_NEEDED,
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not scope.includes(least):
            raise Problem(403, "scope_too_small", f"the key may {scope}, this needs {least}: use another key")
        return state

    return check


Reader = Annotated[State, Depends(_needs(Scope.READ))]
Writer = Annotated[State, Depends(_needs(Scope.WRITE))]
Admin = Annotated[State, Depends(_needs(Scope.ADMIN))]
