"""Edits that put the picture somewhere else: on a page, in a screenshot, in a meme, beside others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from sosie.alterations.overlays import other, sentence, text_image
from sosie.alterations.record import Edit, Matrix, scaling, shift
from sosie.alterations.shape import colour_of, resized
from sosie.types import Pixels

__all__ = ["CAPTIONS", "CUTS", "LAYOUTS"]


def _pasted(canvas: Pixels, pixels: Pixels, box: tuple[int, int, int, int]) -> Matrix:
    """Paint the picture into a box x, y, width, height of the canvas; return where its points went."""
    x, y, width, height = box
    canvas[y : y + height, x : x + width] = resized(pixels, width, height)
    return shift(x, y) @ scaling(width / pixels.shape[1], height / pixels.shape[0])


def _flat(width: int, height: int, colour: Sequence[int] | Pixels) -> Pixels:
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = colour
    return canvas


def _write(canvas: Pixels, words: str, box: tuple[int, int, int, int], *, ink: int) -> None:
    """Write one line in grey ``ink`` into a box of the canvas, cut or shrunk to its width."""
    x, y, width, height = box
    if height < 4 or width < 4:
        return
    paper = tuple(int(v) for v in canvas[y, x])
    line = text_image(words, height=height, ink=(ink, ink, ink), paper=paper)
    if line.width > width:
        line = line.resize((width, height))
    canvas[y : y + height, x : x + line.width] = np.asarray(line)[..., :3]


def page(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Print the picture on a white page between lines of text."""
    height, width = pixels.shape[:2]
    share = float(rng.uniform(0.45, 0.8))
    total_w = max(width, round(width / share))
    line = max(4, round(total_w * 0.035))
    above, below = (int(v) for v in rng.integers(1, 7, 2))
    canvas = _flat(total_w, height + 2 * line * (above + below + 1), (255, 255, 255))
    x, y = int(rng.integers(0, total_w - width + 1)), 2 * line * above + line
    rows = [line // 2 + 2 * line * at for at in range(above)]
    rows += [y + height + line + 2 * line * at for at in range(below)]
    margin = total_w // 20
    for row in rows:
        room = (margin, row, total_w - 2 * margin, min(line, canvas.shape[0] - row))
        _write(canvas, sentence(rng, 5, 10), room, ink=30)
    matrix = _pasted(canvas, pixels, (x, y, width, height))
    return Edit(canvas, {"share": share, "x": x, "y": y}, matrix)


def screenshot(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Show the picture in a post of a phone's or a browser's window: bars, name, buttons, caption."""
    height, width = pixels.shape[:2]
    dark = bool(rng.random() < 0.5)
    paper, ink = ((24, 26, 30), 230) if dark else ((250, 250, 250), 25)
    margin = round(float(rng.uniform(0.0, 0.15)) * width)
    bar = max(8, round(0.09 * width))
    total_w, top, bottom = width + 2 * margin, 2 * bar, int(rng.integers(2, 5)) * bar
    canvas = _flat(total_w, top + height + bottom, paper)
    canvas[:bar] = rng.integers(0, 256, 3)
    _write(canvas, sentence(rng, 2, 3), (bar, bar + bar // 4, total_w - bar, bar // 2), ink=ink)
    for at in range(3):
        x, y = bar // 2 + at * bar, top + height + bar // 4
        canvas[y : y + bar // 2, x : x + bar // 2] = colour_of(rng)
    for row in range(top + height + bar, top + height + bottom - bar // 2, bar):
        room = (bar // 2, row, max(1, total_w - bar), bar // 2)
        _write(canvas, sentence(rng, 4, 9), room, ink=ink)
    matrix = _pasted(canvas, pixels, (margin, top, width, height))
    return Edit(canvas, {"dark": dark, "margin": margin, "top": top, "bottom": bottom}, matrix)


def meme(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Add a caption above, below, or both, on a bar or over the picture."""
    height, width = pixels.shape[:2]
    bar = max(6, round(float(rng.uniform(0.12, 0.22)) * height))
    where = str(rng.choice(["top", "bottom", "both"]))
    over = bool(rng.random() < 0.4)
    above, below = where in ("top", "both"), where in ("bottom", "both")
    top = bar if above and not over else 0
    bottom = bar if below and not over else 0
    white = bool(rng.random() < 0.6)
    canvas = _flat(width, height + top + bottom, (255, 255, 255) if white else (0, 0, 0))
    matrix = _pasted(canvas, pixels, (0, top, width, height))
    image, covered = Image.fromarray(canvas), []
    for row, wanted in ((0, above), (canvas.shape[0] - bar, below)):
        if wanted:
            ink = (255,) * 3 if over or not white else (0,) * 3
            line = text_image(sentence(rng, 2, 6), height=bar, ink=ink)
            line = line.resize((min(width, line.width), bar))
            x = (width - line.width) // 2
            image.paste(line, (x, max(0, row)), line)
            covered += [(float(x), float(max(0, row)), float(line.width), float(bar))] if over else []
    return Edit(np.asarray(image), {"where": where, "over": over, "bar": bar}, matrix, tuple(covered))


def background(pixels: Pixels, rng: np.random.Generator, others: Sequence[Pixels]) -> Edit:
    """Put the picture at 40 to 75 % of its size somewhere on another picture."""
    height, width = pixels.shape[:2]
    share = float(rng.uniform(0.4, 0.75))
    w, h = max(1, round(width * share)), max(1, round(height * share))
    canvas = other(rng, others, width, height).copy()
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    matrix = _pasted(canvas, pixels, (x, y, w, h))
    return Edit(canvas, {"share": share, "x": x, "y": y}, matrix)


def collage(pixels: Pixels, rng: np.random.Generator, others: Sequence[Pixels]) -> Edit:
    """Put the picture in one cell of a grid of two to four, with or without gaps."""
    height, width = pixels.shape[:2]
    columns, rows = ((2, 1), (1, 2), (2, 2))[int(rng.integers(0, 3))]
    gap = int(rng.integers(0, 2)) * max(1, width // 50)
    canvas = _flat(columns * width + (columns + 1) * gap, rows * height + (rows + 1) * gap, colour_of(rng))
    chosen = int(rng.integers(0, columns * rows))
    matrix = np.eye(3)
    for cell in range(columns * rows):
        x = gap + (cell % columns) * (width + gap)
        y = gap + (cell // columns) * (height + gap)
        if cell == chosen:
            matrix = _pasted(canvas, pixels, (x, y, width, height))
        else:
            canvas[y : y + height, x : x + width] = other(rng, others, width, height)
    return Edit(canvas, {"columns": columns, "rows": rows, "cell": chosen, "gap": gap}, matrix)


def stack(pixels: Pixels, rng: np.random.Generator, others: Sequence[Pixels]) -> Edit:
    """Join another picture of 40 to 120 % of its size on one side."""
    height, width = pixels.shape[:2]
    side = str(rng.choice(["left", "right", "top", "bottom"]))
    upright = side in ("top", "bottom")
    extra = max(1, round(float(rng.uniform(0.4, 1.2)) * (height if upright else width)))
    second = other(rng, others, width if upright else extra, extra if upright else height)
    first_is_other = side in ("left", "top")
    pair = (second, pixels) if first_is_other else (pixels, second)
    canvas = np.concatenate(pair, axis=0 if upright else 1)
    x = extra if side == "left" else 0
    y = extra if side == "top" else 0
    return Edit(canvas, {"side": side, "extra": extra}, shift(x, y))


def shuffle(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Cut into 2 × 2, 3 × 1 or 1 × 3 pieces and put them together in another order."""
    columns, rows = ((2, 2), (3, 1), (1, 3))[int(rng.integers(0, 3))]
    w, h = max(1, pixels.shape[1] // columns), max(1, pixels.shape[0] // rows)
    columns, rows = pixels.shape[1] // w if columns > 1 else 1, pixels.shape[0] // h if rows > 1 else 1
    order = rng.permutation(columns * rows)
    if columns * rows > 1 and np.array_equal(order, np.arange(columns * rows)):
        order = np.roll(order, 1)
    pieces = [pixels[h * (at // columns) :, w * (at % columns) :][:h, :w] for at in order]
    lines = [np.concatenate(pieces[row * columns : (row + 1) * columns], axis=1) for row in range(rows)]
    return Edit(
        np.concatenate(lines, axis=0),
        {"columns": columns, "rows": rows, "order": [int(at) for at in order]},
        matrix=None,
    )


Editing = Callable[[Pixels, np.random.Generator], Edit]
Composing = Callable[[Pixels, np.random.Generator, Sequence[Pixels]], Edit]

CAPTIONS: dict[str, Editing] = {"page": page, "screenshot": screenshot, "meme": meme}
LAYOUTS: dict[str, Composing] = {"background": background, "collage": collage, "stack": stack}
CUTS: dict[str, Editing] = {"shuffle": shuffle}
