"""Pictures from addresses that somebody typed: fetched within limits, from the public internet alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sosie.errors import BadPicture
from sosie.server.problems import Problem

if TYPE_CHECKING:
    from sosie.sources.web.addresses import Internet

__all__ = ["Remote"]

_AT_ONCE = 8
_PATIENCE = 30.0


class Remote:
    """Fetch one picture at a time for each caller, a few at once in all."""

    def __init__(self, *, max_bytes: int, internet: Internet | None = None) -> None:
        self._max_bytes = max_bytes
        self._internet = internet
        self._running = 0

    async def fetch(self, url: str) -> bytes:
        """Return the bytes at a URL; raise BadPicture where there is no picture to be had, Problem 503 when busy."""
        import httpx

        from sosie.sources.web.client import Limits, SafeClient

        if self._running >= _AT_ONCE:
            raise Problem(503, "busy", "too many addresses are being fetched: try again", headers={"Retry-After": "2"})
        self._running += 1
        try:
            async with SafeClient(
                limits=Limits(total=_PATIENCE, max_bytes=self._max_bytes), internet=self._internet
            ) as client:
                response = await client.get(url)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise BadPicture("unreachable", f"the address does not answer ({type(error).__name__})") from error
        finally:
            self._running -= 1
        if response.status != 200:
            raise BadPicture(f"http_{response.status}", "the address answers with an error: check it in a browser")
        if not response.data:
            raise BadPicture("empty", "the address gives no bytes")
        return response.data
