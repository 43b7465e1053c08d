"""Ask the library a question of the API or the page, and cut the answer into pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sosie.analysis.regions import Parts
from sosie.indexes.params import read_params
from sosie.query.encode import Asked, with_words
from sosie.server.cursors import decode_cursor, encode_cursor
from sosie.server.problems import Problem
from sosie.server.state import State
from sosie.server.uploads import find_upload, keep_upload
from sosie.types import Box, Region, SearchResult

__all__ = ["DEEPEST", "Page", "Question", "answer", "objects_of"]

DEEPEST = 1000  # hits of one question, all pages together


@dataclass(frozen=True, slots=True)
class Question:
    """What to search with (a picture's id, or the token of a kept query, or words, or both), and among what."""

    id: int | None = None
    query: str | None = None
    box: Box | None = None
    where: str | None = None
    k: int = 10
    text: str | None = None
    verify: bool = True
    objects: bool = False
    object: int | None = None
    mask: str | None = None
    index_params: str = ""  # name=value, with commas between

    @property
    def parts(self) -> Parts:
        """What is taken of the query."""
        return Parts(self.box, self.objects, self.object, self.mask or None)

    @property
    def given(self) -> bool:
        """Whether there is something to search with."""
        return self.pictured or self.words is not None

    @property
    def pictured(self) -> bool:
        """Whether there is a picture to search with."""
        return self.id is not None or self.query is not None

    @property
    def words(self) -> str | None:
        """The words to search with, if there are any."""
        return self.text if self.text and self.text.strip() else None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the answer, and the cursor of the next."""

    result: SearchResult
    next_cursor: str | None


async def answer(state: State, question: Question, cursor: str | None = None, *, upload: bytes | None = None) -> Page:
    """Return one page of the answer; raise Problem 400 without something, or with two pictures, to search with.

    ``upload`` is a picture to keep and to search with, in place of a query that is kept.
    """
    if upload is not None:
        question = replace(question, query=(await keep_upload(state, upload)).token)
    if not question.given or (question.id is not None and question.query is not None):
        raise Problem(400, "bad_request", "search with `id` or with `query`, one of them, or with `text`, or both")
    at = decode_cursor(cursor, question)
    wanted = min(at + question.k, DEEPEST)
    if wanted <= at:
        raise Problem(400, "bad_cursor", f"an answer ends after {DEEPEST} hits: narrow it with `where`")
    if question.query and upload is None:
        upload = (await find_upload(state, question.query)).data
    found = await _search(state, replace(question, k=wanted), upload)
    state.metrics.observe("sosie_search_seconds", {"by": _kind(question)}, found.took_ms / 1000)
    more = len(found.hits) >= wanted and wanted < DEEPEST
    name = (question.query or str(question.id)) if question.pictured else f"text:{question.words}"
    page = replace(found, query=name, hits=found.hits[at:])
    return Page(page, encode_cursor(wanted, question) if more else None)


async def _search(state: State, question: Question, upload: bytes | None) -> SearchResult:
    """Search along with those who ask alike at that moment: they share the network and the catalogue's answers."""
    state.work.check_room()  # or what is refused would be decoded all the same
    decoding = None if upload is None else state.library.decode_ahead(upload, whole=not question.parts.given)
    where = question.where if question.where and question.where.strip() else None
    index_params = read_params(question.index_params.split(",")) if question.index_params.strip() else None

    def search(asked: Sequence[Asked]) -> list[SearchResult]:
        return state.library.search_many(
            asked,
            k=question.k,
            where=where,
            parts=question.parts,
            verify=question.verify,
            index_params=index_params,
        )

    # The vector of a picture of the library is stored; a part of it is taken from the picture itself.
    queue = state.sources if upload is None and question.id is not None and question.parts.given else state.work
    return await queue.run_alike(
        (_kind(question), replace(question, id=None, query=None)),
        with_words(question.id if decoding is None else decoding, question.words),
        search,
        after=None if decoding is None else decoding.future,
    )


async def objects_of(state: State, question: Question) -> list[Region]:
    """Return the objects in the picture that a question is about; raise UsageError without a detector."""
    if (question.id is None) == (question.query is None):
        raise Problem(400, "bad_request", "ask about `id` or about `query`, one of them")
    subject: bytes | int = (await find_upload(state, question.query)).data if question.query else question.id or 0
    return await state.reading(subject).run(lambda: state.library.detect(subject))


def _kind(question: Question) -> str:
    subject = "upload" if question.query else "id" if question.pictured else "text"
    return f"{subject}_box" if question.parts.given else subject
