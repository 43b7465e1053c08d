"""The one look of every page that Sosie writes: a self-contained HTML file that asks no host for anything.

Pages, tables, figures and pictures are strings of the type ``Html``; any other string is escaped on its way
in, so that a hostile file name stays text. The style is ``page.css``, the behaviour ``page.js``, both copied
into the page. A content security policy forbids every other script and every request.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

from sosie.present.text import visible
from sosie.types import Box

__all__ = [
    "Html",
    "asset",
    "badge",
    "content_policy",
    "escape",
    "figure",
    "join",
    "page",
    "picture",
    "pictures",
    "section",
    "table",
]


class Html(str):
    """Text that is HTML already and is not escaped again. Only functions of this package should make it."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Return ``value`` as HTML text: markup neutralised, invisible characters made visible."""
    return value if isinstance(value, Html) else Html(html.escape(visible(str(value)), quote=True))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Escape and concatenate; ``between`` is HTML."""
    return Html(between.join(escape(part) for part in parts))


def page(
    title: str,
    body: str,
    *,
    toc: Sequence[tuple[str, str]] = (),
    lead: str = "",
    foot: str = "Made with Sosie. This page is one file and needs no network.",
    style: str = "",
) -> str:
    """Return a whole HTML document around ``body``, which is HTML.

    ``toc`` holds (anchor, text) of the parts of a long page: a sticky index beside them. ``lead`` stands
    below the title. ``style`` is CSS that this one page adds.
    """
    lead_line = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{content_policy()}">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="Sosie">
<title>{escape(title)}</title>
<style>{asset("page.css")}{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top"><div><h1>{escape(title)}</h1>{lead_line}</div>
<button id="theme" type="button" title="Switch between light and dark" hidden>Dark</button></header>
<div class="frame{" indexed" if toc else ""}">
{_toc(toc)}<main id="main" tabindex="-1">
{body}
</main>
</div>
<footer>{escape(foot)}</footer>
<script>{asset("page.js")}</script>
</body>
</html>
"""


def content_policy() -> str:
    """Return the content security policy of a page: its own style, script and pictures, and no request."""
    digest = base64.b64encode(hashlib.sha256(asset("page.js").encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def section(anchor: str, heading: str, body: str) -> Html:
    """Return one part of a page, which ``toc`` may point to by ``anchor``; ``body`` is HTML."""
    opening = f'<section class="part" id="{escape(anchor)}" tabindex="-1">'
    return Html(f"{opening}<h2>{escape(heading)}</h2>\n{body}\n</section>\n")


def figure(content: str, caption: str = "") -> Html:
    """Return ``content`` (HTML, such as a chart) with a caption below it."""
    return Html(f"<figure>{content}{_caption(caption)}</figure>\n")


def table(rows: Iterable[Sequence[object]], headers: Sequence[str], *, caption: str = "") -> Html:
    """Return a table; numbers stand right-aligned, None is a dash, floats show four significant digits."""
    body = list(rows)
    numeric = [
        any(row[i] is not None for row in body)
        and all(row[i] is None or isinstance(row[i], int | float) for row in body)
        for i in range(len(headers))
    ]
    side = ['<th scope="col" class="number">' if n else '<th scope="col">' for n in numeric]
    head = "".join(f"{tag}{escape(text)}</th>" for tag, text in zip(side, headers, strict=True))
    lines = "".join(f"<tr>{_cells(row, numeric)}</tr>\n" for row in body)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    name = escape(caption or "table")
    return Html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table>{title}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{lines}</tbody></table></div>\n"
    )


def badge(text: str, tone: str = "") -> Html:
    """Return a small coloured word; ``tone`` is good, note, cool, warm, bad or nothing."""
    return Html(f'<span class="badge {escape(tone)}">{escape(text)}</span>')


def picture(
    data: bytes | None,
    alt: str,
    caption: str = "",
    boxes: Sequence[Box] = (),
    outline: Sequence[Sequence[tuple[float, float]]] = (),
) -> Html:
    """Return a JPEG, PNG or WebP as a data: URI with regions drawn on it; None is a placeholder.

    ``boxes`` are relative to the picture (x, y, width, height), and so are the polygons of ``outline`` (x, y).
    """
    if data is None:
        shot = f'<span class="gone" role="img" aria-label="{escape(alt)}">picture not available</span>'
    else:
        uri = f"data:{_media_type(data)};base64,{base64.b64encode(data).decode()}"
        frames = "".join(_box(box) for box in boxes) + (_outline(outline) if outline else "")
        width, height = _size(data)
        image = f'<img src="{uri}" alt="{escape(alt)}" width="{width}" height="{height}" decoding="async">'
        fit = f"width:{100 * min(1, width / height):.2f}%"
        shot = f'<span class="shot" style="{fit}">{image}{frames}</span>'
    return Html(f'<figure class="picture"><div class="plate">{shot}</div>{_caption(caption)}</figure>\n')


def pictures(items: Iterable[Html]) -> Html:
    """Return ``picture``s laid out in a grid that fits the window."""
    return Html(f'<div class="pictures">{"".join(items)}</div>\n')


def _toc(toc: Sequence[tuple[str, str]]) -> str:
    if not toc:
        return ""
    lines = "".join(f'<li><a href="#{escape(anchor)}">{escape(text)}</a></li>' for anchor, text in toc)
    return f'<nav class="toc" aria-label="On this page"><ol>{lines}</ol></nav>\n'


def _caption(caption: str) -> str:
    return f"<figcaption>{escape(caption)}</figcaption>" if caption else ""


def _cells(row: Sequence[object], numeric: Sequence[bool]) -> str:
    tags = ['<td class="number">' if number else "<td>" for number in numeric]
    return "".join(f"{tag}{escape(_shown(cell))}</td>" for tag, cell in zip(tags, row, strict=True))


def _shown(cell: object) -> object:
    if cell is None:
        return "–"
    return f"{cell:.4g}" if isinstance(cell, float) else cell


def _box(box: Box) -> str:
    left, top, width, height = (f"{100 * min(max(edge, 0.0), 1.0):.2f}%" for edge in box)
    return f'<span class="box" style="left:{left};top:{top};width:{width};height:{height}"></span>'


def _outline(polygons: Sequence[Sequence[tuple[float, float]]]) -> str:
    path = "".join("M" + " ".join(f"{x:.4f} {y:.4f}" for x, y in each) + "Z" for each in polygons)
    return (
        '<svg class="outline" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{path}" fill-rule="evenodd" vector-effect="non-scaling-stroke"/></svg>'
    )


def _size(data: bytes) -> tuple[int, int]:
    """Return width and height from the picture's head; a square where it does not say."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            return image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return (1, 1)


def _media_type(data: bytes) -> str:
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" else "image/jpeg"


@cache
def asset(name: str) -> str:
    """Return a style sheet or script of this package."""
    return resources.files("sosie.present").joinpath(name).read_text("utf-8")
