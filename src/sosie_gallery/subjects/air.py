"""Things of the air."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sosie_gallery.canvas import Points, Rng, Shape, arc, ellipse, fill, polygon, smooth, stroke, taper
from sosie_gallery.subjects.parts import chance, eye, mirror, pick

__all__ = ["balloon", "bird", "butterfly"]


def balloon(rng: Rng) -> list[Shape]:
    """A hot-air balloon with coloured gores, ropes and a basket."""
    plump = rng.uniform(0.3, 0.36)
    heights = np.linspace(-1, -0.3, 26)
    along = (heights + 1) / 0.7
    half = plump * np.sqrt(np.clip(1 - (2 * along / 1.12 - 1) ** 2, 0, 1)) * (1 - 0.3 * along**3)
    half = np.maximum(half, np.where(along > 0.5, 0.07, 0.0))

    def gore(left: float, right: float, role: str, bulge: float = 0.0) -> Shape:
        side = np.stack([left * half, heights], 1)
        other = np.stack([right * half, heights], 1)
        return fill(np.concatenate([side, other[::-1]]), role, bulge=bulge, line=bulge > 0)

    count = int(rng.choice([5, 7, 9]))
    edges = np.sin(np.linspace(-np.pi / 2, np.pi / 2, count + 1))
    stripes = ("main", "second") if chance(rng, 0.5) else ("main", "second", "third")
    shapes = [gore(-1, 1, "main", 1.0)]
    shapes += [gore(edges[i], edges[i + 1], stripes[i % len(stripes)]) for i in range(count)]
    if chance(rng, 0.5):
        low, high = 10, 15
        band = np.concatenate([np.stack([-half, heights], 1)[low:high], np.stack([half, heights], 1)[low:high][::-1]])
        shapes.append(fill(band, "third", bulge=0, line=False))
    shapes.append(stroke([(-0.07, -0.3), (0.07, -0.3)], "dark", 0.018))
    shapes += [stroke([(x, -0.3), (x * 0.8, -0.12)], "dark", 0.008) for x in (-0.07, -0.03, 0.03, 0.07)]
    shapes.append(fill(polygon((-0.068, -0.13), (0.068, -0.13), (0.055, 0), (-0.055, 0)), "wood"))
    shapes.append(stroke([(-0.066, -0.125), (0.066, -0.125)], "dark", 0.018))
    return shapes


def bird(rng: Rng) -> list[Shape]:
    """A songbird on a branch."""
    fat, tail, look = rng.uniform(0.85, 1.12), rng.uniform(0.28, 0.42), rng.uniform(-0.03, 0.03)
    perch = smooth([(-0.75, 0.02), (-0.3, -0.06), (0.15, -0.03), (0.5, -0.09), (0.8, -0.04)], closed=False)
    shapes = [fill(taper(perch, 0.075, 0.035), "wood")]
    for x, y, turn in ((-0.55, -0.03, -40), (0.5, -0.12, -55), (0.62, -0.02, 50), (-0.4, 0.07, 60)):
        if chance(rng, 0.8):
            reach = 0.1 * np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
            shapes.append(fill(ellipse(x + reach[0], y + reach[1], 0.1, 0.042, turn), "leaf"))
    shapes.append(
        fill(
            smooth([(-0.22, -0.36), (-0.34, -0.2), (-0.42 - tail, 0.12), (-0.34 - tail, 0.16), (-0.12, -0.16)]),
            "dark",
            bulge=0.4,
        )
    )
    shapes += [stroke([(x, -0.16), (x + 0.02, -0.06)], "dark", 0.018) for x in (-0.02, 0.1)]
    body = [(-0.36, -0.24), (-0.2, -0.46), (0.06, -0.62), (0.3, -0.5), (0.32, -0.3), (0.16, -0.12), (-0.12, -0.12)]
    shapes.append(fill(smooth([(x, -0.12 + (y + 0.12) * fat) for x, y in body]), "main"))
    belly = [(0.02, -0.14), (0.2, -0.18), (0.31, -0.34), (0.26, -0.44), (0.12, -0.36)]
    shapes.append(fill(smooth([(x, -0.12 + (y + 0.12) * fat) for x, y in belly]), "second", bulge=0.5, line=False))
    top = -0.12 - 0.5 * fat
    head_x, head_y = 0.24, top - 0.09 + look
    if chance(rng, 0.4):
        crest = [(head_x - 0.12, head_y - 0.1), (head_x - 0.2, head_y - 0.3), (head_x + 0.04, head_y - 0.17)]
        shapes.append(fill(smooth(crest, steps=5), "third", bulge=0.4))
    shapes.append(
        fill(
            polygon((head_x + 0.15, head_y - 0.05), (head_x + 0.36, head_y + 0.03), (head_x + 0.14, head_y + 0.08)),
            "beak",
            bulge=0.5,
        )
    )
    shapes.append(fill(ellipse(head_x, head_y, 0.2, 0.185), "main"))
    if chance(rng, 0.5):
        shapes.append(fill(arc(head_x, head_y, 0.2, 0.185, 180, 350, 20), "third", bulge=0.3, line=False))
    shapes += eye(head_x + 0.07, head_y - 0.03, 0.045)
    wing = smooth([(0.12, -0.42), (-0.02, -0.24), (-0.46, -0.1), (-0.3, -0.3), (-0.1, -0.46)])
    shapes.append(fill((wing - (0, -0.12)) * (1, fat) + (0, -0.12), "third", bulge=0.8))
    shapes += [
        stroke([(-0.05 - d, -0.36 + d * 0.5), (-0.24 - d * 0.8, -0.2 + d * 0.35)], "dark", 0.012) for d in (0.0, 0.08)
    ]
    return shapes


def butterfly(rng: Rng) -> list[Shape]:
    """A butterfly with spread, spotted wings."""
    wide, low = rng.uniform(0.9, 1.12), rng.uniform(0.85, 1.1)
    upper = smooth(
        [(0.02, -0.5), (0.14, -0.78), (0.42 * wide, -0.98), (0.58 * wide, -0.86), (0.5 * wide, -0.6), (0.26, -0.46)]
    )
    lower = smooth(
        [(0.02, -0.48), (0.28, -0.46), (0.46 * wide, -0.34 * low), (0.36 * wide, -0.12), (0.2, -0.06), (0.06, -0.26)]
    )
    pale = pick(rng, "second", "white")

    def inner(wing: Points, share: float, anchor: tuple[float, float]) -> Points:
        return (wing - anchor) * share + anchor

    half = [
        fill(lower, "third", bulge=0.7),
        fill(inner(lower, 0.66, (0.1, -0.4)), "second", bulge=0, line=False),
        fill(upper, "main", bulge=0.7),
        fill(inner(upper, 0.68, (0.12, -0.6)), "second" if pale == "white" else "third", bulge=0, line=False),
        fill(inner(upper, 0.4, (0.14, -0.58)), "main", bulge=0, line=False),
        fill(ellipse(0.47 * wide, -0.83, 0.05, 0.045), pale, bulge=0.3),
        fill(ellipse(0.45 * wide, -0.68, 0.034), pale, bulge=0.3),
        fill(ellipse(0.31 * wide, -0.24 * low, 0.05), pale, bulge=0.3),
        fill(ellipse(0.31 * wide, -0.24 * low, 0.022), "dark", bulge=0, line=False),
    ]
    shapes = [replace(s, points=mirror(s.points)) for s in half] + half
    feelers = arc(0.16, -0.86, 0.15, 0.2, 180, 270, 10)
    for path in (feelers, mirror(feelers)):
        shapes.append(stroke(path + np.array((0, 0.12)), "dark", 0.014))
        shapes.append(fill(ellipse(path[-1, 0], path[-1, 1] + 0.12, 0.02), "dark", bulge=0.3))
    shapes.append(fill(ellipse(0, -0.42, 0.045, 0.26), "dark", bulge=0.8))
    shapes.append(fill(ellipse(0, -0.7, 0.055), "dark", bulge=0.8))
    return shapes
