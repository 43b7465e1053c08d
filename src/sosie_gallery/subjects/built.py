"""Things that people built, and the mountains behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sosie_gallery.canvas import Rng, Shape, arc, blob, ellipse, fill, polygon, rect, ring, smooth, stroke, taper
from sosie_gallery.subjects.parts import chance, pick

__all__ = ["boat", "cup", "house", "lighthouse", "mountain"]


def house(rng: Rng) -> list[Shape]:
    """A small house with a smoking chimney."""
    half, wall, roof = rng.uniform(0.36, 0.5), rng.uniform(0.42, 0.54), rng.uniform(0.34, 0.46)
    shapes: list[Shape] = []
    chimney = half * (0.5 if chance(rng, 0.5) else -0.62)
    for i in range(3):
        puff = blob(rng, chimney + 0.05 * i, -wall - roof - 0.06 - 0.1 * i, 0.05 + 0.022 * i)
        shapes.append(replace(fill(puff, "cloud", bulge=0.5), alpha=0.6))
    shapes.append(fill(rect(chimney - 0.06, -wall - roof, chimney + 0.06, -wall - 0.05), "third", bulge=0.3))
    shapes.append(fill(rect(-half, -wall - 0.02, half, 0), "second", bulge=0.25))
    steep = half * (0.62 if chance(rng, 0.35) else 0.04)
    shapes.append(
        fill(
            polygon((-half - 0.09, -wall), (-steep, -wall - roof), (steep, -wall - roof), (half + 0.09, -wall)),
            "main",
            bulge=0.35,
        )
    )
    for i in range(1, 4):
        y = -wall - roof * i / 4
        reach = half + 0.09 - (half + 0.09 - steep) * i / 4
        shapes.append(stroke([(-reach, y), (reach, y)], "shade", 0.008))
    door = half * (0.0 if chance(rng, 0.5) else -0.45)
    shapes.append(fill(rect(door - 0.085, -0.27, door + 0.085, 0, 0.05), "third", bulge=0.3))
    shapes.append(fill(ellipse(door + 0.05, -0.13, 0.014), "light", bulge=0.3, line=False))
    spots = [half * 0.58, -half * 0.6] if door == 0 else [half * 0.12, half * 0.64]
    for x in spots:
        shapes += _pane(x, -wall * 0.58, 0.085, 0.1)
        if chance(rng, 0.5):
            shapes.append(fill(rect(x - 0.11, -wall * 0.58 + 0.1, x + 0.11, -wall * 0.58 + 0.135), "wood", bulge=0.3))
            shapes += [
                fill(ellipse(x + d, -wall * 0.58 + 0.085, 0.03), "main" if i % 2 else "leaf")
                for i, d in enumerate((-0.08, -0.03, 0.03, 0.08))
            ]
    if steep < 0.1:
        shapes += [
            fill(ellipse(0, -wall - roof * 0.36, 0.07), "light", bulge=0.2),
            ring(0, -wall - roof * 0.36, 0.07, "white", 0.016),
        ]
    return shapes


def _pane(x: float, y: float, wide: float, high: float) -> list[Shape]:
    return [
        fill(rect(x - wide, y - high, x + wide, y + high), "light", bulge=0.15),
        stroke(rect(x - wide, y - high, x + wide, y + high)[[0, 1, 2, 3, 0]], "white", 0.018),
        stroke([(x, y - high), (x, y + high)], "white", 0.014),
        stroke([(x - wide, y), (x + wide, y)], "white", 0.014),
    ]


def lighthouse(rng: Rng) -> list[Shape]:
    """A striped lighthouse on a rock, its lamp lit."""
    low, high = rng.uniform(0.17, 0.21), rng.uniform(0.1, 0.13)
    shapes = []
    for s in (-1, 1):
        beam = polygon((0, -0.84), (s * 1.1, -1.06), (s * 1.1, -0.7))
        shapes.append(replace(fill(beam, "light", bulge=0, line=False), alpha=0.35))
    count = int(rng.choice([5, 6, 7]))
    levels = np.linspace(-0.06, -0.76, count + 1)
    widths = np.linspace(low, high, count + 1)
    tower = polygon((-low, -0.06), (-high, -0.76), (high, -0.76), (low, -0.06))
    shapes.append(fill(tower, "white"))
    for i in range(0, count, 2):
        y, z, a, b = levels[i], levels[i + 1], widths[i], widths[i + 1]
        shapes.append(fill(polygon((-a, y), (-b, z), (b, z), (a, y)), "main", bulge=0, line=True))
    shapes.append(fill(rect(-0.045, -0.22, 0.045, -0.06, 0.04), "dark", bulge=0.2))
    shapes += [fill(rect(-0.025, y - 0.04, 0.025, y + 0.03, 0.02), "dark", bulge=0.2) for y in (-0.4, -0.58)]
    shapes.append(fill(rect(-high - 0.05, -0.785, high + 0.05, -0.75), "dark", bulge=0.3))
    shapes.append(fill(rect(-0.075, -0.9, 0.075, -0.785), "light", bulge=0.2))
    shapes += [stroke([(x, -0.9), (x, -0.785)], "dark", 0.01) for x in (-0.07, 0, 0.07)]
    shapes.append(
        fill(smooth([(-0.11, -0.895), (-0.06, -0.96), (0, -0.985), (0.06, -0.96), (0.11, -0.895)], steps=6), "main")
    )
    shapes.append(stroke([(0, -0.97), (0, -1.03)], "dark", 0.014))
    rocks = [(-0.3, 0.02, 0.2, 0.1), (0.3, 0.02, 0.22, 0.1), (0.0, 0.03, 0.3, 0.12), (-0.46, 0.06, 0.12, 0.06)]
    shapes += [fill(blob(rng, x, y, rx, ry, 0.16), "stone") for x, y, rx, ry in rocks]
    return shapes


def boat(rng: Rng) -> list[Shape]:
    """A sailing boat."""
    mast, high = rng.uniform(-0.08, 0.06), rng.uniform(0.92, 1.05)
    swell = rng.uniform(0.04, 0.12)
    shapes = [stroke([(mast, -0.16), (mast, -high)], "wood", 0.026)]
    jib = smooth(
        [
            (mast - 0.03, -high + 0.08),
            (mast - 0.2 - swell, -0.5),
            (mast - 0.46, -0.24),
            (mast - 0.2, -0.25),
            (mast - 0.03, -0.26),
        ],
        steps=6,
    )
    sail = smooth(
        [
            (mast + 0.03, -high + 0.03),
            (mast + 0.22 + swell, -0.58),
            (mast + 0.5, -0.26),
            (mast + 0.26, -0.25),
            (mast + 0.03, -0.26),
        ],
        steps=6,
    )
    shapes += [fill(jib, "second", bulge=0.7), fill(sail, "main", bulge=0.7)]
    if chance(rng, 0.5):
        middle = np.array(
            [
                (mast + 0.03, -0.6),
                (mast + 0.24 + swell, -0.57),
                (mast + 0.34 + swell * 0.6, -0.46),
                (mast + 0.03, -0.47),
            ]
        )
        shapes.append(fill(middle, "third", bulge=0, line=False))
    shapes.append(fill(polygon((mast, -high), (mast + 0.2, -high + 0.035), (mast, -high + 0.08)), "third", bulge=0.3))
    shapes.append(
        fill(
            smooth(
                [
                    (-0.56, -0.2),
                    (-0.3, -0.16),
                    (0.3, -0.16),
                    (0.62, -0.23),
                    (0.44, 0.02),
                    (0.2, 0.08),
                    (-0.3, 0.08),
                    (-0.46, 0.0),
                ],
                steps=6,
            ),
            "wood",
        )
    )
    shapes.append(
        stroke(smooth([(-0.54, -0.17), (-0.3, -0.13), (0.3, -0.13), (0.58, -0.19)], closed=False), "white", 0.03)
    )
    if chance(rng, 0.5):
        shapes += [fill(ellipse(x, -0.05, 0.03), "light", bulge=0.4) for x in (-0.22, -0.02, 0.18)]
    return shapes


def mountain(rng: Rng) -> list[Shape]:
    """A snow-capped range with pines below."""
    shapes: list[Shape] = []
    peaks = [
        (-0.5, rng.uniform(0.5, 0.7), 0.5),
        (0.52, rng.uniform(0.45, 0.68), 0.52),
        (rng.uniform(-0.1, 0.12), 1.0, 0.66),
    ]
    for x, high, half in peaks:
        ridge = [
            (x - half, 0.0),
            (x - half * 0.52, -high * 0.46),
            (x - half * 0.34, -high * 0.58),
            (x, -high),
            (x + half * 0.3, -high * 0.64),
            (x + half * 0.5, -high * 0.5),
            (x + half, 0.0),
        ]
        shapes.append(fill(polygon(*ridge), "stone", bulge=0.4))
        dark = [
            (x, -high),
            (x + half * 0.3, -high * 0.64),
            (x + half * 0.5, -high * 0.5),
            (x + half, 0.0),
            (x + half * 0.1, 0.0),
            (x + half * 0.16, -high * 0.3),
            (x - half * 0.06, -high * 0.56),
        ]
        shapes.append(fill(polygon(*dark), "shade", bulge=0.2, line=False))
        snow = [
            (x - half * 0.34, -high * 0.58),
            (x, -high),
            (x + half * 0.3, -high * 0.64),
            (x + half * 0.16, -high * 0.58),
            (x + half * 0.06, -high * 0.66),
            (x - half * 0.06, -high * 0.52),
            (x - half * 0.18, -high * 0.62),
        ]
        shapes.append(fill(polygon(*snow), "white", bulge=0.3))
    if chance(rng, 0.5):
        lake = ellipse(0.1, 0.06, 0.6, 0.06)
        shapes.append(fill(lake, "water", bulge=0))
    for x in np.sort(rng.uniform(-1.0, 1.0, 11)):
        if abs(x) > 0.2:
            high = float(rng.uniform(0.16, 0.28))
            shapes += [
                fill(
                    polygon((x - high * w, 0.08 - high * b), (x + high * w, 0.08 - high * b), (x, 0.08 - high * t)),
                    "leaf" if t < 1 else "leaf2",
                    bulge=0.5,
                )
                for w, b, t in ((0.3, 0.0, 0.6), (0.24, 0.3, 0.85), (0.17, 0.58, 1.1))
            ]
    return shapes


def cup(rng: Rng) -> list[Shape]:
    """A steaming cup on its saucer."""
    wide, high, foot = rng.uniform(0.34, 0.42), rng.uniform(0.46, 0.6), rng.uniform(0.16, 0.26)
    shapes = [
        fill(ellipse(0, -0.05, wide + 0.24, 0.09), "second", bulge=0.6),
        fill(ellipse(0, -0.065, wide * 0.8, 0.05), "shade", bulge=0, line=False),
    ]
    shapes.append(replace(stroke(arc(wide - 0.02, -0.06 - high * 0.56, 0.17, high * 0.3, -90, 100, 20), "main", 0.06)))
    body = [
        (-wide, -high - 0.06),
        (-wide * 0.97, -high * 0.6),
        (-foot - 0.05, -0.1),
        (-foot * 0.6, -0.06),
        (foot * 0.6, -0.06),
        (foot + 0.05, -0.1),
        (wide * 0.97, -high * 0.6),
        (wide, -high - 0.06),
        (0, -high + 0.02),
    ]
    shapes.append(fill(smooth(body, steps=6), "main"))
    pattern = pick(rng, "band", "dots", "heart", "plain")
    level = -high * 0.62
    if pattern == "band":
        shapes.append(
            fill(
                polygon(
                    (-wide * 0.95, level - 0.05),
                    (wide * 0.95, level - 0.05),
                    (wide * 0.9, level + 0.05),
                    (-wide * 0.9, level + 0.05),
                ),
                "third",
                bulge=0,
                line=False,
            )
        )
    elif pattern == "dots":
        shapes += [
            fill(ellipse(x * wide, level + 0.1 * (i % 2), 0.04), "third", bulge=0.2)
            for i, x in enumerate((-0.68, -0.34, 0.0, 0.34, 0.68))
        ]
    elif pattern == "heart":
        angle = np.linspace(0, 2 * np.pi, 30)
        heart = np.stack(
            [16 * np.sin(angle) ** 3, -(13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle))], 1
        )
        shapes.append(fill(heart * 0.0085 + (0, level + 0.05), "third", bulge=0.3))
    shapes.append(fill(ellipse(0, -high - 0.06, wide, 0.095), "white", bulge=0.3))
    shapes.append(fill(ellipse(0, -high - 0.045, wide * 0.88, 0.07), "wood", bulge=0.2))
    for x in (-0.14, 0.02, 0.17):
        sway = float(rng.uniform(0.04, 0.08))
        path = smooth(
            [(x, -high - 0.16), (x + sway, -high - 0.26), (x - sway, -high - 0.38), (x + sway * 0.6, -high - 0.5)],
            closed=False,
        )
        shapes.append(replace(fill(taper(path, 0.016, 0.03), "cloud", bulge=0, line=False), alpha=0.55))
    return shapes
