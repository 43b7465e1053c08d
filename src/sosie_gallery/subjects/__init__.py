"""What can be drawn: each subject is one function from a random generator to shapes, and one line in ``SUBJECTS``.

A subject stands on y = 0 and is about one unit tall, y pointing down, x = 0 in its middle. Its parts are named by
role, never by colour, so that moods and media decide how it looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sosie_gallery.canvas import Rng, Shape
from sosie_gallery.subjects.air import balloon, bird, butterfly
from sosie_gallery.subjects.animals import cat, fish
from sosie_gallery.subjects.built import boat, cup, house, lighthouse, mountain
from sosie_gallery.subjects.plants import flower, mushroom, tree
from sosie_gallery.subjects.wheels import bicycle, car

__all__ = ["SUBJECTS", "Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing to draw, the setting that it belongs in, and its share of the picture's height."""

    draw: Callable[[Rng], list[Shape]]
    setting: str
    size: float = 0.6
    tilt: float = 2.0  # degrees that it may lean


SUBJECTS: Mapping[str, Subject] = {
    "balloon": Subject(balloon, "sky", 0.78, 5),
    "bicycle": Subject(bicycle, "land", 0.54, 0),
    "bird": Subject(bird, "perch", 0.6, 3),
    "boat": Subject(boat, "sea", 0.62, 4),
    "butterfly": Subject(butterfly, "meadow", 0.66, 16),
    "car": Subject(car, "road", 0.56, 0),
    "cat": Subject(cat, "room", 0.74, 0),
    "cup": Subject(cup, "room", 0.56, 0),
    "fish": Subject(fish, "underwater", 0.52, 8),
    "flower": Subject(flower, "meadow", 0.76, 3),
    "house": Subject(house, "land", 0.58, 0),
    "lighthouse": Subject(lighthouse, "sea", 0.74, 0),
    "mountain": Subject(mountain, "land", 0.58, 0),
    "mushroom": Subject(mushroom, "meadow", 0.66, 3),
    "tree": Subject(tree, "land", 0.72, 2),
}
