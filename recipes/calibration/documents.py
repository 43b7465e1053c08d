"""Drawn documents: many fillings of many templates, to tell two fillings of one form from a copy.

    python recipes/calibration/documents.py OUT/ --kinds receipt,chart --templates 20 --fillings 3

A template is what a seed lays out (columns, rules, words of the form); a filling is what another seed writes into it.
Kinds in ``HELD_OUT`` are never fitted on.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

Drawn: TypeAlias = Image.Image
WORDS = (  # noqa: SIM905 - a list of words reads better as text
    "order amount date number total net tax name street city phone delivery invoice account period price unit "
    "page item customer service station platform departure arrival remark reference office section department "
    "title signature result sample value mean error rate budget forecast north south region plan status open "
    "closed review owner "
).split()
NAMES = "Adams Berger Costa Dumont Egger Fischer Gallo Hansen Ito Jansen Kowalski Laurent Moreau Novak Olsen".split()  # noqa: SIM905
INK, PALE = (25, 25, 35), (205, 208, 215)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--templates", type=int, default=20)
    parser.add_argument("--fillings", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for kind in options.kinds.split(","):
        for template in range(options.templates):
            for filling in range(options.fillings):
                draw(kind, template, filling).save(options.out / f"{kind}-{template:03d}-{filling}.png")


def draw(kind: str, template: int, filling: int) -> Drawn:
    """Return one filled document; the same three arguments give the same pixels."""
    form, hand = random.Random(f"{kind} {template}"), random.Random(f"{kind} {template} {filling}")
    size = form.choice([(620, 877), (700, 500), (800, 600), (540, 800)])
    page = Image.new("RGB", size, form.choice([(255, 255, 255), (252, 250, 244), (244, 247, 252)]))
    KINDS[kind](page, form, hand)
    return page


def _font(size: int, form: random.Random | None = None) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans.ttf" if form is None else form.choice(_FONTS)
    try:
        return ImageFont.truetype(name, size)
    except OSError as error:
        raise SystemExit(f"{name} is not installed: apt-get install fonts-dejavu") from error


_FONTS = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DejaVuSansCondensed.ttf")


def _words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(count))


def _number(rng: random.Random) -> str:
    return f"{rng.randrange(10, 9999):,}.{rng.randrange(100):02d}"


def _header(page: Drawn, form: random.Random) -> int:
    pen, width = ImageDraw.Draw(page), page.width
    colour = tuple(form.randrange(20, 160) for _ in range(3))
    pen.rectangle((0, 0, width, form.randrange(30, 70)), fill=colour if form.random() < 0.5 else PALE)
    pen.text(
        (24, 14), _words(form, 2).title(), font=_font(24, form), fill=(255, 255, 255) if form.random() < 0.5 else INK
    )
    return 90


def _invoice(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, top = ImageDraw.Draw(page), _header(page, form)
    small, font = _font(13), _font(13, form)
    for _ in range(form.randrange(3, 6)):
        pen.text((24, top), _words(form, 1).title() + ":", font=font, fill=INK)
        pen.text((140, top), f"{hand.choice(NAMES)} {hand.randrange(1, 400)}", font=small, fill=INK)
        top += 22
    columns = [24 + at * (page.width - 48) // 4 for at in range(4)]
    top += 14
    for x in columns:
        pen.text((x, top), form.choice(WORDS).title(), font=font, fill=INK)
    for _ in range(form.randrange(6, 16)):
        top += 24
        if top > page.height - 60:
            break
        pen.line((24, top - 3, page.width - 24, top - 3), fill=PALE)
        pen.text((columns[0], top), _words(form, 1), font=small, fill=INK)
        for x in columns[1:]:
            pen.text((x, top), _number(hand), font=small, fill=INK)
    pen.text((columns[2], top + 30), "Total", font=font, fill=INK)
    pen.text((columns[3], top + 30), _number(hand), font=_font(15), fill=INK)


def _receipt(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, font, top = ImageDraw.Draw(page), _font(16, form), 30
    left, right = 60, page.width - 60
    for _ in range(3):
        pen.text((left, top), _words(form, 3).upper(), font=font, fill=INK)
        top += 26
    for _ in range(form.randrange(8, 20)):
        pen.text((left, top), _words(form, 2), font=font, fill=INK)
        pen.text((right - 110, top), _number(hand), font=font, fill=INK)
        top += 26
    pen.text(
        (left, top + 20),
        f"TOTAL   {_number(hand)}   {hand.randrange(1, 28)}.{hand.randrange(1, 13)}.",
        font=font,
        fill=INK,
    )


def _form(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, top = ImageDraw.Draw(page), _header(page, form)
    for _ in range(form.randrange(7, 14)):
        if top > page.height - 60:
            break
        pen.text((30, top), _words(form, 2).capitalize(), font=_font(12, form), fill=INK)
        pen.rectangle((30, top + 18, page.width - 30, top + 46), outline=INK)
        pen.text(
            (40, top + 22),
            f"{hand.choice(NAMES)}, {_words(hand, hand.randrange(1, 4))}",
            font=_font(16),
            fill=(20, 40, 140),
        )
        top += 60


def _bars(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, base, top = ImageDraw.Draw(page), page.height - 70, 100
    pen.text((40, 30), _words(form, 4).title(), font=_font(24, form), fill=INK)
    count, colour = form.randrange(4, 12), tuple(form.randrange(40, 200) for _ in range(3))
    step = (page.width - 120) / count
    for line in range(5):
        y = base - line * (base - top) / 4
        pen.line((60, y, page.width - 40, y), fill=PALE)
        pen.text((20, y - 8), str(line * 25), font=_font(12), fill=INK)
    for at in range(count):
        x = 70 + at * step
        pen.rectangle((x, base - hand.random() * (base - top), x + 0.7 * step, base), fill=colour)
        pen.text((x, base + 8), form.choice(WORDS)[:6], font=_font(12), fill=INK)


def _lines(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, base, top = ImageDraw.Draw(page), page.height - 70, 90
    pen.text((40, 30), _words(form, 5).capitalize(), font=_font(22, form), fill=INK)
    for line in range(6):
        y = base - line * (base - top) / 5
        pen.line((60, y, page.width - 40, y), fill=PALE)
    for _ in range(form.randrange(1, 4)):
        colour, phase = tuple(form.randrange(20, 200) for _ in range(3)), hand.random() * 6
        speed, size = 1 + 3 * hand.random(), hand.random()
        points = []
        for at in range(60):
            wave = math.sin(phase + speed * at / 10) * size + hand.random() * 0.2
            points.append((60 + at * (page.width - 110) / 59, base - (base - top) * (0.5 + 0.4 * wave)))
        pen.line(points, fill=colour, width=3)


def _slide(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, page.width, page.height), fill=tuple(form.randrange(10, 70) for _ in range(3)))
    pen.rectangle((0, page.height - 40, page.width, page.height), fill=tuple(form.randrange(80, 200) for _ in range(3)))
    pen.text((40, page.height - 34), _words(form, 4), font=_font(18), fill=(255, 255, 255))
    pen.text((40, 40), _words(hand, 3).title(), font=_font(34, form), fill=(255, 255, 255))
    for at in range(hand.randrange(3, 6)):
        pen.text(
            (60, 130 + at * 54), "• " + _words(hand, hand.randrange(3, 7)), font=_font(22, form), fill=(230, 230, 230)
        )


def _chat(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, top = ImageDraw.Draw(page), 80
    pen.rectangle((0, 0, page.width, 60), fill=tuple(form.randrange(20, 120) for _ in range(3)))
    pen.text((70, 18), form.choice(NAMES), font=_font(22), fill=(255, 255, 255))
    pen.ellipse((14, 10, 54, 50), fill=PALE)
    while top < page.height - 110:
        mine, lines = hand.random() < 0.5, hand.randrange(1, 4)
        left = page.width // 3 if mine else 20
        pen.rounded_rectangle(
            (left, top, left + page.width * 3 // 5, top + 14 + 24 * lines), 12, fill=(214, 240, 205) if mine else PALE
        )
        for at in range(lines):
            pen.text((left + 12, top + 8 + 24 * at), _words(hand, 4), font=_font(15), fill=INK)
        top += 34 + 24 * lines
    pen.rounded_rectangle((20, page.height - 56, page.width - 20, page.height - 16), 18, outline=INK)


def _table(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, top = ImageDraw.Draw(page), _header(page, form)
    columns, font = form.randrange(4, 8), _font(13, form)
    step = (page.width - 40) / columns
    for row in range(int((page.height - top - 30) / 26)):
        for at in range(columns):
            box = (20 + at * step, top + 26 * row, 20 + (at + 1) * step, top + 26 * (row + 1))
            pen.rectangle(box, outline=PALE if row else INK, fill=PALE if row == 0 else None)
            text = (
                form.choice(WORDS)[:8] if row == 0 or at == 0 else f"{hand.randrange(24):02d}:{hand.randrange(60):02d}"
            )
            pen.text((box[0] + 5, box[1] + 5), text, font=font, fill=INK)


def _card(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, (width, height) = ImageDraw.Draw(page), page.size
    for y in range(0, height, 6):
        shade = 200 + int(40 * math.sin(y / form.uniform(20.0, 21.0)))
        pen.line((0, y, width, y + form.randrange(4)), fill=(shade, 225, 255 - shade // 6), width=2)
    pen.text((30, 24), _words(form, 3).upper(), font=_font(24, form), fill=(30, 50, 120))
    pen.rectangle((30, 90, 30 + width // 3, 90 + height // 2), fill=tuple(hand.randrange(90, 200) for _ in range(3)))
    face = (60, 120, width // 3, 60 + height // 2)
    pen.ellipse(face, fill=tuple(hand.randrange(120, 235) for _ in range(3)))
    for at in range(5):
        pen.text((60 + width // 3, 100 + 52 * at), form.choice(WORDS).title(), font=_font(12), fill=(60, 60, 90))
        pen.text(
            (60 + width // 3, 116 + 52 * at), f"{hand.choice(NAMES)} {hand.randrange(10**6)}", font=_font(18), fill=INK
        )


def _music(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, top = ImageDraw.Draw(page), 90
    pen.text((page.width // 3, 30), _words(form, 2).title(), font=_font(26, form), fill=INK)
    while top < page.height - 60:
        for line in range(5):
            pen.line((30, top + 9 * line, page.width - 30, top + 9 * line), fill=INK)
        for bar in range(5):
            x = 30 + bar * (page.width - 60) / 4
            pen.line((x, top, x, top + 36), fill=INK, width=2)
        x = 60.0
        while x < page.width - 50:
            y = top + 4.5 * hand.randrange(-2, 10)
            pen.ellipse((x, y - 4, x + 11, y + 4), fill=INK if hand.random() < 0.7 else None, outline=INK)
            pen.line((x + 10, y, x + 10, y - 28), fill=INK, width=2)
            x += hand.choice([18, 24, 36])
        top += 84


def _map(page: Drawn, form: random.Random, hand: random.Random) -> None:
    pen, (width, height) = ImageDraw.Draw(page), page.size
    pen.rectangle((0, 0, width, height), fill=(236, 240, 228))
    for _ in range(26):
        a = form.randrange(width), form.randrange(height)
        b = form.randrange(width), form.randrange(height)
        pen.line(
            (a, b), fill=form.choice([(255, 255, 255), (250, 214, 120), (170, 205, 230)]), width=form.randrange(3, 12)
        )
    for _ in range(hand.randrange(6, 12)):
        x, y = hand.randrange(width), hand.randrange(height)
        pen.ellipse((x - 9, y - 9, x + 9, y + 9), fill=(200, 40, 50), outline=INK)
        pen.text((x + 12, y - 8), hand.choice(NAMES), font=_font(14), fill=INK)


KINDS: dict[str, Callable[[Drawn, random.Random, random.Random], None]] = {
    "invoice": _invoice,
    "form": _form,
    "bars": _bars,
    "slide": _slide,
    "table": _table,
    "card": _card,
    "map": _map,
    "receipt": _receipt,
    "lines": _lines,
    "chat": _chat,
    "music": _music,
}
HELD_OUT = ("receipt", "lines", "chat", "music")


if __name__ == "__main__":
    main()
