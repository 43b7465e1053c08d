"""Pictures of a website: its pages are read politely, its pictures come with what is written about them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sosie.errors import BadPicture, SourceUnreachable
from sosie.sources.bridge import iterate
from sosie.sources.options import SourceOptions
from sosie.sources.web.addresses import Internet
from sosie.sources.web.download import Download, Outcome
from sosie.sources.web.frontier import Budget, Frontier, Job
from sosie.sources.web.html import parse_page
from sosie.sources.web.links import Wanted, uri_of_link
from sosie.sources.web.sitemap import is_sitemap, parse_sitemap
from sosie.types import ImageRef

if TYPE_CHECKING:
    from sosie.sources.web.client import Limits, Response
    from sosie.sources.web.robots import Robots

__all__ = ["CrawlSource", "Policy", "open_web"]

_PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"\0\0\0")
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
_DOWN_AFTER = 5  # failures in a row until a host is left alone


@dataclass(frozen=True, slots=True)
class Policy:
    """How a crawl behaves. ``delay`` is in seconds between two requests to one host; robots.txt may ask for more."""

    budget: Budget = field(default_factory=Budget)
    delay: float = 1.0
    per_host: int = 1
    concurrency: int = 8
    same_site: bool = True
    max_wait: float = 60.0


class CrawlSource:
    """Iterates the pictures of a page, a sitemap, or all that can be reached from it within ``policy.budget``.

    Pages stay on the site of ``start`` unless the policy says otherwise; pictures may lie anywhere.
    robots.txt holds for both, everywhere. Each picture is labelled with ``page``, ``site``, ``title``,
    ``alt`` and ``caption``. With a ``journal``, a crawl that was killed goes on; no page is read twice.
    ``refused`` counts the pages that were not read, by reason.
    """

    def __init__(
        self,
        start: str,
        *,
        policy: Policy | None = None,
        limits: Limits | None = None,
        internet: Internet | None = None,
        journal: Path | None = None,
    ) -> None:
        self._start = uri_of_link(start, None) or start
        self._policy = policy or Policy()
        self._limits = limits
        self._internet = internet or Internet()
        self._journal = journal
        self.refused: Counter[str] = Counter()
        self.pages = 0
        self.partial = True  # a website is never seen whole: what was not met is not gone

    @property
    def root(self) -> str:
        return self._start

    def __iter__(self) -> Iterator[ImageRef]:
        """Yield references; pages are read, pictures are not. Raises SourceUnreachable where the start cannot be."""
        return (ref for ref, _ in self.stream(lambda _: False))

    def read(self, ref: ImageRef) -> bytes:
        ((_, outcome),) = Download(limits=self._limits, internet=self._internet).stream([ref])
        if isinstance(outcome, BadPicture):
            raise outcome
        return outcome or b""

    def stream(self, wanted: Wanted, known: Wanted = lambda _: False) -> Iterator[tuple[ImageRef, Outcome | None]]:
        """Yield every picture once, as it is found: with its bytes, with why there are none, or None if unwanted."""
        self.refused, self.pages = Counter(), 0
        return iterate(lambda: self._crawl(wanted), room=2 * self._policy.concurrency)

    async def _crawl(self, wanted: Wanted) -> AsyncGenerator[tuple[ImageRef, Outcome | None], None]:
        frontier = Frontier(self._start, self._policy.budget, same_site=self._policy.same_site, journal=self._journal)
        crawler = _Crawler(self._policy, self._limits, self._internet)
        running: dict[asyncio.Task[_Found], Job] = {}
        try:
            while True:
                while len(running) < self._policy.concurrency and (job := frontier.next()):
                    ref = ImageRef(job.url, job.labels)
                    if job.picture and not wanted(ref):
                        yield ref, None
                    else:
                        running[asyncio.create_task(crawler.visit(job))] = job
                if not running:
                    break
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    for found in self._take(frontier, running.pop(task), task.result(), wanted):
                        yield found
            frontier.finish()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await crawler.aclose()

    def _take(
        self, frontier: Frontier, job: Job, found: _Found, wanted: Wanted
    ) -> Iterator[tuple[ImageRef, Outcome | None]]:
        """Hand on a picture, or note what a page holds."""
        if job.picture:
            assert found.picture is not None
            yield ImageRef(job.url, job.labels), found.picture
        elif isinstance(found.picture, BadPicture):
            frontier.refused(job, found.picture.reason)
            self.refused[found.picture.reason] += 1
            if job.url == self._start:
                raise SourceUnreachable(f"{self._start} cannot be read ({found.picture}); nothing to start from")
        else:
            self.pages += 1
            frontier.read(job, links=found.links, pictures=found.pictures)
            if found.picture is not None:  # the start was a picture itself
                ref = ImageRef(job.url)
                yield ref, found.picture if wanted(ref) else None


def open_web(spec: str, options: SourceOptions) -> CrawlSource:
    """Open a web address: the pictures of that page, of that sitemap's pages, or that picture."""
    options.only("a web address")
    return CrawlSource(
        spec, policy=Policy(budget=Budget(depth=0)), internet=Internet(allow_private=options.allow_private)
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a visit gave: a picture or why there is none; links and pictures of a page."""

    picture: Outcome | None = None
    links: list[str] = field(default_factory=list)
    pictures: list[Job] = field(default_factory=list)


class _Site:
    """One origin: its rules, and whose turn it is."""

    def __init__(self, policy: Policy) -> None:
        self.slots = asyncio.Semaphore(policy.per_host)
        self.robots: asyncio.Task[Robots] | None = None
        self.failures = 0
        self._next = 0.0

    async def wait(self, delay: float) -> None:
        """Wait until ``delay`` seconds have gone since the request before."""
        now = time.monotonic()
        at = max(now, self._next)
        self._next = at + delay
        await asyncio.sleep(at - now)


class _Crawler:
    """Visits pages and pictures, each host at its own pace."""

    def __init__(self, policy: Policy, limits: Limits | None, internet: Internet) -> None:
        from sosie.sources.web.client import SafeClient

        self._policy = policy
        self._client = SafeClient(limits=limits, internet=internet, max_connections=2 * policy.concurrency)
        self._sites: dict[str, _Site] = {}

    async def aclose(self) -> None:
        tasks = [site.robots for site in self._sites.values() if site.robots is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def visit(self, job: Job) -> _Found:
        """Fetch a picture, or a page and what it holds; never raises for what is wrong with the web."""
        try:
            response = await self._get(job.url)
            if job.picture:
                return _Found(picture=_picture(response))
            return _understood(response, job)
        except BadPicture as error:
            return _Found(picture=error)

    async def _get(self, url: str) -> Response:
        import httpx

        from sosie.sources.web.headers import retry_after

        site, delay = await self._permission(url)
        for last in (False, True):
            if site.failures >= _DOWN_AFTER:
                raise BadPicture("host_down", "the server has not answered several times in a row")
            async with site.slots:
                await site.wait(delay)
                try:
                    response = await self._client.get(url, on_redirect=self._allow)
                except httpx.TransportError as error:
                    site.failures += 1
                    if last:
                        raise BadPicture("unreachable", str(error)) from error
                    continue
            site.failures = 0
            wait = retry_after(response.headers.get("Retry-After"))
            if last or response.status not in _TRY_AGAIN or wait > self._policy.max_wait:
                return response
            await asyncio.sleep(wait)
        raise AssertionError("the second try returns or raises")

    async def _permission(self, url: str) -> tuple[_Site, float]:
        """Return the site of a URL and the delay to keep; raise BadPicture ``robots``."""
        from sosie.sources.web.client import checked_url
        from sosie.sources.web.robots import fetch_robots

        parsed = checked_url(url)
        origin = f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"
        site = self._sites.setdefault(origin, _Site(self._policy))
        if site.robots is None:
            site.robots = asyncio.create_task(fetch_robots(self._client, origin))
        robots = await asyncio.shield(site.robots)
        if robots.unreachable == "private_address":
            raise BadPicture("private_address", f"{origin} is not on the public internet")
        if robots.unreachable:
            raise BadPicture("robots_unreachable", f"robots.txt of {origin}: {robots.unreachable}")
        if not robots.allows(str(parsed)):
            raise BadPicture("robots", "robots.txt asks to stay away")
        return site, max(self._policy.delay, robots.delay)

    async def _allow(self, url: str) -> None:
        await self._permission(url)


def _picture(response: Response) -> Outcome:
    from sosie.sources.web.download import refusal

    return refusal(response) or response.data


def _understood(response: Response, job: Job) -> _Found:
    """Tell what a document is by what it holds, and take from it what there is."""
    from sosie.sources.web.headers import opted_out

    if response.status != 200:
        raise BadPicture(f"http_{response.status}", f"the server said {response.status}")
    data, kind = response.data, response.headers.get("Content-Type", "").lower()
    if is_sitemap(data):
        return _sitemap(response)
    is_page = "html" in kind or data[:512].lstrip().startswith(b"<")
    if data.startswith(_PICTURE_STARTS) or (kind.startswith("image/") and not is_page):
        return _Found(picture=_picture(response))
    if not is_page:
        raise BadPicture("not_a_page", f"neither a page, a sitemap nor a picture: {kind[:60] or 'of no type'}")
    page = parse_page(response.data, response.url, charset=response.charset)
    index = page.index and not opted_out(response.headers.get_list("X-Robots-Tag"))
    words = {"page": response.url, "site": urlsplit(response.url).hostname or "", "title": page.title}
    pictures = [_job(found.url, {**words, "alt": found.alt, "caption": found.caption}) for found in page.pictures]
    return _Found(
        links=_unique(page.links) if page.follow else [],
        pictures=[job for job in pictures if job is not None] if index else [],
    )


def _sitemap(response: Response) -> _Found:
    found = parse_sitemap(response.data)
    pictures = [_job(url, words) for url, words in found.pictures]
    return _Found(links=_unique([*found.sitemaps, *found.pages]), pictures=[job for job in pictures if job is not None])


def _job(url: str, words: dict[str, str]) -> Job | None:
    uri = uri_of_link(url, None)
    if uri is None:
        return None
    return Job(uri, picture=True, labels={name: text for name, text in words.items() if text})


def _unique(links: list[str]) -> list[str]:
    uris = (uri_of_link(link, None) for link in links)
    return list(dict.fromkeys(uri for uri in uris if uri))
