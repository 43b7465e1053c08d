"""What a crawl has seen and has still to do, kept in a journal so that a killed crawl goes on where it was."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sosie import files
from sosie.errors import UsageError

__all__ = ["Budget", "Frontier", "Job"]

_MAX_FRONTIER = 200_000
_PAGES_OF_PATH = 100  # pages that differ only in their query: a calendar has no end
_COSTLESS = frozenset({"robots", "robots_unreachable", "private_address", "bad_url"})  # nobody was asked for the page
_REPEATS = 3  # of one part of a path: /a/a/a/a is a link that is relative by mistake


@dataclass(frozen=True, slots=True)
class Budget:
    """When a crawl ends at the latest."""

    pages: int = 500
    depth: int = 3  # links to follow from the start
    hosts: int = 20  # whose pages are read
    pictures: int = 10_000


@dataclass(frozen=True, slots=True)
class Job:
    """A page to read, or a picture to fetch with its labels."""

    url: str
    depth: int = 0
    picture: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


class Frontier:
    """Jobs in the order in which they were found, pictures first; every URL once.

    A page is written to ``journal`` when it has been read, with all that was found on it, so that no page is
    read twice. Pictures are not: whoever stores them knows which are stored.
    """

    def __init__(self, start: str, budget: Budget, *, same_site: bool, journal: Path | None) -> None:
        self._start = start
        self._budget = budget
        self._site = _site(start) if same_site else ""
        self._journal = journal
        self._jobs: deque[Job] = deque()
        self._pages: set[str] = set()
        self._pictures: set[str] = set()
        self._hosts: set[str] = set()
        self._paths: Counter[str] = Counter()
        self.begun = 0
        self._replay()

    def __len__(self) -> int:
        return len(self._jobs)

    def next(self) -> Job | None:
        """Return the next job that the budget allows."""
        while self._jobs:
            job = self._jobs.popleft()
            if job.picture:
                return job
            if self.begun < self._budget.pages:
                self.begun += 1
                return job
        return None

    def read(self, job: Job, *, links: list[str], pictures: list[Job]) -> None:
        """Note that a page was read, and what was found on it."""
        self._write(
            {"page": job.url, "depth": job.depth, "links": links, "pictures": [[p.url, p.labels] for p in pictures]}
        )
        self._found(job.depth, links, pictures)

    def refused(self, job: Job, reason: str) -> None:
        """Note that a page cannot be read."""
        self.begun -= reason in _COSTLESS
        self._write({"page": job.url, "depth": job.depth, "refused": reason})

    def finish(self) -> None:
        """Note that nothing is left; the next crawl begins anew."""
        self._write({"finished": True})

    def _found(self, depth: int, links: list[str], pictures: list[Job]) -> None:
        fresh = [job for job in pictures if job.url not in self._pictures]
        for job in reversed(fresh[: max(0, self._budget.pictures - len(self._pictures))]):
            self._pictures.add(job.url)
            self._jobs.appendleft(job)
        if depth < self._budget.depth:
            for link in links:
                self._add_page(link, depth + 1)

    def _add_page(self, url: str, depth: int) -> None:
        if url in self._pages or len(self._jobs) >= _MAX_FRONTIER or not self._may_read(url):
            return
        self._pages.add(url)
        self._jobs.append(Job(url, depth))

    def _may_read(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        host = (parts.hostname or "").lower()
        if self._site and host != self._site and not host.endswith("." + self._site):
            return False
        if host not in self._hosts and len(self._hosts) >= self._budget.hosts:
            return False
        folders = Counter(part for part in parts.path.split("/") if part)
        path = f"{host}{parts.path}"
        if max(folders.values(), default=0) > _REPEATS or self._paths[path] >= _PAGES_OF_PATH:
            return False
        self._hosts.add(host)
        self._paths[path] += 1
        return True

    # -------------------------------------------------------------------------------------------- the journal

    def _replay(self) -> None:
        """Take up where the journal ends; a finished one, or none, begins anew."""
        lines = list(self._lines())
        if lines and lines[0].get("crawl") != self._start:
            raise UsageError(f"{self._journal} belongs to a crawl of {lines[0].get('crawl')}; name another file")
        if lines and lines[-1].get("finished"):
            lines = []
        if not lines and self._journal is not None:
            files.make_folder(self._journal.parent)
            files.write(self._journal, json.dumps({"crawl": self._start}) + "\n")
        self._add_page(self._start, 0)
        for line in lines:
            if "links" in line:
                pictures = [Job(url, picture=True, labels=labels) for url, labels in line["pictures"]]
                self._found(int(line["depth"]), list(line["links"]), pictures)
        read = {str(line["page"]) for line in lines if "page" in line}
        self._jobs = deque(job for job in self._jobs if job.picture or job.url not in read)
        self.begun = len(read) - sum(line.get("refused") in _COSTLESS for line in lines)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self._journal is None or not self._journal.exists():
            return
        with self._journal.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    found = json.loads(line)
                except ValueError:  # torn by a kill
                    continue
                if isinstance(found, dict):
                    yield found

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._journal is not None:
            with self._journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _site(url: str) -> str:
    host = (urlsplit(url).hostname or "").lower()
    return host.removeprefix("www.")
