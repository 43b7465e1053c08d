"""Where a subject stands: sky, hills, sea, meadow, road or room, with the mood's light and weather.

A backdrop is one function from a ``Stage`` to shapes in pixels and one line in ``BACKDROPS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sosie_gallery.canvas import Points, Rng, Shape, arc, blob, ellipse, fill, polygon, rect, smooth, stroke, taper

__all__ = ["BACKDROPS", "Stage", "weather"]

OVER = 24  # pixels that land and sea reach beyond the picture, so that no shadow or outline falls at its edge


@dataclass(frozen=True, slots=True)
class Stage:
    """The size of a picture, its chance, its mood and where its light stands (pixels)."""

    width: int
    height: int
    rng: Rng
    mood: str
    sky: str  # clear, puffs, rain, overcast, mist, stars, bats
    sun: tuple[float, float]


def _back(points: Points, role: str, *, bulge: float = 0.3, alpha: float = 1.0, line: bool = True) -> Shape:
    return replace(fill(points, role, bulge=bulge, alpha=alpha, line=line), layer="back")


def _thin(points: Points, role: str, width: float, alpha: float = 1.0) -> Shape:
    return replace(stroke(points, role, width, alpha=alpha), layer="back")


def _ridge(stage: Stage, y: float, swing: float, waves: float) -> Points:
    """Return the land below a rolling line at ``y`` (a share of the height)."""
    x = np.linspace(-OVER, stage.width + OVER, 40)
    phase = stage.rng.uniform(0, 6.3, 3)
    t = x / stage.width * waves * 2 * np.pi
    roll = np.sin(t + phase[0]) + 0.5 * np.sin(1.9 * t + phase[1]) + 0.25 * np.sin(4.1 * t + phase[2])
    line = np.stack([x, stage.height * (y + swing * roll)], 1)
    return np.concatenate([line, [(stage.width + OVER, stage.height + OVER), (-OVER, stage.height + OVER)]])


def _heavens(stage: Stage) -> list[Shape]:
    """The sun or moon, clouds and stars."""
    w, h, rng = stage.width, stage.height, stage.rng
    shapes: list[Shape] = []
    if stage.mood == "scary":
        for _ in range(26):
            x, y, r = rng.uniform(0, w), rng.uniform(0, 0.55 * h), rng.uniform(0.6, 1.7)
            shapes.append(_back(ellipse(x, y, r), "cream", line=False, bulge=0, alpha=0.7))
    if stage.sky not in ("rain", "overcast"):
        radius = h * float(rng.uniform(0.075, 0.11))
        if stage.mood == "happy" and stage.rng.random() < 0.5:
            for angle in np.arange(0, 360, 30):
                dx, dy = np.cos(np.radians(angle)), np.sin(np.radians(angle))
                reach = np.array([(dx, dy)]) * np.array([[1.3], [1.65]]) * radius
                shapes.append(_thin(reach + stage.sun, "sun", h * 0.013))
        shapes.append(_back(ellipse(*stage.sun, radius), "sun", bulge=0.6))
        if stage.mood == "scary":
            shapes += [
                _back(
                    ellipse(stage.sun[0] + dx * radius, stage.sun[1] + dy * radius, r * radius),
                    "cream",
                    bulge=0,
                    alpha=0.5,
                    line=False,
                )
                for dx, dy, r in ((-0.3, -0.2, 0.22), (0.3, 0.3, 0.16), (0.2, -0.45, 0.12))
            ]
    count = {"clear": 1, "puffs": 3, "mist": 2, "stars": 1, "bats": 2}.get(stage.sky, 0)
    for i in range(count):
        x = w * (i + float(rng.uniform(0.15, 0.85))) / count
        shapes += _cloud(stage, x, h * float(rng.uniform(0.1, 0.34)), h * float(rng.uniform(0.05, 0.085)))
    if stage.sky in ("rain", "overcast"):
        for i in range(7):
            x, y = w * (i + 0.5) / 7, h * float(rng.uniform(0.02, 0.16))
            shapes.append(_back(blob(rng, x, y, w * 0.17, h * 0.1, 0.14), "cloud", bulge=0.6, alpha=0.9))
    return shapes


def _cloud(stage: Stage, x: float, y: float, size: float) -> list[Shape]:
    """One cloud: a flat foot under a few humps, as one outline."""
    humps = int(stage.rng.integers(3, 5))
    reach = size * (0.8 + 0.55 * humps)
    across = np.linspace(x - reach * 1.08, x + reach * 1.08, 64)
    top = np.zeros(64)
    for i in range(humps):
        middle = x - reach + (i + 0.5) * 2 * reach / humps
        high = size * float(stage.rng.uniform(0.9, 1.4)) * (1.25 - abs(i - (humps - 1) / 2) / humps)
        half = reach / humps * 1.35
        top = np.maximum(top, high * np.sqrt(np.clip(1 - ((across - middle) / half) ** 2, 0, 1)))
    crown = np.stack([across, y - top], 1)
    foot = arc(x, y, reach * 1.08, size * 0.24, 0, 180, 12)
    return [_back(np.concatenate([crown, foot]), "cloud", bulge=0.8, alpha=0.94)]


def land(stage: Stage) -> tuple[list[Shape], list[Shape], float]:
    """Rolling hills under the sky; things stand on the grass."""
    h = stage.height
    shapes = _heavens(stage)
    shapes.append(_back(_ridge(stage, 0.62, 0.03, 1.3), "far"))
    shapes.append(_back(_ridge(stage, 0.7, 0.02, 0.9), "near"))
    shapes += _far_things(stage, 0.685)
    shapes.append(_back(_ridge(stage, 0.78, 0.006, 0.6), "ground"))
    return shapes, _tufts(stage, 0.86, 0.99, 9), h * 0.87


def meadow(stage: Stage) -> tuple[list[Shape], list[Shape], float]:
    """Low ground close by: grass and small flowers in front."""
    shapes = _heavens(stage)
    shapes.append(_back(_ridge(stage, 0.74, 0.03, 0.8), "near"))
    shapes.append(_back(_ridge(stage, 0.85, 0.012, 0.7), "ground"))
    return shapes, _tufts(stage, 0.9, 1.02, 16), stage.height * 0.91


def road(stage: Stage) -> tuple[list[Shape], list[Shape], float]:
    """Hills behind a road with a dashed line."""
    w, h = stage.width, stage.height
    shapes = _heavens(stage)
    shapes.append(_back(_ridge(stage, 0.6, 0.03, 1.2), "far"))
    shapes.append(_back(_ridge(stage, 0.68, 0.015, 0.9), "near"))
    shapes += _far_things(stage, 0.68)
    shapes.append(_back(rect(-OVER, h * 0.76, w + OVER, h * 0.94), "shade", bulge=0))
    for x in np.arange(-20, w, w / 5) + float(stage.rng.uniform(0, 40)):
        shapes.append(_back(rect(x, h * 0.9, x + w / 10, h * 0.912), "white", bulge=0, line=False))
    shapes.append(_back(rect(-OVER, h * 0.94, w + OVER, h + OVER), "ground", bulge=0))
    return shapes, [], h * 0.85


def sky(stage: Stage) -> tuple[list[Shape], list[Shape], float]:
    """High up: clouds about, land far below."""
    shapes = _heavens(stage)
    for _ in range(2):
        x, y = stage.rng.uniform(0, 1) * stage.width, stage.rng.uniform(0.45, 0.7) * stage.height
        if stage.sky not in ("rain", "overcast"):
            shapes += _cloud(stage, float(x), float(y), stage.height * 0.05)
    shapes.append(_back(_ridge(stage, 0.86, 0.025, 1.4), "far"))
    shapes.append(_back(_ridge(stage, 0.92, 0.015, 1.0), "near"))
    return shapes, [], stage.height * 0.86


def perch(stage: Stage) -> tuple[list[Shape], list[Shape], float]:
    """Above the trees: as the sky, with what sits there lower in the picture."""
    shapes, front, _ = sky(stage)
    return shapes, front, stage.height * 0.78


def sea(stage: Stage) -> tuple[list[Shape], list[Shape], float]:
    """Water to the horizon, with waves before what floats on it."""
    w, h, rng = stage.width, stage.height, stage.rng
    shapes = _heavens(stage)
    if rng.random() < 0.6:
        island = ellipse(w * float(rng.uniform(0.1, 0.9)), h * 0.64, w * 0.2, h * 0.06)
        shapes.append(_back(island, "far"))
    shapes.append(_back(rect(-OVER, h * 0.63, w + OVER, h + OVER), "water", bulge=0))
    for _ in range(16):
        x, y = rng.uniform(0, w), rng.uniform(0.66, 0.8) * h
        long = w * rng.uniform(0.02, 0.05)
        path = smooth(
            [(x - long, y), (x - long / 2, y - 2.5), (x, y), (x + long / 2, y - 2.5), (x + long, y)], closed=False
        )
        shapes.append(_thin(path, "white", 1.8, 0.55))
    front = [replace(_back(_waves(stage, y), "water", alpha=a), layer="front") for y, a in ((0.83, 0.85), (0.91, 1.0))]
    return shapes, front, h * 0.84


def _waves(stage: Stage, y: float) -> Points:
    x = np.linspace(-OVER, stage.width + OVER, 90)
    crest = np.abs(np.sin(x / stage.width * np.pi * 5 + stage.rng.uniform(0, 3)))
    line = np.stack([x, stage.height * (y - 0.022 * crest)], 1)
    return np.concatenate([line, [(stage.width + OVER, stage.height + OVER), (-OVER, stage.height + OVER)]])


def underwater(stage: Stage) -> tuple[list[Shape], list[Shape], float]:
    """Below the surface: rays of light, sand, weed and bubbles."""
    w, h, rng = stage.width, stage.height, stage.rng
    shapes = [_back(rect(-OVER, -OVER, w + OVER, h + OVER), "water", bulge=0, alpha=0.72, line=False)]
    for i in range(4):
        x = w * (i + float(rng.uniform(0.1, 0.7))) / 4
        wide = w * float(rng.uniform(0.03, 0.07))
        ray = polygon((x, -5), (x + wide, -5), (x + wide * 2.6 - w * 0.2, h), (x - w * 0.2, h))
        shapes.append(_back(ray, "white", bulge=0, alpha=0.12, line=False))
    shapes.append(_back(_ridge(stage, 0.9, 0.015, 1.1), "cream"))
    for x in w * np.abs(rng.uniform(-0.3, 0.3, 7) % 1):  # at the sides, lest a fish seem to have legs
        high = h * float(rng.uniform(0.15, 0.4))
        sway = w * 0.03
        path = smooth(
            [
                (x, h * 0.95),
                (x + sway, h * 0.95 - high * 0.4),
                (x - sway, h * 0.95 - high * 0.7),
                (x + sway, h * 0.95 - high),
            ],
            closed=False,
        )
        shapes.append(_back(taper(path, h * 0.03, h * 0.006), str(rng.choice(["leaf", "leaf2", "rose"])), bulge=0.7))
    for _ in range(3):
        stone = blob(rng, float(rng.uniform(0, w)), h * 0.94, h * 0.07, h * 0.04, 0.15)
        shapes.append(_back(stone, "stone", bulge=0.8))
    bubbles = [
        ellipse(float(rng.uniform(0, w)), float(rng.uniform(0, h * 0.8)), float(rng.uniform(2, 6))) for _ in range(9)
    ]
    return shapes, [replace(_back(b, "white", alpha=0.4), layer="front") for b in bubbles], h * 0.8


def room(stage: Stage) -> tuple[list[Shape], list[Shape], float]:
    """A wall with a window to the sky, and a floor or table."""
    w, h, rng = stage.width, stage.height, stage.rng
    shapes = [_back(rect(-OVER, -OVER, w + OVER, h + OVER), "wall", bulge=0, line=False)]
    if rng.random() < 0.5:
        for x in np.arange(w / 22, w, w / 11):
            shapes.append(
                _back(rect(x - w / 60, -OVER, x + w / 60, h * 0.78), "cream", bulge=0, alpha=0.35, line=False)
            )
    left = w * float(rng.choice([0.07, 0.56])) + w * float(rng.uniform(0, 0.05))
    shapes += _window(stage, left, h * 0.09, left + w * 0.32, h * 0.5)
    shapes.append(_back(rect(-OVER, h * 0.74, w + OVER, h + OVER), "floor", bulge=0))
    if rng.random() < 0.6:
        shapes.append(_back(ellipse(w / 2, h * 0.88, w * 0.4, h * 0.075), "third", bulge=0.2, alpha=0.75))
        shapes.append(_back(ellipse(w / 2, h * 0.88, w * 0.34, h * 0.055), "second", bulge=0.1, alpha=0.7, line=False))
    return shapes, [], h * 0.89


def _window(stage: Stage, left: float, top: float, right: float, bottom: float) -> list[Shape]:
    w, h = right - left, bottom - top
    shapes = [_back(rect(left, top, right, bottom), "sky_low", bulge=0)]
    shapes.append(_back(rect(left, top, right, top + h * 0.45), "sky_top", bulge=0, alpha=0.6, line=False))
    if stage.sky in ("rain", "overcast"):
        drops = stage.rng.uniform(0.08, 0.9, (9, 2)) * (w, h * 0.85) + (left, top)
        shapes += [_thin(np.array([(x, y), (x - 3, y + 12)]), "white", 1.5, 0.7) for x, y in drops]
    else:
        shapes.append(_back(ellipse(left + w * 0.66, top + h * 0.32, w * 0.13), "sun", bulge=0.4))
    hill = smooth(
        [
            (left, bottom - h * 0.2),
            (left + w * 0.3, bottom - h * 0.32),
            (left + w * 0.7, bottom - h * 0.16),
            (right, bottom - h * 0.26),
        ],
        closed=False,
    )
    shapes.append(_back(np.concatenate([hill, [(right, bottom), (left, bottom)]]), "near", bulge=0.1))
    frame = rect(left, top, right, bottom)
    shapes.append(_thin(frame[[0, 1, 2, 3, 0]], "white", w * 0.07))
    shapes.append(_thin(np.array([(left + w / 2, top), (left + w / 2, bottom)]), "white", w * 0.045))
    shapes.append(_thin(np.array([(left, top + h / 2), (right, top + h / 2)]), "white", w * 0.045))
    shapes.append(_back(rect(left - w * 0.1, bottom, right + w * 0.1, bottom + h * 0.06), "white", bulge=0.2))
    return shapes


def _far_things(stage: Stage, y: float) -> list[Shape]:
    """Small trees on the hills; bare ones and crosses where it is scary."""
    w, h, rng = stage.width, stage.height, stage.rng
    shapes: list[Shape] = []
    for x in rng.uniform(0, w, 5).tolist():
        foot, high = h * (y + float(rng.uniform(0.0, 0.05))), h * float(rng.uniform(0.07, 0.12))
        if stage.mood == "scary":
            shapes.append(_thin(np.array([(x, foot), (x + 2, foot - high * 1.2)]), "dark", 4))
            for s, up in ((-1, 0.5), (1, 0.7), (-1, 0.9)):
                branch = [(x + 1, foot - high * up), (x + s * high * 0.35, foot - high * (up + 0.4))]
                shapes.append(_thin(np.array(branch), "dark", 2))
        else:
            shapes.append(_thin(np.array([(x, foot), (x, foot - high * 0.5)]), "wood", 3))
            shapes.append(_back(blob(rng, x, foot - high * 0.75, high * 0.36, high * 0.45), "leaf2", bulge=0.8))
    return shapes


def _tufts(stage: Stage, low: float, high: float, count: int) -> list[Shape]:
    """Grass, and flowers where the mood has some, in front of the subject's foot."""
    w, h, rng = stage.width, stage.height, stage.rng
    shapes: list[Shape] = []
    for _ in range(count):
        x, y = float(rng.uniform(0, w)), h * float(rng.uniform(low, high))
        size = h * float(rng.uniform(0.018, 0.04))
        for lean in (-0.6, 0.0, 0.6):
            blade = np.array([(x + lean * 3, y), (x + lean * size, y - size)])
            shapes.append(replace(_thin(blade, "leaf", max(1.6, size * 0.16)), layer="front"))
        if stage.mood in ("happy", "peaceful") and rng.random() < 0.6:
            bloom = ellipse(x, y - size * 1.2, size * 0.3)
            shapes.append(replace(_back(bloom, str(rng.choice(["main", "second", "white", "rose"]))), layer="front"))
    return shapes


