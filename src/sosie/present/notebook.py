"""An answer as a contact sheet in a notebook: one piece of HTML with everything in it."""

from __future__ import annotations

import base64
from collections.abc import Callable

from sosie.present.duration import duration
from sosie.present.page import escape
from sosie.present.text import display_path, shorten
from sosie.present.verdicts import VERDICTS, percent
from sosie.types import Hit, SearchResult

__all__ = ["cards"]

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
