"""The contact sheet: every query beside its neighbours, on one page that works offline and from disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sosie.present.duration import duration
from sosie.present.page import Html, asset, badge, escape, page, picture, section
from sosie.present.text import display_path, shorten, visible
from sosie.present.thumbnails import small_jpeg
from sosie.present.verdicts import VERDICTS, percent
from sosie.types import Box, Distance, Hit, LabelValue, SearchResult

__all__ = ["contact_sheet"]

_QUERY_SIDE = 360


def contact_sheet(
    results: Sequence[SearchResult],
    *,
    thumbnail: Callable[[str], bytes | None],
    title: str,
    notes: Mapping[str, str] | None = None,
    distance: Distance | None = None,
) -> str:
    """Return one self-contained HTML page with all results.

    ``thumbnail`` gives a picture's bytes (JPEG, PNG, WebP) by its URI or the query's name, None where it is gone.
    ``notes`` stand at the top, such as the index and its recall.
    """
    shots = _Shots(thumbnail)
    parts = [_answer(number, result, shots, distance) for number, result in enumerate(results, 1)]
    toc = [(f"q{number}", _name(result.query)) for number, result in enumerate(results, 1)]
    body = _notes(notes or {}) + "".join(parts) + _key(results)
    hits = sum(len(result) for result in results)
    lead = f"{_count(len(results), 'query', 'queries')}, {_count(hits, 'hit', 'hits')}"
    if toc and hits:
        toc.append(("verdicts", "What the verdicts mean"))
    return page(title, body, toc=toc if len(toc) > 2 else (), lead=lead, style=asset("sheet.css"))


class _Shots:
    """Thumbnails by URI, each fetched and encoded once a size."""

    def __init__(self, thumbnail: Callable[[str], bytes | None]) -> None:
        self._thumbnail = thumbnail
        self._kept: dict[tuple[str, int], bytes | None] = {}

    def get(self, uri: str, side: int) -> bytes | None:
        if (uri, side) not in self._kept:
            data = self._thumbnail(uri)
            self._kept[uri, side] = None if data is None else small_jpeg(data, side=side)
        return self._kept[uri, side]


def _answer(number: int, result: SearchResult, shots: _Shots, distance: Distance | None) -> Html:
    """One query on the left, its hits on the right."""
    name = _name(result.query)
    meta = f"{_count(len(result), 'hit', 'hits')} in {duration(result)}"
    asked, outline = result.asked, result.asked.get("mask", {}).get("outline", ())
    query = (
        f'<div class="query"><p class="tag">Query</p>'
        f"{picture(shots.get(result.query, _QUERY_SIDE), f'Query: {name}', boxes=_boxes(asked), outline=outline)}"
        f'<p class="meta">{escape(display_path(result.query))}<br>{escape(meta)}</p></div>'
    )
    cards = "".join(f'<li class="card">{_card(hit, shots, _far(hit, result, distance))}</li>\n' for hit in result)
    hits = f'<ol class="cards">{cards}</ol>' if cards else '<p class="none">Nothing in the library matches.</p>'
    return section(f"q{number}", name, f'<div class="answer">{query}\n{hits}</div>')


def _boxes(asked: Mapping[str, Any]) -> list[Box]:
    """Return the boxes of a query that were searched for: its own, or those of its objects."""
    if "box" in asked:
        return [tuple(asked["box"])]
    return [tuple(each["box"]) for each in asked.get("objects", ())]


def _far(hit: Hit, result: SearchResult, distance: Distance | None) -> str:
    far = "" if distance is None else f"{hit.distance(result.metric, distance):.4f}"
    return f'<span class="score" title="distance ({distance})">{far}</span>' if far else ""


def _card(hit: Hit, shots: _Shots, far: str) -> str:
    wording = VERDICTS[hit.verdict]
    name = _name(hit.uri)
    data = shots.get(hit.uri, 240)
    shot = picture(data, f"Hit {hit.rank}: {name}", boxes=[hit.region] if hit.region else ())
    if data is None and hit.uri.startswith(("http://", "https://")):
        place = f'<a href="{escape(hit.uri)}" rel="noreferrer">{escape(display_path(hit.uri))}</a>'
        shot = Html(f'{shot}<p class="away">{place}</p>')
    chance = ""
    if hit.probability is not None and hit.verdict.is_copy:
        chance = f'<span class="chance" title="probability">{percent(hit.probability)}</span>'
    facts = (
        f'<span class="rank">{hit.rank}</span>'
        f'<span title="{escape(wording.meaning)}">{badge(wording.name, wording.tone)}</span>'
        f'{chance}<span class="score">{hit.score:.3f}</span>{far}'
    )
    rest = _meter(hit.score, wording.tone) + _labels(hit.labels) + _place(hit.uri) + _evidence(hit)
    return f'{shot}<div class="facts">{facts}</div>{rest}'


def _meter(score: float, tone: str) -> str:
    share = 100 * min(max(score, 0.0), 1.0)
    bar = f'<span style="width:{share:.1f}%"></span>'
    return f'<div class="meter {tone}" role="img" aria-label="score {score:.3f}">{bar}</div>'


def _labels(labels: Mapping[str, LabelValue]) -> str:
    items = "".join(f"<li>{escape(name)} <b>{escape(_value(value))}</b></li>" for name, value in labels.items())
    return f'<ul class="labels">{items}</ul>' if items else ""


def _place(uri: str) -> str:
    """The file's name, a link where it is a file on disk, and the folder that it is in."""
    path = display_path(uri)
    name = escape(_name(uri))
    linked = f'<a href="{escape(uri)}">{name}</a>' if uri.startswith("file:///") else f"<span>{name}</span>"
    folder = escape(path.rpartition("/")[0] or path)
    return f'<p class="place">{linked}<span class="folder" title="{escape(path)}">{folder}</span></p>'


def _evidence(hit: Hit) -> str:
    if not hit.evidence:
        return ""
    items = "".join(
        f"<dt>{escape(str(name).replace('_', ' '))}</dt><dd>{escape(_value(value))}</dd>"
        for name, value in hit.evidence.items()
    )
    return f'<details><summary>Evidence</summary><dl class="evidence">{items}</dl></details>'


def _value(value: object) -> str:
    """Return a label's or an item of evidence's value for people."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(_value(one) for one in value)
    if isinstance(value, Mapping | tuple | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _notes(notes: Mapping[str, str]) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in notes.items())
    return f'<dl class="notes">{items}</dl>\n' if items else ""


def _key(results: Sequence[SearchResult]) -> Html:
    """The meaning of the verdicts that occur."""
    seen = {hit.verdict for result in results for hit in result}
    rows = "".join(
        f"<dt>{badge(wording.name, wording.tone)}</dt><dd>{escape(wording.meaning)}</dd>"
        for verdict, wording in VERDICTS.items()
        if verdict in seen
    )
    return section("verdicts", "What the verdicts mean", f'<dl class="key">{rows}</dl>') if rows else Html()


def _name(uri: str) -> str:
    """Return the last part of a location, safe to show."""
    return shorten(display_path(uri).rstrip("/").rsplit("/", 1)[-1], 48) or visible(uri)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
