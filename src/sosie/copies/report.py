"""The evidence report: one HTML file from which a third party can see and repeat why two pictures are called copies."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageDraw

from sosie import __version__
from sosie.copies.compare import Comparison, Side
from sosie.present.page import Html, badge, escape, figure, page, picture, pictures, section, table
from sosie.present.verdicts import VERDICTS, percent
from sosie.types import Box, Pixels
from sosie.verify.geometry import SEED, TOLERANCE, Matrix, align
from sosie.verify.matching import MAX_RATIO
from sosie.verify.opencv import opencv
from sosie.verify.words import shipped_vocabulary

__all__ = ["evidence_report"]

_SIDE = 640
_LINES = 60
_STYLE = """
.over { position: relative; display: inline-block; line-height: 0; max-width: 100%; border: 1px solid var(--line); }
.over img { display: block; max-width: none; }
.over .lid { position: absolute; inset: 0 auto 0 0; width: 50%; min-width: 4px; max-width: 100%; overflow: hidden;
  resize: horizontal; border-right: 3px solid var(--accent); }
.blink { margin-right: .4rem; }
.blinking:has(.blink:checked) .lid { width: 100% !important; animation: blink 1s steps(1) infinite; }
@keyframes blink { 50% { opacity: 0; } }
"""


def evidence_report(
    comparisons: Sequence[Comparison], *, title: str = "Evidence", about: Mapping[str, Any] | None = None
) -> str:
    """Return one HTML file for a pair or a batch: pictures, registered overlay, matched points, certificate, hashes.

    ``about`` (library, model, calibration …) is shown with the thresholds, versions and seeds.
    """
    toc = [(f"pair-{at}", f"{at}. {_short(one.first.name)}") for at, one in enumerate(comparisons, 1)]
    parts = [_pair(at, one) for at, one in enumerate(comparisons, 1)]
    parts.append(section("repeat", "How to repeat it", _repeat(comparisons, about or {})))
    toc.append(("repeat", "How to repeat it"))
    lead = f"{sum(one.is_copy for one in comparisons)} of {len(comparisons)} pairs are copies."
    return page(title, "".join(parts), toc=toc if len(toc) > 2 else (), lead=lead, style=_STYLE)


def _pair(at: int, one: Comparison) -> Html:
    verdict = one.judged.verdict
    wording = badge(VERDICTS[verdict].name, VERDICTS[verdict].tone)
    head = f"<p>{wording} probability {percent(one.judged.probability)}, cut-off {percent(one.cut_off)}</p>"
    said = ""
    if one.certificate is not None:
        said = "".join(f"<li>{escape(sentence)}</li>" for sentence in one.certificate.sentences())
        said = f"<h3>What was done to the reference</h3><ul>{said}</ul>"
    shown = pictures(
        [
            picture(_jpeg(one.first.pixels), "query", f"query: {one.first.name}", _boxes(one.evidence.matched_query)),
            picture(
                _jpeg(one.second.pixels),
                "reference",
                f"reference: {one.second.name}; what is covered is framed",
                one.certificate.covered if one.certificate else (),
            ),
        ]
    )
    body = head + said + shown + _overlay(one) + _points(one) + _facts(one)
    return section(f"pair-{at}", f"{at}. {one.first.name}", body)


def _overlay(one: Comparison) -> str:
    """Lay the query over the reference; a lid that can be drawn aside, or blinks."""
    if one.evidence.matrix is None or one.certificate is None:
        return ""
    reference = _fitted(one.second.pixels)
    height, width = reference.shape[:2]
    query = one.first.pixels
    matrix: Matrix = (
        np.diag([width, height, 1.0])
        @ np.array(one.evidence.matrix)
        @ np.diag([1 / query.shape[1], 1 / query.shape[0], 1.0])
    )
    warped = opencv().warpPerspective(query, matrix, (width, height), borderValue=(127, 127, 127))
    lid = f'<div class="lid"><img src="{_uri(warped)}" alt="query, registered" width="{width}" height="{height}"></div>'
    below = f'<img src="{_uri(reference)}" alt="reference" width="{width}" height="{height}">'
    return (
        '<div class="blinking"><h3>The query laid over the reference</h3>'
        '<label><input type="checkbox" class="blink">blink</label> <span class="muted">or draw the edge (lower right '
        f'corner of the upper picture) to and fro</span><br><div class="over">{below}{lid}</div></div>'
    )


def _points(one: Comparison) -> str:
    fit = align(one.first.features, one.second.features)
    if fit is None:
        return "<p>No matched points: the pictures were laid over each other as wholes.</p>"
    left, right = _fitted(one.first.pixels), _fitted(one.second.pixels)
    canvas = np.full((max(left.shape[0], right.shape[0]), left.shape[1] + right.shape[1] + 10, 3), 255, np.uint8)
    canvas[: left.shape[0], : left.shape[1]] = left
    canvas[: right.shape[0], left.shape[1] + 10 :] = right
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    start = fit.query * [left.shape[1] / one.first.features.width, left.shape[0] / one.first.features.height]
    goal = fit.reference * [right.shape[1] / one.second.features.width, right.shape[0] / one.second.features.height]
    goal[:, 0] += left.shape[1] + 10
    for at in np.linspace(0, len(start) - 1, min(_LINES, len(start))).astype(int):
        draw.line([tuple(start[at]), tuple(goal[at])], fill=(0, 160, 90), width=1)
    shown = f'<img src="{_uri(np.asarray(image))}" alt="matched points" style="max-width:100%">'
    return figure(shown, f"{fit.inliers} points agree on one transformation, of {fit.matched} that look alike")


def _facts(one: Comparison) -> str:
    measured = [[name, _text(value)] for name, value in one.judged.evidence.items()]
    certificate = one.certificate.to_json() if one.certificate else {}
    certified = [[name, _text(value)] for name, value in certificate.items()]
    files = [[_role(at), *_file(side)] for at, side in enumerate((one.first, one.second))]
    return (
        table(files, ["", "file", "SHA-256", "bytes", "format", "size", "PDQ"], caption="Files")
        + table(certified, ["certificate", "value"], caption="Certificate")
        + table(measured, ["evidence", "value"], caption="Evidence")
    )


def _repeat(comparisons: Sequence[Comparison], about: Mapping[str, Any]) -> str:
    rows: list[list[object]] = [
        ["sosie", __version__],
        ["numpy, OpenCV, Pillow", f"{np.__version__}, {opencv().__version__}, {PIL.__version__}"],
        ["local features", "RootSIFT"],
        ["vocabulary", shipped_vocabulary().digest],
        ["ratio test", MAX_RATIO],
        ["tolerance of an inlier, pixels", TOLERANCE],
        ["seed", SEED],
    ]
    rows += [[name, _text(value)] for name, value in about.items()]
    command = "".join(
        f"<code>sosie compare {escape(one.first.name)} {escape(one.second.name)}</code><br>" for one in comparisons[:20]
    )
    return table(rows, ["", "value"]) + f"<p>{command}</p>"


def _role(at: int) -> str:
    return ("query", "reference")[at]


def _file(side: Side) -> list[Any]:
    size = f"{side.width} × {side.height}"
    return [side.name, side.sha256, side.size, side.format, size, side.codes[0].tobytes().hex()]


def _boxes(box: Box | None) -> Sequence[Box]:
    return () if box is None else (box,)


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1][:40]


def _text(value: Any) -> str:
    """Return a value for a reader: numbers as numbers, whatever library made them, lists and tables by their parts."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return "–" if value is None else str(value)


def _fitted(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _jpeg(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(_fitted(pixels)).save(out, "JPEG", quality=85)
    return out.getvalue()


def _uri(pixels: Pixels) -> str:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
