"""Fetching files from a Hugging Face hub: resumed, measured, and held to what they were the first time.

``HF_ENDPOINT`` names a mirror, ``HF_TOKEN`` who asks, ``HF_HUB_OFFLINE`` forbids it. The protocol is the hub's own: the
headers of ``/<repo>/resolve/<revision>/<path>`` tell the commit and the size, and the file may lie elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sosie import files
from sosie.errors import NotFound, ServiceAway, SosieError, UntrustedModel
from sosie.networks.published import RemoteFile

if TYPE_CHECKING:
    import httpx

__all__ = ["Fetched", "Lock", "fetch"]

_ENDPOINT = "https://huggingface.co"
_MOST = 4 << 30  # bytes of one file
_INSTEAD = "the bundled model needs no download (`sosie models use bundled`)"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is here, the commit that it is of (its digest where it is of no hub), and its SHA-256."""

    path: Path
    commit: str
    sha256: str


class Lock:
    """What was fetched the first time: the commit and the SHA-256 of each file, in one JSON file.

    A file that comes again and is another is refused.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def known(self, file: RemoteFile) -> dict[str, str]:
        """Return the commit and the digest of a file, where they are known."""
        return dict(self._read().get(_key(file), {}))

    def hold(self, file: RemoteFile, *, commit: str, sha256: str) -> None:
        """Record what a file is, unless that is known; raise UntrustedModel where it is another one now."""
        wanted = file.sha256 or self.known(file).get("sha256")
        if wanted and wanted != sha256:
            raise UntrustedModel(
                f"{_key(file)} has SHA-256 {sha256[:12]}…, and {wanted[:12]}… is what it must have: not used. "
                f"If its publisher changed it and you trust that, delete its entry in {self.path}"
            )
        entries = self._read()
        entries.setdefault(_key(file), {"commit": commit, "sha256": sha256})
        files.make_folder(self.path.parent)
        files.write_json(self.path, dict(sorted(entries.items())))

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        try:
            return dict(json.loads(self.path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise UntrustedModel(f"{self.path} is damaged: what models were cannot be told; delete it") from error


def fetch(
    file: RemoteFile,
    folder: Path,
    lock: Lock,
    *,
    known_only: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Fetched:
    """Fetch a file into ``folder``; what an earlier try left there is gone on with.

    ``known_only`` refuses a file, such as a program, whose digest neither Sosie nor ``lock`` knew before. A revision
    that is a branch is resolved to its commit the first time and kept to. ``progress`` gets bytes done and bytes in
    all. Raises ServiceAway, NotFound, UntrustedModel.
    """
    import httpx

    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        raise ServiceAway(f"{file.name} is not here and HF_HUB_OFFLINE is set; {_INSTEAD}")
    token = None if file.host else os.environ.get("HF_TOKEN")
    headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {token}"} if token else {})}
    revision = lock.known(file).get("commit") or file.revision
    try:
        with httpx.Client(headers=headers, timeout=30) as client:
            commit, size = _look_up(client, file, revision)
            path = folder / f"{hashlib.sha256(_key(file).encode()).hexdigest()[:12]}-{commit[:12]}-{file.name}"
            folder.mkdir(parents=True, exist_ok=True)
            _download(client, _url(file, commit), path, size, progress)
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise ServiceAway(
            f"{_key(file)} cannot be fetched ({reason}): check the network or HF_ENDPOINT; {_INSTEAD}"
        ) from error
    with path.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    try:
        if known_only and not (file.sha256 or lock.known(file).get("sha256")):
            entry = json.dumps({_key(file): {"sha256": sha256}})
            raise UntrustedModel(
                f"{_key(file)} is a program and nobody here knows its SHA-256: not run. "
                f"If its publisher vouches for this one, write {entry} into {lock.path}"
            )
        lock.hold(file, commit=commit, sha256=sha256)
    except UntrustedModel:
        path.unlink()
        raise
    return Fetched(path, sha256 if file.host else commit, sha256)


def _look_up(client: httpx.Client, file: RemoteFile, revision: str) -> tuple[str, int]:
    """Return the commit that a revision stands for, and the file's size."""
    url = _url(file, revision)
    for _ in range(4):
        answer = client.head(url)
        place = answer.headers.get("location", "")
        if not answer.is_redirect or not place.startswith("/"):
            break
        moved = answer.url.join(place)  # a repository that has another name now
        if _origin(moved) != _origin(answer.url):
            break  # `//host/…` leads elsewhere, and the token is for the hub alone
        url = str(moved)
    if not (answer.is_success or answer.is_redirect):
        raise _explained(file, answer.status_code)
    commit = "0" * 40 if file.host else answer.headers.get("x-repo-commit", "")  # only a hub has commits
    size = answer.headers.get("x-linked-size") or answer.headers.get("content-length", "")
    if not re.fullmatch("[0-9a-f]{40}", commit) or not size.isdigit():
        raise ServiceAway(f"what answers at {answer.url.host} is no hub: check HF_ENDPOINT, or log in to the network")
    if int(size) > _MOST:
        raise UntrustedModel(f"{_key(file)} has {int(size):,} bytes, more than a model may have ({_MOST:,})")
    return commit, int(size)


def _download(client: httpx.Client, url: str, path: Path, size: int, progress: Callable[[int, int], None]) -> None:
    """Bring ``path`` to its whole size; a server that knows no ranges sends all of it again."""
    have = path.stat().st_size if path.exists() else 0
    if have > size:
        path.unlink()
        have = 0
    if have == size and path.exists():
        return
    wanted = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers=wanted, follow_redirects=True) as answer:
        answer.raise_for_status()
        goes_on = answer.status_code == 206 and answer.headers.get("content-range", "").startswith(f"bytes {have}-")
        done = have if goes_on else 0
        with path.open("ab" if goes_on else "wb") as target:
            for block in answer.iter_bytes():
                done += len(block)
                if done > size:
                    raise UntrustedModel(f"{path.name} is longer than the hub said ({size:,} bytes): not used")
                target.write(block)
                progress(done, size)
    if done < size:
        raise ServiceAway(f"{path.name} ended at {done:,} of {size:,} bytes: run the same command to go on")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _key(file: RemoteFile) -> str:
    return f"{file.repo}/{file.path}"


def _url(file: RemoteFile, revision: str) -> str:
    if file.host:
        return f"{file.host}/{file.repo}/{file.path}"
    endpoint = os.environ.get("HF_ENDPOINT") or _ENDPOINT
    return f"{endpoint.rstrip('/')}/{file.repo}/resolve/{revision}/{file.path}"


def _explained(file: RemoteFile, status: int) -> SosieError:
    if status in (401, 403):
        return ServiceAway(f"the hub wants to know who asks for {file.repo}: accept its terms there and set HF_TOKEN")
    if status == 404:
        return NotFound(f"the hub has no {_key(file)} at {file.revision}: its publisher moved it; {_INSTEAD}")
    return ServiceAway(f"the hub answers {status} for {_key(file)}: try again later; {_INSTEAD}")
