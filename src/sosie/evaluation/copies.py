"""``evaluate copies``: are altered copies found, and are other pictures left alone?

A sample of the collection is altered in every way of ``sosie.alterations``; each altered copy should be answered with
its source. Altered pictures that are not in the collection are asked too: every answer to them is false. Scoring is in
``copy_scores``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from sosie.alterations import alter, names
from sosie.errors import BadPicture, NotFound, UnknownName, UsageError
from sosie.evaluation.collection import Collection, shrunk
from sosie.evaluation.metrics import Ints
from sosie.evaluation.runs import Run, open_run, write_run
from sosie.registry import nearest
from sosie.types import Pixels

__all__ = ["SHOWN", "Answer", "CopySettings", "Method", "Sources", "predict_copies"]


class Answer(NamedTuple):
    """A reference, by its key, and how surely it is the source; ``probability`` where a method states one."""

    key: str
    score: float
    probability: float | None = None


Method: TypeAlias = Callable[[Sequence[bytes]], Sequence[Sequence[Answer]]]
"""From pictures as files (PNG or JPEG bytes) to answers for each, best first."""

SHOWN = 4  # answers to each query that the report shows
_BATCH = 96  # pictures altered and asked at once: bounds memory
_FILLERS = 24  # pictures that collages and backgrounds are made with
_SIDE = 1600  # a source is reduced to this before it is altered, as what is shared on the web is


@dataclass(frozen=True, slots=True)
class CopySettings:
    """What to ask: each of ``sample`` pictures altered in ``per_picture`` ways, and ``negatives`` that have no source.

    ``alterations`` are all where none are named; they come about equally often. ``depth`` answers are kept for each.
    """

    sample: int = 100
    per_picture: int = 5
    negatives: int = 200
    alterations: tuple[str, ...] = ()
    depth: int = 10
    seed: int = 0

    @property
    def ways(self) -> tuple[str, ...]:
        """The alterations asked for; raises UnknownName for one that there is not."""
        for name in self.alterations:
            if name not in names():
                raise UnknownName(f"no alteration is called {name!r}; {nearest(name, names())}")
        return self.alterations or names()


@dataclass(frozen=True)
class Sources:
    """Where pixels come from: ``read`` gives those of a row of the references.

    ``among`` are the rows that copies are made of (all where it is None). Each of ``outside`` gives the pixels of a
    picture that is not among the references.
    """

    read: Callable[[int], Pixels]
    outside: Sequence[Callable[[], Pixels]] = ()
    among: Ints | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """One query to make: which picture (row of the sources), altered how; ``true`` is False for a negative."""

    source: int
    name: str
    seed: int
    true: bool


def predict_copies(
    folder: Path,
    references: Collection,
    *,
    methods: Mapping[str, Method],
    sources: Sources,
    settings: CopySettings | None = None,
    setting: Mapping[str, Any] | None = None,
    note: Callable[[str], None] = lambda _text: None,
) -> Run:
    """Alter pictures, ask every method for what they are copies of, and store the answers in ``folder``.

    Negatives are altered copies of the pictures ``outside`` or, where there are none, of further references whose own
    answer is taken away. What is stored there already is not computed again; ``setting`` describes the model.
    """
    settings = settings or CopySettings()
    config = {
        "protocol": "copies",
        "references": {"count": len(references), "digest": references.digest},
        "methods": list(methods),
        "alterations": list(settings.ways),
        "sample": settings.sample,
        "per_picture": settings.per_picture,
        "among": "all" if sources.among is None else len(sources.among),
        "negatives": {"count": settings.negatives, "outside": len(sources.outside)},
        "depth": settings.depth,
        "seed": settings.seed,
        **(setting or {}),
    }
    known = open_run(folder, expect=config)
    if known is not None:
        return known
    among = np.arange(len(references)) if sources.among is None else sources.among
    plans = _plans(among, len(sources.outside), settings)
    if not plans:
        raise UsageError("the collection holds no pictures to alter: add some first")
    asked = _Asked(references, sources, settings.depth, _filler_rows(len(references), plans, sources))
    for start in range(0, len(plans), _BATCH):
        asked.ask(plans[start : start + _BATCH], methods, note)
        note(f"{len(asked.queries)} of {len(plans)} altered pictures asked")
    return write_run(
        folder,
        config,
        arrays={"references": np.arange(len(references))},
        tables={"queries": asked.queries, "answers": asked.answers, "references": references.table()},
        pictures=asked.pictures(),
    )


def _plans(among: Ints, outside: int, settings: CopySettings) -> list[_Plan]:
    """Draw pictures and ways. Negatives come from pictures that no true query is made of, if there are such."""
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(among)
    ways = _cycle(settings.ways, rng)
    taken, left = order[: settings.sample], order[settings.sample :]
    rows = np.repeat(taken, settings.per_picture)
    plans = [_Plan(int(row), next(ways), int(rng.integers(2**31)), True) for row in rows]
    others = np.arange(outside) if outside else left if len(left) else order
    if len(others):
        rows = rng.permutation(np.resize(others, settings.negatives))
        plans += [_Plan(int(row), next(ways), int(rng.integers(2**31)), False) for row in rows]
    return plans


def _cycle(chosen: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """Yield the ways in random order, each once before any comes again."""
    while True:
        yield from (chosen[at] for at in rng.permutation(len(chosen)))


class _Asked:
    """What has been asked and answered so far."""

    def __init__(self, references: Collection, sources: Sources, depth: int, fillers: Sequence[int]) -> None:
        self.references, self.sources, self.depth = references, sources, depth
        self.queries: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self._place = {key: row for row, key in enumerate(references.keys)}
        self._fillers = frozenset(fillers)
        self._others = _some_others(fillers, sources)
        self._small: list[bytes] = []
        self._shown: set[int] = set()

    def ask(self, plans: Sequence[_Plan], methods: Mapping[str, Method], note: Callable[[str], None]) -> None:
        """Make the pictures of some plans and put them to every method."""
        first = len(self.queries)
        files = [file for plan in plans if (file := self._make(plan, note)) is not None]
        for name, method in methods.items():
            for at, found in enumerate(method(files), start=first):
                self._keep(at, name, found)

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """Yield the small pictures of all queries, of their sources and of the best answers."""
        yield from ((f"q{at}.jpg", data) for at, data in enumerate(self._small))
        for row in sorted(self._shown):
            data = self.references.picture(row)
            if data is not None:
                yield f"r{row}.jpg", data

    def _make(self, plan: _Plan, note: Callable[[str], None]) -> bytes | None:
        """Alter a picture and write it as a file: methods get what a user would give them."""
        inside = plan.true or not self.sources.outside
        try:
            pixels = _reduced(self.sources.read(plan.source) if inside else self.sources.outside[plan.source]())
        except (BadPicture, NotFound) as error:
            note(f"left out {self.references.uris[plan.source]}: {error}")
            return None
        altered = alter(pixels, plan.name, plan.seed, others=self._others)
        self._small.append(shrunk(altered.pixels))
        self.queries.append(
            {
                "alteration": plan.name,
                "true": int(plan.true),
                "source": plan.source if inside else -1,
                "uri": self.references.uris[plan.source] if inside else "",
                "record": altered.record.to_json(),
            }
        )
        if inside:
            self._shown.add(plan.source)
        return _png(altered.pixels)

    def _keep(self, at: int, method: str, found: Sequence[Answer]) -> None:
        """Store the answers to one query, but for a negative's own source and what collages are filled with."""
        query = self.queries[at]
        banned = self._fillers if query["true"] else self._fillers | {query["source"]}
        there = [each for each in found if each.key in self._place]
        kept = [each for each in there if self._place[each.key] not in banned][: self.depth]
        self._shown |= {self._place[each.key] for each in kept[:SHOWN]}
        for rank, each in enumerate(kept, start=1):
            answer = {"query": at, "method": method, "rank": rank, "reference": self._place[each.key]}
            probability = "" if each.probability is None else each.probability
            self.answers.append({**answer, "score": float(np.float32(each.score)), "probability": probability})


def _filler_rows(references: int, plans: Sequence[_Plan], sources: Sources) -> list[int]:
    """Choose references that collages and backgrounds are made with, where no outside pictures can be.

    They are found in the altered pictures, rightly, and so are no answers at all; nothing is made of them, and a
    small collection does without.
    """
    if sources.outside or references < 10 * _FILLERS:
        return []
    used = {plan.source for plan in plans if plan.true}
    free = [row for row in range(references) if row not in used]
    return [free[at] for at in np.unique(np.linspace(0, len(free) - 1, _FILLERS).astype(int))] if free else []


def _some_others(fillers: Sequence[int], sources: Sources) -> list[Pixels]:
    """Read what collages and backgrounds are made with; textures alone would be too easy."""
    own: Sequence[Callable[[], Pixels]] = [partial(sources.read, row) for row in fillers]
    found = []
    for read in own or sources.outside[:_FILLERS]:
        try:
            found.append(_reduced(read(), 512))
        except (BadPicture, NotFound):
            continue
    return found


def _reduced(pixels: Pixels, side: int = _SIDE) -> Pixels:
    if max(pixels.shape[:2]) <= side:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _png(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()
