"""Altered copies, as they come back from the web: each alteration is one function and one line in ``ALTERATIONS``."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from sosie_gallery.canvas import Rng

__all__ = ["ALTERATIONS"]

_CAPTIONS = ("when it is Monday", "my weekend in one picture", "seen on my way home", "a true story", "mood")


def bordered(image: Image.Image, rng: Rng) -> Image.Image:
    """A passe-partout."""
    wide = int(min(image.size) * rng.uniform(0.05, 0.1))
    return ImageOps.expand(ImageOps.expand(image, 3, (40, 36, 32)), wide, (250, 247, 240))


def captioned(image: Image.Image, rng: Rng) -> Image.Image:
    """A line of text above, as memes have it."""
    w, h = image.size
    band = int(h * 0.15)
    out = Image.new("RGB", (w, h + band), "white")
    out.paste(image, (0, band))
    text, font = _CAPTIONS[int(rng.integers(len(_CAPTIONS)))], ImageFont.load_default(size=band * 0.42)
    ImageDraw.Draw(out).text((w / 2, band / 2), text, fill=(20, 20, 20), font=font, anchor="mm")
    return out


def cropped(image: Image.Image, rng: Rng) -> Image.Image:
    """Two thirds to five sixths of each side."""
    w, h = image.size
    cw, ch = int(w * rng.uniform(0.66, 0.84)), int(h * rng.uniform(0.66, 0.84))
    left, top = int(rng.integers(0, w - cw + 1)), int(rng.integers(0, h - ch + 1))
    return image.crop((left, top, left + cw, top + ch))


def flipped(image: Image.Image, rng: Rng) -> Image.Image:
    """Left and right exchanged."""
    return ImageOps.mirror(image)


def greyed(image: Image.Image, rng: Rng) -> Image.Image:
    """No colours, a little more contrast."""
    return ImageEnhance.Contrast(ImageOps.grayscale(image).convert("RGB")).enhance(1.15)


def recoloured(image: Image.Image, rng: Rng) -> Image.Image:
    """All hues turned round the colour wheel."""
    hue, saturation, value = image.convert("HSV").split()
    turn = int(rng.integers(35, 220))
    return Image.merge("HSV", (hue.point(lambda v: (v + turn) % 256), saturation, value)).convert("RGB")


def recompressed(image: Image.Image, rng: Rng) -> Image.Image:
    """Saved as a very small JPEG and opened again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(9, 16)))
    return Image.open(buffer).convert("RGB")


def rotated(image: Image.Image, rng: Rng) -> Image.Image:
    """Turned a little, the corners left dark."""
    turn = float(rng.uniform(6, 18)) * (1 if rng.random() < 0.5 else -1)
    return image.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=(28, 28, 30))


def screenshot(image: Image.Image, rng: Rng) -> Image.Image:
    """Shown in a telephone's feed: a head line above, hearts and words below."""
    w, h = image.size
    bar = int(w * 0.14)
    out = Image.new("RGB", (w, h + 2 * bar), (252, 252, 252))
    out.paste(image, (0, bar))
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(size=bar * 0.3)
    hue = tuple(int(v) for v in rng.integers(70, 200, 3))
    draw.ellipse((bar * 0.2, bar * 0.2, bar * 0.8, bar * 0.8), fill=hue)
    draw.text((bar, bar / 2), "someone.somewhere", fill=(30, 30, 30), font=font, anchor="lm")
    x, y, r = bar * 0.5, h + bar * 1.42, bar * 0.15
    draw.ellipse((x - 2 * r, y - r, x, y + r), fill=(226, 52, 72))
    draw.ellipse((x - r * 0.4, y - r, x + 1.6 * r, y + r), fill=(226, 52, 72))
    draw.polygon(
        ((x - 1.9 * r, y + 0.45 * r), (x + 1.5 * r, y + 0.45 * r), (x - 0.2 * r, y + 2.1 * r)), fill=(226, 52, 72)
    )
    draw.text((bar, h + bar * 1.5), f"{int(rng.integers(12, 900))} likes", fill=(30, 30, 30), font=font, anchor="lm")
    return out


def shrunk(image: Image.Image, rng: Rng) -> Image.Image:
    """A thumbnail blown up again."""
    w, h = image.size
    return image.resize((w * 2 // 7, h * 2 // 7), Image.Resampling.BOX).resize((w, h), Image.Resampling.BICUBIC)


def stickered(image: Image.Image, rng: Rng) -> Image.Image:
    """A smiling sticker over a corner."""
    out, (w, h) = image.copy(), image.size
    r = min(w, h) * float(rng.uniform(0.13, 0.18))
    x, y = (r * 1.3 if rng.random() < 0.5 else w - r * 1.3), (r * 1.3 if rng.random() < 0.5 else h - r * 1.3)
    draw = ImageDraw.Draw(out)
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 214, 64), outline=(120, 86, 10), width=3)
    for side in (-0.36, 0.36):
        draw.ellipse((x + side * r - r * 0.1, y - r * 0.42, x + side * r + r * 0.1, y - r * 0.1), fill=(70, 48, 10))
    draw.arc(
        (x - r * 0.55, y - r * 0.5, x + r * 0.55, y + r * 0.6), 20, 160, fill=(70, 48, 10), width=max(3, int(r * 0.11))
    )
    return out


def washed(image: Image.Image, rng: Rng) -> Image.Image:
    """Soft, pale and warm, as a filter of a picture app makes it."""
    soft = ImageEnhance.Color(image.filter(ImageFilter.GaussianBlur(1.2))).enhance(0.65)
    return Image.blend(soft, Image.new("RGB", image.size, (255, 226, 186)), float(rng.uniform(0.16, 0.26)))


ALTERATIONS: Mapping[str, Callable[[Image.Image, Rng], Image.Image]] = {
    "bordered": bordered,
    "captioned": captioned,
    "cropped": cropped,
    "flipped": flipped,
    "greyed": greyed,
    "recoloured": recoloured,
    "recompressed": recompressed,
    "rotated": rotated,
    "screenshot": screenshot,
    "shrunk": shrunk,
    "stickered": stickered,
    "washed": washed,
}
