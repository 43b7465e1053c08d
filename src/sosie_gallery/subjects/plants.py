"""Things that grow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sosie_gallery.canvas import Rng, Shape, blob, ellipse, fill, smooth, stroke, taper
from sosie_gallery.subjects.parts import chance, pick

__all__ = ["flower", "mushroom", "tree"]


def flower(rng: Rng) -> list[Shape]:
    """One big flower: a daisy, a tulip or a sunflower, on its stem."""
    lean = rng.uniform(-0.1, 0.1)
    top = (lean, -0.72)
    stem = smooth([(0, 0.02), (lean * 0.1, -0.3), top], closed=False)
    shapes = [fill(taper(stem, 0.05, 0.034), "leaf")]
    for s in (-1, 1):
        high = rng.uniform(-0.34, -0.16)
        shapes.append(
            fill(
                smooth([(0, high + 0.06), (s * 0.14, high - 0.08), (s * 0.36, high - 0.14), (s * 0.26, high + 0.02)]),
                "leaf",
                bulge=0.6,
            )
        )
        shapes.append(stroke([(s * 0.04, high + 0.03), (s * 0.26, high - 0.07)], "dark", 0.007))
    if chance(rng, 0.3):
        return shapes + _tulip(*top)
    count = int(rng.choice([6, 8, 10, 14]))
    long = rng.uniform(0.17, 0.22)
    wide = min(0.1, 0.62 / count)
    start = rng.uniform(0, 360)
    for back in (True, False) if count > 8 else (False,):
        for i in range(count):
            turn = start + (i + 0.5 * back) * 360 / count
            away = (0.16 + 0.04 * back) + long * 0.45
            x, y = top[0] + away * np.cos(np.radians(turn)), top[1] + away * np.sin(np.radians(turn))
            shapes.append(fill(ellipse(x, y, long, wide, turn), "second" if back else "main", bulge=0.7))
    shapes.append(fill(ellipse(*top, 0.13), "third"))
    for i in range(14):
        angle, away = i * 2.4, 0.027 * np.sqrt(i)
        shapes.append(
            fill(
                ellipse(top[0] + away * np.cos(angle), top[1] + away * np.sin(angle), 0.011),
                "dark",
                bulge=0,
                line=False,
            )
        )
    return shapes


def _tulip(x: float, y: float) -> list[Shape]:
    cup = smooth(
        [
            (x - 0.2, y - 0.1),
            (x - 0.2, y - 0.32),
            (x - 0.1, y - 0.2),
            (x, y - 0.36),
            (x + 0.1, y - 0.2),
            (x + 0.2, y - 0.32),
            (x + 0.2, y - 0.1),
            (x, y + 0.04),
        ],
        steps=5,
    )
    middle = smooth([(x - 0.11, y - 0.1), (x, y - 0.33), (x + 0.11, y - 0.1), (x, y + 0.03)])
    return [fill(cup, "second"), fill(middle, "main")]


def mushroom(rng: Rng) -> list[Shape]:
    """A toadstool with spots, and a small one beside it."""
    shapes: list[Shape] = []
    if chance(rng, 0.75):
        side = -1 if chance(rng, 0.5) else 1
        shapes += [
            replace(s, points=s.points * 0.45 + (side * 0.42, 0.02), width=s.width * 0.45) for s in _toadstool(rng)
        ]
    shapes += _toadstool(rng)
    for x in rng.uniform(-0.5, 0.5, 7):
        shapes.append(stroke(smooth([(x, 0.03), (x + 0.01, -0.07), (x + 0.05, -0.14)], closed=False), "leaf", 0.02))
    return shapes


def _toadstool(rng: Rng) -> list[Shape]:
    wide, high = rng.uniform(0.4, 0.52), rng.uniform(0.36, 0.5)
    rim = -0.52
    stem = smooth([(-0.09, rim), (-0.1, -0.2), (-0.15, -0.02), (0, 0.02), (0.15, -0.02), (0.1, -0.2), (0.09, rim)])
    shapes = [fill(stem, "cream")]
    shapes.append(fill(ellipse(0, rim, wide * 0.93, 0.09), "cream", bulge=0.3))
    shapes += [
        stroke([(x * 0.3, rim + 0.06), (x, rim + 0.02)], "dark", 0.007) for x in np.linspace(-0.8, 0.8, 7) * wide
    ]
    shapes.append(
        fill(
            smooth(
                [(-0.11, rim + 0.12), (-0.14, rim + 0.2), (0, rim + 0.22), (0.14, rim + 0.2), (0.11, rim + 0.12)],
                steps=5,
            ),
            "cream",
            bulge=0.5,
        )
    )
    cap = [
        (-wide, rim + 0.01),
        (-wide * 0.82, rim - high * 0.62),
        (0, rim - high),
        (wide * 0.82, rim - high * 0.62),
        (wide, rim + 0.01),
        (0, rim - 0.05),
    ]
    shapes.append(fill(smooth(cap), "main"))
    for x, y, radius in (
        (-0.55, 0.35, 0.055),
        (0.0, 0.66, 0.075),
        (0.55, 0.38, 0.06),
        (-0.2, 0.28, 0.04),
        (0.26, 0.24, 0.05),
        (-0.32, 0.68, 0.04),
        (0.34, 0.7, 0.035),
    ):
        shapes.append(fill(ellipse(x * wide, rim - y * high, radius, radius * 0.8), "white", bulge=0.5))
    return shapes


def tree(rng: Rng) -> list[Shape]:
    """A tree: leafy, a conifer or a poplar, perhaps with fruit."""
    kind = pick(rng, "round", "round", "pine", "poplar")
    trunk = taper(smooth([(0, 0.02), (0.02, -0.25), (-0.01, -0.55)], closed=False), 0.13, 0.06)
    shapes = [fill(trunk, "wood")]
    if kind == "pine":
        for i in range(4):
            y, half = -0.14 - 0.2 * i, 0.4 - 0.085 * i
            tier = [
                (-half, y),
                (-half * 0.5, y - 0.13),
                (0, y - 0.34),
                (half * 0.5, y - 0.13),
                (half, y),
                (0, y + 0.04),
            ]
            shapes.append(fill(smooth(tier, steps=5), "leaf" if i % 2 else "leaf2"))
        return shapes
    if kind == "poplar":
        shapes.append(fill(blob(rng, 0, -0.56, 0.2, 0.46, 0.07), "leaf2"))
        shapes += [
            fill(blob(rng, x, y, 0.11, 0.17, 0.1), "leaf", bulge=0.7)
            for x, y in ((-0.05, -0.38), (0.06, -0.6), (-0.03, -0.8))
        ]
        return shapes
    shapes += [stroke([(0, -0.36), (s * 0.2, -0.56)], "wood", 0.04) for s in (-1, 1)]
    spots = [
        (-0.26, -0.55, 0.2),
        (0.27, -0.56, 0.2),
        (-0.14, -0.76, 0.21),
        (0.16, -0.77, 0.2),
        (0.0, -0.6, 0.23),
        (0.0, -0.86, 0.16),
    ]
    for i, (x, y, radius) in enumerate(spots):
        shapes.append(fill(blob(rng, x, y, radius, radius * 0.88, 0.09), "leaf2" if i % 2 else "leaf"))
    if chance(rng, 0.6):
        for x, y, radius in spots:
            for _ in range(2):
                dx, dy = rng.uniform(-0.65, 0.65, 2) * radius
                shapes.append(fill(ellipse(x + dx, y + dy, 0.032), "main"))
    return shapes
