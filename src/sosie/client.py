"""A typed client of ``sosie serve``.

>>> from sosie.client import Client
>>> with Client("http://localhost:6868") as sosie:      # doctest: +SKIP
...     for hit in sosie.search("photo.jpg", k=5):
...         print(hit.score, hit.verdict, hit.uri)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sosie.errors import BadPicture, FilterError, NotFound, ServiceAway, SosieError, UsageError
from sosie.types import Box, Hit, LabelValue, SearchResult, Verdict

if TYPE_CHECKING:
    import httpx

__all__ = ["Client"]

Asked = str | os.PathLike[str] | bytes | int
_API = "/api/v1"
_ERRORS: dict[str, type[SosieError]] = {
    "bad_filter": FilterError,
    "not_found": NotFound,
    "unknown_name": NotFound,
    "query_forgotten": NotFound,
    "source_unreachable": NotFound,
}


class Client:
    """Asks a server. ``key`` is one of ``sosie keys create``; constructing it connects to nothing. Thread-safe.

    Methods raise what the library itself raises: BadPicture, FilterError, NotFound, UsageError; and ServiceAway where
    the server does not answer or has too much to do.
    """

    def __init__(
        self, address: str = "http://localhost:6868", *, key: str | None = None, timeout: float = 60.0
    ) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def search(
        self,
        query: Asked | None = None,
        *,
        text: str = "",
        k: int = 10,
        where: str = "",
        box: Box | None = None,
        class_first: bool = False,
        min_class: float = 0.5,
        min_likeness: float | None = None,
    ) -> SearchResult:
        """Return the pictures most like ``query``: a path, a picture's bytes, or the id of a picture there.

        ``text`` searches by words, or adds them to the picture, sentences where the server's model has a text tower.
        ``class_first`` searches within the class that the library's classifier gives the query; ``min_likeness`` leaves
        out what is only alike, with a score below it.
        """
        asked = {"k": k, "where": where, "text": text, "box": ",".join(map(str, box)) if box else ""}
        asked |= {"class_first": class_first, "min_class": min_class} if class_first else {}
        asked |= {} if min_likeness is None else {"min_likeness": min_likeness}
        return _result(
            self._json("GET", "search", params=asked) if query is None else self._ask("search", query, asked)
        )

    def classify(self, query: Asked, *, k: int = 10) -> dict[str, Any]:
        """Return the ``k`` likeliest classes of ``query`` with their probabilities, by the library's classifier."""
        return self._ask("classify", query, {"k": k})

    def copies(self, query: Asked, *, k: int = 10) -> SearchResult:
        """Return what ``query`` is an altered copy of, surest first."""
        return _result(self._ask("copies", query, {"k": k}))

    def compare(self, first: int, second: int) -> dict[str, Any]:
        """Return the verdict on two pictures of the library, its evidence and its certificate."""
        return self._json("GET", "compare", params={"a": first, "b": second})

    def add(self, picture: str | os.PathLike[str] | bytes, *, labels: Mapping[str, LabelValue] | None = None) -> int:
        """Add one picture and return its id; the same bytes are never stored twice."""
        import json

        values = {name: list(v) if isinstance(v, tuple) else v for name, v in (labels or {}).items()}
        found = self._json("POST", "pictures", files=_upload(picture), data={"labels": json.dumps(values)})
        return int(found["id"])

    def info(self) -> dict[str, Any]:
        """Return what the library holds, how it answers, and the recall of its searches."""
        return self._json("GET", "info")

    def picture(self, content_id: int) -> dict[str, Any]:
        """Return what is known of a picture."""
        return self._json("GET", f"pictures/{content_id}")

    def pictures(self, *, where: str = "") -> Iterator[dict[str, Any]]:
        """Yield every picture of the library, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self._json("GET", "pictures", params={"where": where, "cursor": cursor, "k": 200})
            yield from page["pictures"]
            cursor = page["next_cursor"]

    def thumbnail(self, content_id: int) -> bytes:
        """Return a JPEG of at most 256 pixels."""
        return self._send("GET", f"pictures/{content_id}/thumbnail").content

    def set_labels(self, content_id: int, labels: Mapping[str, LabelValue | None]) -> None:
        """Set labels of a picture, or with None remove them."""
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in labels.items()}
        self._send("PUT", f"pictures/{content_id}/labels", json={"labels": values})

    def remove(self, content_id: int) -> None:
        """Take a picture out of the library."""
        self._send("DELETE", f"pictures/{content_id}")

    def _ask(self, what: str, query: Asked, asked: Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(query, int):
            return self._json("GET", what, params={**asked, "id": query})
        return self._json("POST", what, files=_upload(query), data=dict(asked))

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._send(method, path, **request).json()
        return found

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        import httpx

        try:
            answer = self._http.request(method, f"{_API}/{path}", **request)
        except httpx.TransportError as error:
            raise ServiceAway(f"{self._http.base_url} does not answer ({error}): is `sosie serve` running?") from error
        if not answer.is_success:
            raise _error(answer)
        return answer


def _upload(picture: str | os.PathLike[str] | bytes) -> dict[str, tuple[str, bytes]]:
    if isinstance(picture, bytes):
        return {"picture": ("upload", picture)}
    path = Path(picture)
    if not path.is_file():
        raise NotFound(f"there is no picture at {path}: check the path")
    return {"picture": (path.name, path.read_bytes())}


def _result(found: Mapping[str, Any]) -> SearchResult:
    hits, asked = tuple(_hit(hit) for hit in found["hits"]), found.get("asked", {})
    return SearchResult(
        found["query"], hits, found["took_ms"], found["index"], asked, found.get("took", {}), found.get("answered")
    )


def _hit(found: Mapping[str, Any]) -> Hit:
    labels = {name: tuple(v) if isinstance(v, list) else v for name, v in found["labels"].items()}
    region = tuple(found["region"]) if found["region"] else None
    known = {field.name for field in fields(Hit)}  # a newer server may say more
    given = {name: value for name, value in found.items() if name in known}
    return Hit(**{**given, "verdict": Verdict(found["verdict"]), "labels": labels, "region": region})


def _error(answer: httpx.Response) -> SosieError:
    try:
        problem = answer.json()
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return ServiceAway(f"the server answered {answer.status_code} and not as Sosie does: check the address")
    if code in ("bad_picture", "bad_address"):
        refused = BadPicture(str(problem.get("reason", code)), detail)
        refused.args = (detail,)  # which begins with the name of the picture, and says the reason
        return refused
    if answer.status_code in (429, 503):
        return ServiceAway(detail)
    return _ERRORS.get(code, UsageError)(detail)
