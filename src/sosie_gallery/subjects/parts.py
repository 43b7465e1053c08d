"""Small things that several subjects share."""

from __future__ import annotations

from sosie_gallery.canvas import Points, Rng, Shape, ellipse, fill

__all__ = ["chance", "eye", "mirror", "pick"]


def pick(rng: Rng, *choices: str) -> str:
    """Return one of the choices."""
    return choices[int(rng.integers(len(choices)))]


def chance(rng: Rng, odds: float) -> bool:
    """Say yes with these odds."""
    return bool(rng.random() < odds)


def mirror(points: Points) -> Points:
    """Return the points with left and right exchanged."""
    return points * (-1.0, 1.0)


def eye(x: float, y: float, radius: float, role: str = "ink") -> list[Shape]:
    """Return a round eye with its light."""
    return [
        fill(ellipse(x, y, radius), role, bulge=0.4, line=False),
        fill(ellipse(x + radius * 0.3, y - radius * 0.35, radius * 0.34), "white", bulge=0, line=False),
    ]
