"""Edits that lay something over the picture: words, stickers, blocks, stripes, another picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from sosie.alterations.record import Edit
from sosie.alterations.shape import colour_of, resized
from sosie.types import Pixels

__all__ = ["COVERS", "PASTES", "sentence", "text_image", "texture"]

_WORDS = (
    "the sale today only WOW best new photo free when you see it follow me for more breaking news 50% off "
    "copyright sample draft love summer 2024 share this nobody expects why not both monday mood"
)


def sentence(rng: np.random.Generator, least: int, most: int) -> str:
    """Draw some words."""
    return " ".join(str(word) for word in rng.choice(_WORDS.split(), int(rng.integers(least, most + 1))))


def text_image(text: str, *, height: int, ink: tuple[int, ...], paper: tuple[int, ...] | None = None) -> Image.Image:
    """Draw one line of text, ``height`` pixels high, on paper or on nothing (RGBA)."""
    font = ImageFont.load_default(max(6.0, height * 0.8))
    left, top, right, bottom = font.getbbox(text, stroke_width=1)
    image = Image.new("RGBA", (max(1, round(right - left)), height), (*paper, 255) if paper else (0, 0, 0, 0))
    edge = tuple(255 - v for v in ink)
    at = (-left, (height - (bottom - top)) / 2 - top)
    ImageDraw.Draw(image).text(at, text, font=font, fill=(*ink, 255), stroke_width=1, stroke_fill=(*edge, 255))
    return image


def texture(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Make a picture of nothing: smooth blobs of two to five cells in random colours, with grain."""
    cells = int(rng.integers(2, 6))
    blobs = resized(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8), width, height).astype(np.float32)
    grain = rng.normal(0, float(rng.uniform(0, 12)), (height, width, 1))
    return np.clip(blobs + grain, 0, 255).astype(np.uint8)


def _ink(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(v) for v in colour_of(rng))


def _place(rng: np.random.Generator, outer: int, inner: int) -> int:
    return int(rng.integers(0, max(0, outer - inner) + 1))


def _size(rng: np.random.Generator, least: float, most: float, side: int) -> int:
    return max(1, round(float(rng.uniform(least, most)) * side))