def weather(stage: Stage) -> list[Shape]:
    """Return what falls, drifts or flies before everything else."""
    w, h, rng = stage.width, stage.height, stage.rng
    shapes: list[Shape] = []
    if stage.sky == "rain":
        for x, y in rng.uniform(-0.05, 1, (44, 2)) * (w * 1.1, h):
            long = float(rng.uniform(0.03, 0.06)) * h
            shapes.append(
                replace(_thin(np.array([(x, y), (x - long * 0.3, y + long)]), "white", 1.4, 0.5), layer="front")
            )
    if stage.sky == "mist":
        for y in (0.7, 0.8):
            bank = ellipse(w * float(rng.uniform(0.2, 0.8)), h * y, w * 0.55, h * 0.035)
            shapes.append(replace(_back(bank, "cloud", bulge=0, alpha=0.4, line=False), layer="front"))
    if stage.sky == "bats":
        for x, y in rng.uniform(0.06, 0.94, (5, 2)) * (w, h * 0.4):
            shapes.append(
                replace(
                    _back(_bat(float(x), float(y), h * float(rng.uniform(0.025, 0.05))), "ink", bulge=0.2), layer="back"
                )
            )
    return shapes


def _bat(x: float, y: float, size: float) -> Points:
    half = [
        (0, -0.25),
        (0.12, -0.5),
        (0.22, -0.25),
        (0.8, -0.75),
        (1.7, -0.5),
        (1.25, -0.1),
        (0.9, 0.05),
        (0.6, 0.0),
        (0.35, 0.3),
        (0, 0.25),
    ]
    wing = np.array(half) * size
    both: Points = np.concatenate([wing, (wing * (-1, 1))[::-1]])
    both += (x, y)
    return both


BACKDROPS: Mapping[str, Callable[[Stage], tuple[list[Shape], list[Shape], float]]] = {
    "land": land,
    "meadow": meadow,
    "road": road,
    "perch": perch,
    "room": room,
    "sea": sea,
    "sky": sky,
    "underwater": underwater,
}
