"""Download many pictures at once, politely, and hand them over as they come."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from sosie.errors import BadPicture
from sosie.sources.web.addresses import Internet
from sosie.sources.web.validators import Validators
from sosie.types import ImageRef

if TYPE_CHECKING:
    from sosie.sources.web.client import Limits, Response, SafeClient

__all__ = ["Download", "Downloads", "Outcome", "Politeness", "refusal"]

Outcome: TypeAlias = bytes | BadPicture


@runtime_checkable
class Downloads(Protocol):
    """A source that says how its pictures are downloaded, so that others can do it the same way."""

    @property
    def download(self) -> Download: ...


_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REASONS = {401: "forbidden", 403: "forbidden", 404: "gone", 410: "gone", 451: "forbidden"}


@dataclass(frozen=True, slots=True)
class Politeness:
    """How hard servers are pressed."""

    concurrency: int = 32
    per_host: int = 6
    tries: int = 3
    backoff: float = 0.5  # seconds before the second try; doubled before each further one
    max_wait: float = 60.0  # a longer Retry-After is taken as a refusal
    give_up_after: int = 8  # failed connections in a row until a host counts as down
    down_for: float = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Download:
    """Downloads references with http and https URIs.

    ``window`` bounds how many are under way or waiting to be taken, and so the memory. ``allow_private`` is
    for one's own intranet.
    """

    limits: Limits | None = None
    politeness: Politeness = field(default_factory=Politeness)
    internet: Internet = field(default_factory=Internet)
    validators: Validators | None = None

    @property
    def window(self) -> int:
        return 2 * self.politeness.concurrency

    def stream(
        self,
        refs: Iterable[ImageRef],
        *,
        wanted: Callable[[ImageRef], bool] = lambda _: True,
        known: Callable[[ImageRef], bool] = lambda _: False,
        read_file: Callable[[ImageRef], Outcome] | None = None,
    ) -> Iterator[tuple[ImageRef, Outcome | None]]:
        """Yield every reference once, in the order in which they are done.

        With bytes, with a BadPicture that says why there are none, or with None for what is unwanted or
        unchanged. ``known`` says which the caller holds already: only those are asked for with
        ``validators``, so that a picture which was fetched but never stored is fetched again. ``read_file``
        reads what is not in the web. Closing the iterator ends every download.
        """
        with _Downloads(self) as downloads:
            for ref in refs:
                if not wanted(ref):
                    yield ref, None
                elif read_file is not None and not ref.uri[:8].lower().startswith(("http://", "https://")):
                    yield ref, read_file(ref)
                else:
                    yield from downloads.take(room=self.window - 1)
                    downloads.start(ref, known=known(ref))
            yield from downloads.take(room=0)


class _Downloads:
    """An event loop in a thread, what it is to do, and what it has done."""

    def __init__(self, settings: Download) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._done: queue.SimpleQueue[tuple[ImageRef, Outcome | BaseException | None]] = queue.SimpleQueue()
        self._under_way = 0
        self._thread = threading.Thread(target=self._run, name="sosie-download", daemon=True)
        self._fetcher: _Fetcher | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> _Downloads:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def start(self, ref: ImageRef, *, known: bool) -> None:
        self._under_way += 1
        self._loop.call_soon_threadsafe(self._start, ref, known)

    def take(self, *, room: int) -> Iterator[tuple[ImageRef, Outcome | None]]:
        """Yield what is done, and wait until no more than ``room`` are left."""
        while self._under_way:
            try:
                ref, outcome = self._done.get(block=self._under_way > room)
            except queue.Empty:
                return
            self._under_way -= 1
            if isinstance(outcome, BaseException) and not isinstance(outcome, BadPicture):
                raise outcome
            yield ref, outcome

    # -------------------------------------------------------------------------------------------- in the
    # thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _start(self, ref: ImageRef, known: bool) -> None:
        self._fetcher = self._fetcher or _Fetcher(self._settings)
        task = self._loop.create_task(self._report(ref, self._fetcher.fetch(ref, known=known)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self, ref: ImageRef, work: Coroutine[None, None, Outcome | None]) -> None:
        try:
            self._done.put((ref, await work))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._done.put((ref, error))

    async def _close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._fetcher is not None:
            await self._fetcher.aclose()
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


class _Host:
    """What is known of one server: how many ask it now, and whether it answers."""

    def __init__(self, politeness: Politeness) -> None:
        self.slots = asyncio.Semaphore(politeness.per_host)
        self._politeness = politeness
        self._failures = 0
        self._down_until = 0.0

    @property
    def down(self) -> bool:
        return time.monotonic() < self._down_until

    @property
    def doubtful(self) -> bool:
        """Another try is not worth the wait while nothing gets through."""
        return self._failures >= self._politeness.per_host

    def answered(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= self._politeness.give_up_after:
            self._down_until = time.monotonic() + self._politeness.down_for


class _Fetcher:
    """Fetches one reference: slots, tries, waits."""

    def __init__(self, settings: Download) -> None:
        from sosie.sources.web.client import SafeClient

        self._settings = settings
        self._politeness = settings.politeness
        self._all = asyncio.Semaphore(self._politeness.concurrency)
        self._hosts: dict[str, _Host] = {}
        self._client: SafeClient = SafeClient(
            limits=settings.limits,
            internet=settings.internet,
            max_connections=self._politeness.concurrency,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def fetch(self, ref: ImageRef, *, known: bool = False) -> Outcome | None:
        """Return the picture's bytes, why there are none, or None where it has not changed."""
        from sosie.sources.web.client import checked_url

        try:
            host = self._host(checked_url(ref.uri).netloc.decode("ascii"))
        except BadPicture as error:
            return error
        failure: BadPicture = BadPicture("unreachable")
        for attempt in range(self._politeness.tries):
            if host.down:
                return BadPicture("host_down", "the server has not answered several times in a row")
            async with host.slots, self._all:
                outcome = await self._try(ref, host, known)
            if not isinstance(outcome, _Again):
                return outcome
            failure = outcome.why
            wait = max(outcome.after, self._politeness.backoff * 2**attempt)
            if attempt + 1 == self._politeness.tries or host.doubtful or wait > self._politeness.max_wait:
                break
            await asyncio.sleep(wait)
        return failure

    def _host(self, name: str) -> _Host:
        if len(self._hosts) > 10_000:  # the web is large; forgetting costs nothing but politeness at its edges
            self._hosts.clear()
        return self._hosts.setdefault(name, _Host(self._politeness))

    async def _try(self, ref: ImageRef, host: _Host, known: bool) -> Outcome | _Again | None:
        import httpx

        validators = self._settings.validators
        try:
            headers = validators.headers(ref.uri) if validators and known else None
            response = await self._client.get(ref.uri, headers=headers)
        except BadPicture as error:
            return error
        except httpx.TimeoutException as error:
            host.failed()
            return _Again(BadPicture("timeout", str(error)))
        except httpx.ConnectError as error:
            host.failed()
            return _Again(BadPicture("unreachable", str(error)))
        except httpx.TransportError as error:
            return _Again(BadPicture("broken_connection", str(error)))
        host.answered()
        return self._judge(ref, response)

    def _judge(self, ref: ImageRef, response: Response) -> Outcome | _Again | None:
        from sosie.sources.web.headers import retry_after

        if response.status == 304:
            return None
        if response.status in _TRY_AGAIN:
            why = BadPicture(f"http_{response.status}", "the server asks to try again later")
            return _Again(why, retry_after(response.headers.get("Retry-After")))
        refused = refusal(response)
        if refused is None and self._settings.validators is not None:
            self._settings.validators.remember(ref.uri, response.headers)
        return refused or response.data


def refusal(response: Response) -> BadPicture | None:
    """Return why a response is no picture that may be taken, or None."""
    from sosie.sources.web.headers import opted_out

    if response.status != 200:
        reason = _REASONS.get(response.status, f"http_{response.status}")
        return BadPicture(reason, f"the server said {response.status}")
    if opted_out(response.headers.get_list("X-Robots-Tag")):
        return BadPicture("opted_out", "X-Robots-Tag asks not to index this picture")
    if not response.data:
        return BadPicture("empty", "0 bytes")
    if response.data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return BadPicture("not_a_picture", "the server sent a web page")
    return None


@dataclass(frozen=True, slots=True)
class _Again:
    """A failure that another try may mend, and how many seconds to wait at least."""

    why: BadPicture
    after: float = 0.0
