"""An answer as a contact sheet in a notebook: one piece of HTML with everything in it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from sosie.present.duration import duration
from sosie.present.page import escape
from sosie.present.text import display_path, shorten
from sosie.present.verdicts import VERDICTS, percent
from sosie.types import Hit, SearchResult

__all__ = ["cards", "library_card"]

_CARD = "width:132px;margin:0;font:12px/1.35 system-ui,sans-serif"
_IMAGE = "width:132px;height:100px;object-fit:contain;background:#8881;border-radius:4px"


def cards(result: SearchResult, *, thumbnail: Callable[[Hit], bytes | None]) -> str:
    """Return a row of cards, best first: thumbnail, rank, verdict, score or probability, and where the picture is.

    ``thumbnail`` gives a JPEG; None where the picture is away. Colours are those of the notebook, light or dark.
    """
    shown = "".join(_card(hit, thumbnail(hit)) for hit in result)
    name = escape(shorten(display_path(result.query), 80))
    lead = f"<p style='margin:.3em 0'>{len(result)} hits for <b>{name}</b> in {duration(result)}</p>"
    return f"<div>{lead}<div style='display:flex;flex-wrap:wrap;gap:12px'>{shown}</div></div>"


def library_card(path: str, model: str, counts: Mapping[str, int]) -> str:
    """Return what a library holds and what it answers with, as a small table; ``counts`` are a catalogue's."""
    rows = {
        "pictures": f"{counts['pictures']:,}",
        "places": f"{counts['locations']:,}",
        "refused files": f"{counts['quarantined']:,}",
        "size": f"{counts['bytes'] / 1e6:,.1f} MB",
        "model": model,
    }
    shown = "".join(
        f"<tr><th style='text-align:left;padding-right:1em'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    return (
        f"<div style='font:13px/1.5 system-ui,sans-serif'><b>Sosie</b> · {escape(display_path(path))}"
        f"<table style='border-collapse:collapse;margin:.3em 0'>{shown}</table></div>"
    )


def _card(hit: Hit, data: bytes | None) -> str:
    place = display_path(hit.uri)
    picture = "<div style='{_IMAGE}'></div>".replace("{_IMAGE}", _IMAGE)
    if data is not None:
        encoded = base64.b64encode(data).decode()
        picture = f"<img style='{_IMAGE}' alt='hit {hit.rank}' src='data:image/jpeg;base64,{encoded}'>"
    verdict = escape(VERDICTS[hit.verdict].name)
    sure = f"{hit.score:.3f}" if hit.probability is None else f"{percent(hit.probability)} copy"
    return (
        f"<figure style='{_CARD}'>{picture}<figcaption><b>{hit.rank}</b> {verdict} · {sure}<br>"
        f"<span title='{escape(place)}' style='opacity:.7'>{escape(shorten(place.rsplit('/', 1)[-1], 22))}</span>"
        "</figcaption></figure>"
    )
