"""Things on wheels."""

from __future__ import annotations

import numpy as np

from sosie_gallery.canvas import Rng, Shape, arc, ellipse, fill, polygon, rect, ring, smooth, stroke
from sosie_gallery.subjects.parts import chance, pick

__all__ = ["bicycle", "car"]


def bicycle(rng: Rng) -> list[Shape]:
    """A bicycle seen from its side, with an upright or a step-through frame."""
    r = rng.uniform(0.27, 0.31)
    rear, front = (-0.46, -r), (0.46, -r)
    crank, seat = (-0.06, -r + 0.02), (-0.17, -0.72)
    head, bars = (0.3, -0.74), (0.28, -0.9)
    shapes: list[Shape] = []
    for x, y in (rear, front):
        for angle in np.arange(0, 180, 22.5) + rng.uniform(0, 20):
            dx, dy = r * np.cos(np.radians(angle)), r * np.sin(np.radians(angle))
            shapes.append(stroke([(x - dx, y - dy), (x + dx, y + dy)], "metal", 0.007))
        shapes += [ring(x, y, r, "dark", 0.045), ring(x, y, r - 0.035, "metal", 0.014)]
        shapes.append(fill(ellipse(x, y, 0.035), "metal"))
    if chance(rng, 0.6):
        shapes += [stroke(arc(x, y, r + 0.05, r + 0.05, 190, 300, 14), "second", 0.026) for x, y in (rear, front)]
    low = 0.16 if chance(rng, 0.45) else 0.0  # a step-through frame hangs low
    upper = smooth([(-0.14, -0.66 + low), (0.06, -0.62 + 1.3 * low), (0.29, -0.66)], closed=False)
    tubes = [
        np.array([rear, (-0.14, -0.62)]),
        np.array([rear, crank]),
        np.array([crank, seat]),
        upper,
        np.array([crank, (0.31, -0.62)]),
    ]
    shapes += [stroke(tube, "main", 0.038) for tube in tubes]
    shapes.append(stroke([head, (0.335, -0.58), front], "main", 0.036))
    shapes.append(stroke([(0.3, -0.72), bars], "metal", 0.03))
    if chance(rng, 0.5):
        grip = smooth([(0.14, -0.88), (0.2, -0.92), bars, (0.35, -0.93), (0.38, -0.86)], closed=False)
    else:
        grip = smooth([bars, (0.4, -0.93), (0.46, -0.86), (0.4, -0.78)], closed=False)
    shapes.append(stroke(grip, "dark", 0.034))
    shapes.append(fill(smooth([(-0.32, -0.76), (-0.18, -0.79), (-0.02, -0.74), (-0.14, -0.7), (-0.28, -0.7)]), "wood"))
    shapes += [
        ring(*crank, 0.075, "metal", 0.026),
        stroke([(crank[0] - 0.06, crank[1] - 0.09), (crank[0] + 0.06, crank[1] + 0.09)], "dark", 0.026),
    ]
    shapes += [
        stroke(
            [(crank[0] + s * 0.06 - 0.05, crank[1] + s * 0.1), (crank[0] + s * 0.06 + 0.05, crank[1] + s * 0.1)],
            "dark",
            0.028,
        )
        for s in (-1, 1)
    ]
    if chance(rng, 0.55):
        shapes += _basket(rng)
    return shapes


def _basket(rng: Rng) -> list[Shape]:
    blooms = [
        fill(ellipse(0.42 + 0.075 * i, -0.9 - 0.03 * (i % 2), 0.05), pick(rng, "second", "third", "white"))
        for i in range(4)
    ]
    greens = [fill(ellipse(0.45 + 0.07 * i, -0.85, 0.06, 0.045), "leaf") for i in range(3)]
    side = fill(polygon((0.37, -0.84), (0.7, -0.84), (0.65, -0.62), (0.42, -0.62)), "wood")
    weave = [
        stroke([(0.385 + i * 0.02, -0.8 + i * 0.06), (0.69 - i * 0.02, -0.8 + i * 0.06)], "dark", 0.008)
        for i in range(3)
    ]
    return [*greens, *blooms, side, *weave]


def car(rng: Rng) -> list[Shape]:
    """A small round car from its side, perhaps with luggage on its roof."""
    tall, nose = rng.uniform(0.62, 0.74), rng.uniform(0.5, 0.62)
    shapes: list[Shape] = []
    if chance(rng, 0.5):
        for i, role in enumerate(("wood", "second", "third")[: int(rng.integers(1, 4))]):
            shapes.append(
                fill(rect(-0.3 + 0.2 * i, -tall - 0.2 + 0.04 * (i % 2), -0.12 + 0.2 * i, -tall - 0.02, 0.02), role)
            )
        shapes.append(stroke([(-0.36, -tall - 0.015), (0.3, -tall - 0.015)], "metal", 0.022))
    cabin = smooth(
        [
            (-0.55, -0.36),
            (-0.47, -tall + 0.12),
            (-0.3, -tall),
            (0.14, -tall),
            (0.34, -tall + 0.14),
            (0.48, -0.38),
            (0.0, -0.3),
        ]
    )
    shapes.append(fill(cabin, "main"))
    glass = tall - 0.07
    shapes.append(
        fill(
            smooth([(-0.42, -0.42), (-0.38, -glass + 0.07), (-0.26, -glass), (-0.1, -glass), (-0.1, -0.42)], steps=5),
            "glass",
            bulge=0.2,
        )
    )
    shapes.append(
        fill(
            smooth([(-0.04, -0.42), (-0.04, -glass), (0.12, -glass), (0.24, -glass + 0.1), (0.33, -0.42)], steps=5),
            "glass",
            bulge=0.2,
        )
    )
    hull = [
        (-0.74, -0.14),
        (-0.76, -0.32),
        (-0.58, -0.42),
        (0.0, -0.43),
        (0.46, -0.42),
        (0.74, -nose * 0.62),
        (0.8, -0.16),
        (0.0, -0.11),
    ]
    shapes.append(fill(smooth(hull), "main"))
    if chance(rng, 0.6):
        shapes.append(
            fill(
                smooth([(-0.73, -0.25), (0.0, -0.27), (0.77, -0.24), (0.77, -0.2), (0.0, -0.2), (-0.74, -0.2)]),
                "second",
                bulge=0.2,
                line=False,
            )
        )
    shapes.append(stroke([(-0.07, -0.4), (-0.08, -0.15)], "dark", 0.009))
    shapes.append(stroke([(0.0, -0.35), (0.07, -0.35)], "metal", 0.024))
    shapes += [stroke([(s * 0.72, -0.13), (s * 0.84, -0.13)], "metal", 0.05) for s in (-1, 1)]
    shapes.append(fill(ellipse(0.71, -0.29, 0.048, 0.06), "light"))
    for x in (-0.44, 0.47):
        shapes.append(fill(ellipse(x, -0.14, 0.165), "dark"))
        shapes += [fill(ellipse(x, -0.14, 0.095), "metal"), fill(ellipse(x, -0.14, 0.035), "dark", bulge=0.2)]
    return shapes