def text(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Write one to three lines over the picture, some on paper of their own."""
    image = Image.fromarray(pixels)
    covered, written = [], []
    for _ in range(int(rng.integers(1, 4))):
        high = max(6, round(float(rng.uniform(0.06, 0.16)) * image.height))
        paper = _ink(rng) if rng.random() < 0.3 else None
        words = sentence(rng, 1, 5)
        line = text_image(words, height=high, ink=_ink(rng), paper=paper)
        if line.width > image.width:
            line = line.resize((image.width, max(1, line.height * image.width // line.width)))
        x, y = _place(rng, image.width, line.width), _place(rng, image.height, line.height)
        image.paste(line, (x, y), line)
        written.append(words)
        covered.append((float(x), float(y), float(line.width), float(line.height)))
    return Edit(np.asarray(image), {"lines": written}, covered=tuple(covered))


def _face(draw: ImageDraw.ImageDraw, side: int) -> None:
    around = (0, 0, side - 1, side - 1)
    draw.ellipse(around, fill=(255, 205, 40, 255), outline=(180, 120, 0, 255), width=side // 30)
    for x in (0.32, 0.68):
        draw.ellipse([side * v for v in (x - 0.07, 0.28, x + 0.07, 0.48)], fill=(60, 40, 10, 255))
    draw.arc([side * v for v in (0.22, 0.3, 0.78, 0.8)], 20, 160, fill=(60, 40, 10, 255), width=side // 16)


def _heart(draw: ImageDraw.ImageDraw, side: int) -> None:
    red = (225, 30, 50, 255)
    for x in (0.0, 0.46):
        draw.ellipse([side * v for v in (x, 0.08, x + 0.54, 0.6)], fill=red)
    draw.polygon([(side * x, side * y) for x, y in ((0.05, 0.48), (0.95, 0.48), (0.5, 0.98))], fill=red)


def _star(draw: ImageDraw.ImageDraw, side: int) -> None:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 0.5, 0.2) * side
    x, y = side / 2 + radii * np.cos(angles), side / 2 + radii * np.sin(angles)
    draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=(60, 120, 240, 255))


_STICKERS = {"face": _face, "heart": _heart, "star": _star}


def emoji(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Stick one to four faces, hearts or stars on, 12 to 35 % of the shorter side."""
    image = Image.fromarray(pixels)
    covered, kinds = [], []
    for _ in range(int(rng.integers(1, 5))):
        kind = str(rng.choice(sorted(_STICKERS)))
        side = max(4, round(float(rng.uniform(0.12, 0.35)) * min(image.size)))
        sticker = Image.new("RGBA", (4 * side, 4 * side))
        _STICKERS[kind](ImageDraw.Draw(sticker), 4 * side)
        sticker = sticker.resize((side, side), Image.Resampling.BOX)
        x, y = _place(rng, image.width, side), _place(rng, image.height, side)
        image.paste(sticker, (x, y), sticker)
        kinds.append(kind)
        covered.append((float(x), float(y), float(side), float(side)))
    return Edit(np.asarray(image), {"stickers": kinds}, covered=tuple(covered))


def cover(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Hide one to three rectangles under flat colour, each 15 to 45 % of a side."""
    result = pixels.copy()
    height, width = pixels.shape[:2]
    covered = []
    for _ in range(int(rng.integers(1, 4))):
        w, h = _size(rng, 0.15, 0.45, width), _size(rng, 0.15, 0.45, height)
        x, y = _place(rng, width, w), _place(rng, height, h)
        result[y : y + h, x : x + w] = colour_of(rng)
        covered.append((float(x), float(y), float(w), float(h)))
    return Edit(result, {"boxes": [list(box) for box in covered]}, covered=tuple(covered))


def stripes(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Draw three to nine bars across, flat or half transparent, hiding 10 to 35 %."""
    height, width = pixels.shape[:2]
    across = bool(rng.random() < 0.5)
    side = height if across else width
    count, share = int(rng.integers(3, 10)), float(rng.uniform(0.1, 0.35))
    alpha = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.4, 0.8))
    phase = (np.arange(side) * count / side + rng.random()) % 1.0
    barred = (phase < share)[:, None] if across else (phase < share)[None, :]
    flat = colour_of(rng).astype(np.float32)
    mixed = pixels * np.float32(1 - alpha) + flat * np.float32(alpha)
    result = np.where(barred[..., None], mixed.astype(np.uint8), pixels)
    return Edit(result, {"count": count, "share": share, "alpha": alpha, "across": across})


def paste(pixels: Pixels, rng: np.random.Generator, others: Sequence[Pixels]) -> Edit:
    """Lay another picture over a part, 30 to 55 % of each side, solid or half transparent."""
    height, width = pixels.shape[:2]
    w, h = _size(rng, 0.3, 0.55, width), _size(rng, 0.3, 0.55, height)
    x, y = _place(rng, width, w), _place(rng, height, h)
    alpha = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.5, 0.9))
    result = pixels.copy()
    part: npt.NDArray[np.float32] = result[y : y + h, x : x + w] * np.float32(1 - alpha)
    result[y : y + h, x : x + w] = (part + other(rng, others, w, h) * np.float32(alpha)).astype(np.uint8)
    box = (float(x), float(y), float(w), float(h))
    return Edit(result, {"box": list(box), "alpha": alpha}, covered=(box,) if alpha == 1 else ())


def other(rng: np.random.Generator, others: Sequence[Pixels], width: int, height: int) -> Pixels:
    """Return one of the other pictures, or a texture where there are none, filling width × height."""
    if not others:
        return texture(rng, width, height)
    chosen = others[int(rng.integers(0, len(others)))]
    h, w = chosen.shape[:2]
    scale = max(width / w, height / h)
    kept_w, kept_h = min(w, width / scale), min(h, height / scale)
    left, top = (w - kept_w) / 2, (h - kept_h) / 2
    image = Image.fromarray(chosen)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, (left, top, left + kept_w, top + kept_h)))


Editing = Callable[[Pixels, np.random.Generator], Edit]
Composing = Callable[[Pixels, np.random.Generator, Sequence[Pixels]], Edit]

COVERS: dict[str, Editing] = {"text": text, "emoji": emoji, "cover": cover, "stripes": stripes}
PASTES: dict[str, Composing] = {"paste": paste}
