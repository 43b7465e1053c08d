"""Put subjects into a setting: one for a picture, several for a scene, with the box of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sosie.types import Box
from sosie_gallery.backdrops import BACKDROPS, Stage, weather
from sosie_gallery.canvas import Rng, Scene, Shape, bounds, place
from sosie_gallery.moods import MOODS, paint_box
from sosie_gallery.subjects import SUBJECTS

__all__ = ["SCENES", "compose_picture", "compose_scene"]

# Which subjects meet in a scene of several: those that stand there, and those that fly above.
SCENES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "land": (("house", "tree", "bicycle", "cat", "mushroom", "flower"), ("balloon",)),
    "road": (("car", "house", "tree", "bicycle"), ("balloon", "butterfly")),
    "meadow": (("flower", "mushroom", "tree", "cat", "bicycle"), ("butterfly", "balloon")),
    "sea": (("boat", "lighthouse", "boat"), ("balloon",)),
    "room": (("cat", "cup", "flower"), ()),
    "underwater": (("fish", "fish", "fish"), ()),
}
_INDOORS = frozenset({"room", "underwater"})
_MARGIN = 0.02  # of the picture's side, left free round a subject


def compose_picture(subject: str, mood: str, rng: Rng, *, width: int, height: int) -> tuple[Scene, Box]:
    """Return a picture of one subject and the subject's box."""
    kind = SUBJECTS[subject]
    stage, palette = _stage(mood, rng, width, height)
    back, front, base = BACKDROPS[kind.setting](stage)
    shapes = kind.draw(rng)
    left, top, right, _ = bounds(shapes)
    room = min(width * (1 - 2 * _MARGIN) / (right - left), (base - height * _MARGIN) / -top)
    scale = min(min(width, height) * kind.size * float(rng.uniform(0.94, 1.1)), room)
    figure = place(
        shapes,
        x=width * float(rng.uniform(0.46, 0.54)),
        y=base,
        scale=scale,
        flip=bool(rng.random() < 0.5),
        turn=float(rng.uniform(-kind.tilt, kind.tilt)),
    )
    falling = [] if kind.setting in _INDOORS else weather(stage)
    scene = Scene(width, height, (*back, *figure, *front, *falling), palette, stage.sun)
    return scene, _box(figure, width, height)


def compose_scene(setting: str, mood: str, rng: Rng, *, width: int, height: int) -> tuple[Scene, list[tuple[str, Box]]]:
    """Return a scene of three to five subjects side by side, and the box of each."""
    stage, palette = _stage(mood, rng, width, height)
    back, front, base = BACKDROPS[setting](stage)
    standing, flying = SCENES[setting]
    count = min(len(standing), int(rng.integers(3, 5)))
    chosen = [standing[int(i)] for i in rng.permutation(len(standing))[:count]]
    placed = _row(chosen, rng, width, height, base)
    if flying:
        name = flying[int(rng.integers(len(flying)))]
        x, y = width * float(rng.uniform(0.2, 0.8)), height * float(rng.uniform(0.4, 0.5))
        figure = place(SUBJECTS[name].draw(rng), x=x, y=y, scale=height * 0.3)
        placed.insert(0, (name, figure))
    falling = [] if setting in _INDOORS else weather(stage)
    figures = [shape for turn, (_, figure) in enumerate(placed) for shape in _recoloured(figure, turn)]
    scene = Scene(width, height, (*back, *figures, *front, *falling), palette, stage.sun)
    return scene, [(name, _box(figure, width, height)) for name, figure in placed]


def _recoloured(figure: Sequence[Shape], turn: int) -> list[Shape]:
    """Return the figure with its three colours exchanged in turn, so that neighbours differ."""
    roles = ("main", "second", "third")
    swap = {role: roles[(i + turn) % 3] for i, role in enumerate(roles)}
    return [replace(shape, role=swap.get(shape.role, shape.role)) for shape in figure]


def _row(names: Sequence[str], rng: Rng, width: int, height: int, base: float) -> list[tuple[str, list[Shape]]]:
    """Return the subjects side by side, each in its own share of the width, the nearest last."""
    placed = []
    share = width / len(names)
    for i, name in enumerate(names):
        shapes = SUBJECTS[name].draw(rng)
        left, _, right, _ = bounds(shapes)
        scale = min(height * SUBJECTS[name].size * float(rng.uniform(0.72, 0.9)), 0.97 * share / (right - left))
        foot = base + height * float(rng.uniform(-0.03, 0.05))
        if name == "fish":
            foot = height * float(rng.uniform(0.45, 0.85))
        figure = place(shapes, x=share * (i + 0.5), y=foot, scale=scale, flip=bool(rng.random() < 0.5))
        off = share * (i + 0.5) - sum(bounds(figure)[::2]) / 2  # a lopsided subject is moved to the middle
        placed.append((foot, name, place(figure, x=off, y=0, scale=1)))
    return [(name, figure) for _, name, figure in sorted(placed, key=lambda item: item[0])]


def _stage(mood: str, rng: Rng, width: int, height: int) -> tuple[Stage, dict[str, tuple[int, int, int]]]:
    feeling = MOODS[mood]
    palette = paint_box(feeling, rng)
    sky = feeling.weather[int(rng.integers(len(feeling.weather)))]
    side = rng.uniform(0.12, 0.3) if rng.random() < 0.5 else rng.uniform(0.7, 0.88)
    sun = (width * float(side), height * float(rng.uniform(*feeling.sun)))
    return Stage(width, height, rng, mood, sky, sun), palette


def _box(figure: Sequence[Shape], width: int, height: int) -> Box:
    left, top, right, bottom = bounds(figure)
    left, right = max(0.0, left), min(float(width), right)
    top, bottom = max(0.0, top), min(float(height), bottom)
    x, y, w, h = (round(v, 4) for v in (left / width, top / height, (right - left) / width, (bottom - top) / height))
    return (x, y, min(w, 1 - x), min(h, 1 - y))
