"""Ask the library a question of the API or the page, and cut the answer into pages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sosie.analysis.regions import Parts
from sosie.indexes.params import read_params
from sosie.query.class_first import ClassFirst
from sosie.query.encode import Asked, with_words
from sosie.query.regions import read_shares
from sosie.server.cursors import decode_place, encode_cursor
from sosie.server.lists import HitList
from sosie.server.problems import Problem
from sosie.server.state import State
from sosie.server.uploads import find_upload, keep_upload
from sosie.types import Box, Region, SearchResult

__all__ = ["DEEPEST", "Page", "Question", "answer", "objects_of"]

DEEPEST = 1000  # hits of one question, all pages together
_DEPTH = 200  # hits that a second page asks for at once


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
    class_first: bool = False
    min_class: float = 0.5
    min_likeness: float | None = None
    ids: tuple[int, ...] = ()  # several pictures of the library, whose vectors are added
    share: str = ""  # part=number, with commas between

    @property
    def parts(self) -> Parts:
        """What is taken of the query."""
        return Parts(self.box, self.objects, self.object, self.mask or None)

    @property
    def given(self) -> bool:
        """Whether there is something to search with."""
        return self.pictured or bool(self.ids) or self.words is not None

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
    """A page of the answer, the cursor of the next, and after how many hits the answer was cut, if it was."""

    result: SearchResult
    next_cursor: str | None
    ends_at: int | None = None


async def answer(state: State, question: Question, cursor: str | None = None, *, upload: bytes | None = None) -> Page:
    """Return one page of the answer; raise Problem 400 without something, or with two pictures, to search with.

    ``upload`` is a picture to keep and to search with, in place of a query that is kept.
    """
    started = time.perf_counter()
    if upload is not None:
        question = replace(question, query=(await keep_upload(state, upload)).token)
    if not question.given or (question.id is not None and question.query is not None):
        raise Problem(400, "bad_request", "search with `id` or with `query`, one of them, or with `text`, or both")
    at, epoch = decode_place(cursor, question)
    if question.query and upload is None:
        upload = (await find_upload(state, question.query)).data
    if at == 0:
        listed, result, epoch = await _first_page(state, question, upload)
    else:
        listed, result = await _next_page(state, question, upload, at, epoch)
    result = result.lasting((time.perf_counter() - started) * 1000)
    for part, ms in result.took.items():
        state.metrics.observe("sosie_search_part_seconds", {"part": part}, ms / 1000)
    state.metrics.observe("sosie_search_seconds", {"by": _kind(question)}, result.took_ms / 1000)
    name = _name(question)
    end = at + question.k
    more = len(listed.hits) > end or not listed.ended
    answered = any(not hit.weak for hit in listed.hits)  # on any page
    page = replace(result, query=name, hits=listed.page(at, question.k), answered=answered)
    cut = DEEPEST if not more and end >= DEEPEST else None
    return Page(page, encode_cursor(end, question, epoch=epoch) if more else None, cut)


async def _first_page(state: State, question: Question, upload: bytes | None) -> tuple[HitList, SearchResult, int]:
    """Search for no more than the first page, which is all that most people look at."""
    found, epoch = await _search(state, question, upload)
    listed = HitList(list(found.hits), ended=len(found.hits) < question.k)
    if not listed.ended:
        listed = state.lists.keep((question, epoch), listed)
    return listed, found, epoch


async def _next_page(
    state: State, question: Question, upload: bytes | None, at: int, epoch: int
) -> tuple[HitList, SearchResult]:
    """Return the list as deep as the page at ``at`` needs; made anew where it is not kept and nothing has changed."""
    listed, result = state.lists.get((question, epoch)), None
    if listed is None:
        listed, result, now = await _first_page(state, question, upload)
        if now != epoch:
            raise Problem(400, "bad_cursor", "this list is not kept any more, and the library has changed: ask anew")
    async with listed.lock:
        while len(listed.hits) < at + question.k and not listed.ended:
            depth = min(DEEPEST, max(_DEPTH, 2 * (at + question.k)))
            result, _ = await _search(state, replace(question, k=depth), upload)
            listed.extend(result, depth, DEEPEST)
    state.lists.keep((question, epoch), listed)
    return listed, result or SearchResult("", (), 0.0, {})


async def _search(state: State, question: Question, upload: bytes | None) -> tuple[SearchResult, int]:
    """Search along with those who ask alike at that moment; return the answer and the library's epoch.

    They share the network and the catalogue's answers.
    """
    state.work.check_room()  # or what is refused would be decoded all the same
    whole = not (question.parts.given or question.class_first)
    decoding = None if upload is None else state.library.decode_ahead(upload, whole=whole)
    where = question.where if question.where and question.where.strip() else None
    index_params = read_params(question.index_params.split(",")) if question.index_params.strip() else None
    shares = read_shares(question.share) if question.share.strip() else None

    def search(asked: Sequence[Asked]) -> list[tuple[SearchResult, int]]:
        with state.library.catalogue.steady():
            epoch = state.library.catalogue.epoch()
            found = state.library.search_many(
                asked,
                k=question.k,
                where=where,
                parts=question.parts,
                verify=question.verify,
                index_params=index_params,
                shares=shares,
                class_first=ClassFirst(question.min_class) if question.class_first else False,
                min_likeness=question.min_likeness,
            )
        return [(each, epoch) for each in found]

    # The vector of a picture of the library is stored; a part of it, or its class, is taken from the picture itself.
    reads = upload is None and question.id is not None and (question.parts.given or question.class_first)
    queue = state.sources if reads else state.work
    return await queue.run_alike(
        (_kind(question), replace(question, id=None, query=None, ids=())),
        with_words(_subject(question) if decoding is None else decoding, question.words),
        search,
        after=None if decoding is None else decoding.future,
    )


async def objects_of(state: State, question: Question) -> list[Region]:
    """Return the objects in the picture that a question is about; raise UsageError without a detector."""
    if (question.id is None) == (question.query is None):
        raise Problem(400, "bad_request", "ask about `id` or about `query`, one of them")
    subject: bytes | int = (await find_upload(state, question.query)).data if question.query else question.id or 0
    return await state.reading(subject).run(lambda: state.library.detect(subject))


def _name(question: Question) -> str:
    if question.ids:
        return " + ".join(map(str, question.ids))
    return (question.query or str(question.id)) if question.pictured else f"text:{question.words}"


def _subject(question: Question) -> Asked | None:
    """Return the picture of the library that is asked about, or several whose vectors are added; None for neither."""
    return tuple((1.0, each) for each in question.ids) if question.ids else question.id


def _kind(question: Question) -> str:
    subject = "upload" if question.query else "id" if question.pictured else "text"
    return f"{subject}_box" if question.parts.given else subject
