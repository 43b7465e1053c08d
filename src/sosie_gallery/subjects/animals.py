"""Animals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sosie_gallery.canvas import Rng, Shape, arc, ellipse, fill, polygon, ring, smooth, stroke, taper
from sosie_gallery.subjects.parts import chance, eye, pick

__all__ = ["cat", "fish"]


def cat(rng: Rng) -> list[Shape]:
    """A cat that sits and looks at you."""
    plump, tilt = rng.uniform(0.9, 1.12), rng.uniform(-0.03, 0.03)
    side = 1 if chance(rng, 0.5) else -1
    shapes: list[Shape] = []
    if chance(rng, 0.6):
        tail = smooth([(0.16, -0.06), (0.42, -0.05), (0.5, -0.24), (0.42, -0.42), (0.5, -0.52)], closed=False)
    else:
        tail = smooth([(0.16, -0.1), (0.38, -0.02), (0.44, 0.02), (0.24, 0.03), (0.06, 0.0)], closed=False)
    shapes.append(fill(taper(tail * (side, 1), 0.1, 0.075), "main"))
    body = [
        (-0.2, -0.56),
        (-0.28 * plump, -0.3),
        (-0.3 * plump, -0.06),
        (-0.16, 0.0),
        (0.16, 0.0),
        (0.3 * plump, -0.06),
        (0.28 * plump, -0.3),
        (0.2, -0.56),
        (0, -0.62),
    ]
    shapes.append(fill(smooth(body), "main"))
    chest = pick(rng, "white", "second", "main")
    if chest != "main":
        shapes.append(
            fill(
                smooth([(-0.11, -0.5), (-0.1, -0.24), (0, -0.14), (0.1, -0.24), (0.11, -0.5)]),
                chest,
                bulge=0.4,
                line=False,
            )
        )
    shapes += [fill(ellipse(x, -0.035, 0.095, 0.05), chest, bulge=0.8) for x in (-0.1, 0.1)]
    shapes += [stroke([(x, -0.3), (x, -0.07)], "dark", 0.01) for x in (-0.035, 0.035)]
    hx, hy = tilt, -0.72
    for s in (-1, 1):
        ear = [(hx + s * 0.25, hy - 0.02), (hx + s * 0.25, hy - 0.28), (hx + s * 0.05, hy - 0.15)]
        shapes.append(fill(polygon(*ear), "main", bulge=0.6))
        centre = np.mean(ear, axis=0)
        shapes.append(fill((polygon(*ear) - centre) * 0.5 + centre + (0, 0.015), "rose", bulge=0.2, line=False))
    shapes.append(
        fill(
            smooth(
                [
                    (hx - 0.27, hy),
                    (hx - 0.19, hy - 0.17),
                    (hx, hy - 0.2),
                    (hx + 0.19, hy - 0.17),
                    (hx + 0.27, hy),
                    (hx + 0.15, hy + 0.15),
                    (hx, hy + 0.18),
                    (hx - 0.15, hy + 0.15),
                ]
            ),
            "main",
        )
    )
    if chance(rng, 0.55):
        for dx, length in ((-0.06, 0.07), (0.0, 0.1), (0.06, 0.07)):
            shapes.append(stroke([(hx + dx, hy - 0.18), (hx + dx * 0.8, hy - 0.18 + length)], "dark", 0.022))
        for s in (-1, 1):
            shapes += [stroke([(s * 0.27 * plump, y), (s * 0.17, y + 0.03)], "dark", 0.024) for y in (-0.34, -0.24)]
    shapes.append(fill(ellipse(hx, hy + 0.085, 0.11, 0.075), chest, bulge=0.4, line=False))
    for s in (-1, 1):
        ex, ey = hx + s * 0.11, hy - 0.01
        shapes.append(fill(ellipse(ex, ey, 0.06, 0.065), "light", bulge=0.3))
        shapes.append(fill(ellipse(ex, ey, 0.02, 0.052), "ink", bulge=0, line=False))
        shapes += [
            stroke([(hx + s * 0.1, hy + 0.07 + d), (hx + s * 0.36, hy + 0.05 + 2.4 * d)], "dark", 0.007)
            for d in (0.0, 0.03)
        ]
    shapes.append(fill(polygon((hx - 0.034, hy + 0.04), (hx + 0.034, hy + 0.04), (hx, hy + 0.075)), "rose", bulge=0.4))
    shapes.append(stroke(arc(hx - 0.035, hy + 0.085, 0.035, 0.03, 0, 150, 8), "dark", 0.012))
    shapes.append(stroke(arc(hx + 0.035, hy + 0.085, 0.035, 0.03, 30, 180, 8), "dark", 0.012))
    return shapes


def fish(rng: Rng) -> list[Shape]:
    """A fish among bubbles."""
    tall, spread = rng.uniform(0.26, 0.38), rng.uniform(0.2, 0.32)
    y = -0.5
    tail = smooth(
        [
            (-0.44, y),
            (-0.66, y - spread),
            (-0.84, y - spread * 1.1),
            (-0.7, y),
            (-0.84, y + spread * 1.1),
            (-0.66, y + spread),
        ],
        steps=6,
    )
    shapes = [fill(tail, "second", bulge=0.7)]
    shapes.append(
        fill(
            smooth([(-0.3, y - tall * 0.8), (-0.14, y - tall - 0.2), (0.16, y - tall - 0.14), (0.28, y - tall * 0.7)]),
            "second",
            bulge=0.6,
        )
    )
    shapes.append(
        fill(
            smooth([(-0.2, y + tall * 0.8), (-0.3, y + tall + 0.16), (-0.06, y + tall + 0.04), (0.02, y + tall * 0.9)]),
            "second",
            bulge=0.6,
        )
    )
    body = np.array(
        [
            (-0.54, y),
            (-0.3, y - tall * 0.72),
            (0.06, y - tall),
            (0.4, y - tall * 0.72),
            (0.6, y + 0.01),
            (0.4, y + tall * 0.72),
            (0.06, y + tall),
            (-0.3, y + tall * 0.72),
        ]
    )
    shapes.append(fill(smooth([(float(a), float(b)) for a, b in body]), "main"))
    pattern = pick(rng, "bands", "scales", "belly")
    if pattern == "bands":
        for x, wide in ((-0.26, 0.07), (0.0, 0.09), (0.24, 0.07)):
            reach = tall * (0.98 - 1.6 * abs(x - 0.04) ** 1.6) * 0.97
            shapes.append(
                fill(
                    smooth(
                        [
                            (x - wide, y - reach * 0.86),
                            (x + wide, y - reach * 0.9),
                            (x + wide + 0.03, y),
                            (x + wide, y + reach * 0.86),
                            (x - wide, y + reach * 0.82),
                            (x - wide + 0.03, y),
                        ],
                        steps=4,
                    ),
                    "third",
                    bulge=0,
                    line=False,
                )
            )
    elif pattern == "scales":
        for column in range(5):
            for row in range(-2, 3):
                x, dy = -0.26 + column * 0.11, row * 0.12 + 0.06 * (column % 2)
                if abs(dy) < tall * 0.72:
                    shapes.append(stroke(arc(x, y + dy, 0.055, 0.06, -80, 80, 8), "third", 0.016))
    else:
        shapes.append(
            fill(
                smooth(
                    [
                        (-0.3, y + tall * 0.3),
                        (0.1, y + tall * 0.4),
                        (0.5, y + tall * 0.2),
                        (0.3, y + tall * 0.8),
                        (0.06, y + tall * 0.95),
                        (-0.26, y + tall * 0.7),
                    ]
                ),
                "third",
                bulge=0,
                line=False,
            )
        )
    shapes.append(stroke(arc(0.3, y, 0.1, tall * 0.62, -75, 75, 12), "dark", 0.014))
    shapes.append(
        fill(smooth([(0.2, y + 0.05), (-0.02, y + 0.02), (-0.08, y + 0.16), (0.08, y + 0.18)]), "second", bulge=0.6)
    )
    shapes += [fill(ellipse(0.44, y - tall * 0.22, 0.062), "white", bulge=0.5), *eye(0.452, y - tall * 0.22, 0.036)]
    shapes.append(stroke(arc(0.58, y + 0.05, 0.07, 0.05, 90, 190, 8), "dark", 0.014))
    for i in range(int(rng.integers(2, 5))):
        radius = float(rng.uniform(0.02, 0.05))
        shapes.append(
            replace(ring(0.72 + 0.05 * np.sin(2.1 * i), y - 0.12 - 0.13 * i, radius, "white", 0.012), alpha=0.5)
        )
    return shapes
