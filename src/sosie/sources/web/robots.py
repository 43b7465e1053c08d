"""robots.txt by RFC 9309: what may be fetched, and how slowly."""

from __future__ import annotations

import re
from typing import Any

from sosie.errors import BadPicture
from sosie.sources.web.client import SafeClient

__all__ = ["AGENT", "Robots", "fetch_robots", "parse_robots"]

AGENT = "sosie"
MAX_ROBOTS = 512 * 1024  # RFC 9309 § 2.5: at least 500 KiB are read, the rest may be left
_AGENT_LINE = re.compile(r"^[ \t]*user[ -]?agent[ \t]*[: \t][ \t]*([^#\r\n]*)", re.IGNORECASE | re.MULTILINE)
_MAX_DELAY = 60.0  # a longer Crawl-delay is a way of saying no


class Robots:
    """The rules of one host: a parsed file, everything allowed, or nothing."""

    def __init__(self, rules: Any = None, *, unreachable: str = "") -> None:
        self._rules = rules
        self.unreachable = unreachable

    def allows(self, url: str) -> bool:
        """Say whether ``url`` may be fetched."""
        if self.unreachable or self.delay > _MAX_DELAY:
            return False
        return self._rules is None or bool(self._rules.can_fetch(url, AGENT))

    @property
    def delay(self) -> float:
        """Seconds to leave between two requests, where the file says so."""
        return float((self._rules.crawl_delay(AGENT) if self._rules else 0) or 0)

    @property
    def sitemaps(self) -> list[str]:
        return list(self._rules.sitemaps) if self._rules else []


async def fetch_robots(client: SafeClient, origin: str) -> Robots:
    """Fetch the rules of ``origin`` (scheme and host).

    RFC 9309 § 2.3.1: no file (4xx) allows everything; a server in trouble (5xx, no answer) allows nothing;
    429 is such trouble, too.
    """
    import httpx

    try:
        response = await client.get(f"{origin}/robots.txt", keep=MAX_ROBOTS)
    except BadPicture as error:
        return Robots(unreachable=error.reason)
    except httpx.TransportError as error:
        return Robots(unreachable=type(error).__name__)
    if response.status == 200:
        return parse_robots(response.data.decode("utf-8-sig", "replace"))
    if 400 <= response.status < 500 and response.status != 429:
        return Robots()
    return Robots(unreachable=f"http_{response.status}")


def parse_robots(text: str) -> Robots:
    """Return the rules of a file."""
    from protego import Protego

    return Robots(Protego.parse(_only_ours(text)))


def _only_ours(text: str) -> str:
    """Give one name to all the agents whose rules cannot be for us.

    The parser copies each rule to every agent of its group: thousands of agents before thousands of rules, in a file
    of 512 KiB, would cost minutes and gigabytes.
    """
    return _AGENT_LINE.sub(_renamed, text)


def _renamed(line: re.Match[str]) -> str:
    name = line[1].strip().lower()
    ours = name == "*" or name.replace("*", "") in AGENT
    return f"User-agent: {name if ours else 'another'}"
