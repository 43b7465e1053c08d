"""``create_app``: one library as a FastAPI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import sosie
from sosie.server import openapi, problems
from sosie.server.auth import KeyFirst
from sosie.server.bodies import FORM_LIMITS
from sosie.server.compression import Compress
from sosie.server.config import Guard, ServerSettings
from sosie.server.guards import HostGuard, OriginGuard, PublicScheme, SecureHeaders
from sosie.server.limits import HeaderLimits, Intake, NameCaller, RateLimit
from sosie.server.methods import HeadAsGet
from sosie.server.observe import Observe, Unexpected
from sosie.server.problems import Answer
from sosie.server.rendering import error_page
from sosie.server.routes import (
    browse,
    bulk,
    classify,
    copies,
    health,
    jobs,
    log,
    maps,
    pages,
    pictures,
    quarantine,
    reports,
    results,
    review,
    search,
)
from sosie.server.state import State, make_state
from sosie.server.streams import Pieces
from sosie.server.strict import only_known

if TYPE_CHECKING:
    from sosie.library import Library
    from sosie.sources.web.addresses import Internet

__all__ = ["create_app"]

_ABOUT = """Reverse image search on your own pictures.

Every error is a problem document (RFC 9457) with a stable `code`. A parameter that is not known is
refused. HEAD is answered wherever GET is. Pages follow each other by `cursor`: give `next_cursor` of one page, and
otherwise the same parameters, to get the next.
"""


def create_app(
    library: Library, *, settings: ServerSettings | None = None, internet: Internet | None = None
) -> FastAPI:
    """Return the app that serves ``library``, which stays the caller's to close.

    ``internet`` is how addresses are fetched; tests give one of their own. Nothing starts until the
    app does, except that settings are checked.
    """
    settings = settings or ServerSettings()
    state = make_state(library, settings, internet)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await state.light.run(lambda: jobs.take_up(state))
        warm = asyncio.create_task(state.work.run(library.engine.warm_up))
        yield
        state.closing.set()
        await asyncio.gather(warm, return_exceptions=True)
        state.close()

    app = FastAPI(
        title="Sosie",
        version=sosie.__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # its scripts come from another host
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        form_limits={
            "max_files": FORM_LIMITS["max_files"],
            "max_fields": FORM_LIMITS["max_fields"],
            "max_part_size": FORM_LIMITS["max_part_size"],
        },
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.sosie = state
    answer = problems.install(app, page=error_page, refused=state.metrics.refused)
    for module in (search, classify, copies, pictures, bulk, maps, jobs, quarantine, log):
        app.include_router(module.router, dependencies=[Depends(only_known)])
    for module in (health, results, pages, browse, review, reports):
        app.include_router(module.router)
    app.include_router(log.pages)
    pages.mount_static(app)
    _protect(app, state, answer)
    openapi.install(app, url=settings.public_url)
    return app


def _protect(app: FastAPI, state: State, answer: Answer) -> None:
    """Wrap the app, innermost first: what is added last sees a request first."""
    settings = state.settings
    guards = settings.guards
    deadline = Guard.DEADLINE in guards
    app.add_middleware(Compress)
    app.add_middleware(NameCaller)
    app.add_middleware(KeyFirst, state=state)
    app.add_middleware(Unexpected, answer=answer)  # around what asks the library for keys: a cluster may be away
    app.add_middleware(
        Intake,
        most=settings.max_body if Guard.BODY in guards else None,
        idle=settings.idle_timeout if deadline else None,
        total=settings.body_timeout if deadline else None,
    )
    if settings.rate is not None:
        app.add_middleware(RateLimit, rate=settings.rate, burst=settings.burst)
    if settings.origins:
        _share(app, settings)
    if Guard.ORIGIN in guards:
        app.add_middleware(OriginGuard, allowed=frozenset(settings.origins) | settings.own_origins)
    if Guard.HOST in guards:
        app.add_middleware(HostGuard, allowed=settings.allowed_hosts)
    if Guard.HEADERS in guards:
        app.add_middleware(HeaderLimits, most=settings.max_headers, total=settings.max_header_bytes)
    app.add_middleware(SecureHeaders)
    if settings.public_url:
        app.add_middleware(PublicScheme, url=settings.public_url)
    if settings.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies))
    app.add_middleware(Pieces)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Observe, metrics=state.metrics, log=state.log)


def _share(app: FastAPI, settings: ServerSettings) -> None:
    from fastapi.middleware.cors import CORSMiddleware

    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match", "Range"],
        expose_headers=["ETag", "Content-Range", "Accept-Ranges", "Retry-After"],
    )
