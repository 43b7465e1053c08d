"""Moods: the colours of everything in a picture, its light and its weather. A mood is one entry of ``MOODS``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sosie_gallery.canvas import RGB, Rng, mix

__all__ = ["MOODS", "Mood", "paint_box"]

# The order in which a mood lists the colours that its pictures share.
ROLES = (
    *("sun", "cloud", "far", "near", "ground", "water", "ink", "dark", "light", "metal", "wood"),
    *("leaf", "leaf2", "stone", "shade", "white", "cream", "rose", "beak", "glass", "wall", "floor"),
)


@dataclass(frozen=True, slots=True)
class Mood:
    """Shared colours, skies (top, horizon) and colour triples (main, second, third) to choose from."""

    colours: str
    skies: tuple[tuple[str, str], ...]
    triples: tuple[tuple[str, str, str], ...]
    weather: tuple[str, ...]
    sun: tuple[float, float]  # how high the light stands: from, to as a share of the picture's height


def paint_box(mood: Mood, rng: Rng) -> dict[str, RGB]:
    """Return the colour of every role for one picture of this mood."""
    box = dict(zip(ROLES, (_rgb(text) for text in mood.colours.split()), strict=True))
    top, low = mood.skies[int(rng.integers(len(mood.skies)))]
    triple = mood.triples[int(rng.integers(len(mood.triples)))]
    box |= {"sky_top": _rgb(top), "sky_low": _rgb(low)}
    box |= {role: _rgb(text) for role, text in zip(("main", "second", "third"), triple, strict=True)}
    for role in ("far", "near", "cloud"):  # air lies over what is far away
        box[role] = mix(box[role], box["sky_low"], 0.3 if role == "far" else 0.08)
    return {role: _nudged(colour, rng) for role, colour in box.items()}


def _rgb(text: str) -> RGB:
    return (int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16))


def _nudged(colour: RGB, rng: Rng) -> RGB:
    red, green, blue = (min(255, max(0, round(c + d))) for c, d in zip(colour, rng.uniform(-6, 6, 3), strict=True))
    return (red, green, blue)


MOODS: Mapping[str, Mood] = {
    "happy": Mood(
        "ffcf3f ffffff 9ad7b4 79c96f 93d16b 3fa9dc 2b3557 3c4161 fff0a8 c6d2de b8763f 45a852 6fc24d "
        "9aa6bb 7b87a0 ffffff fff2da f79aa6 ff9a1f c4ebf8 fbe2bd e0a468",
        (("5fbdf0", "d6f2f6"), ("4fb3e8", "fdf3d0"), ("79d0e8", "fff6e0")),
        (
            ("e63946", "ffd166", "118ab2"),
            ("ff7043", "ffe7a0", "2a9d8f"),
            ("ec4f9d", "fee36b", "1fb0e6"),
            ("ef476f", "fff1c4", "06a77d"),
            ("2f7de1", "ffc233", "f4511e"),
            ("f4831f", "fdf0c0", "c62f3b"),
            ("00a08a", "ffd95c", "ee5a6f"),
        ),
        ("clear", "puffs", "puffs"),
        (0.14, 0.26),
    ),
    "gloomy": Mood(
        "d5d9d6 7f8b96 7d8b92 68797a 66736b 566b7a 262c33 353c46 ead9a0 9ba5ad 6e5a4c 566b57 6b7d66 "
        "737d87 545e69 dfe4e6 d6d0c4 b28c8e b28a54 9db1bd a7a59e 7b7267",
        (("5d6874", "a9b3b9"), ("6d7480", "b9b9b4"), ("535f6e", "93a2ab")),
        (
            ("64809b", "bcc3c6", "94625f"),
            ("7b6c84", "c6beb6", "4d6673"),
            ("8a7a66", "cbc3b1", "51636d"),
            ("587c86", "c4cbc6", "8f7a55"),
            ("93605f", "c9bcb2", "4b5c69"),
        ),
        ("rain", "rain", "overcast"),
        (0.2, 0.3),
    ),
    "peaceful": Mood(
        "fff0c8 fff8f2 b9c5de a3c3b3 bad2a8 9fc8d6 474f68 5a6079 fff1be c9ced9 b68f74 86b48f a7c897 "
        "b0b5ca 9096b2 fffdf8 fdf1e0 f2b3b3 efae76 d3e7ef f4e6da d8bda3",
        (("aebfe6", "fde2cb"), ("f3bcb5", "fff0d6"), ("b8d8dc", "fbeede"), ("c9b8e0", "fde6d8")),
        (
            ("e59a8c", "fbe3c8", "86abc8"),
            ("8dadd0", "fdf0d5", "e0a393"),
            ("bf9bd2", "f9ecd2", "86baaa"),
            ("7fb5a5", "fdf3dc", "e69c85"),
            ("e6b35e", "fff3d6", "829fc2"),
        ),
        ("mist", "mist", "puffs"),
        (0.34, 0.5),
    ),
    "scary": Mood(
        "f4e8b4 33244f 33224f 211839 181129 22305a 0b0816 161024 ffb52e 77759a 47303f 2b4f41 3c6344 "
        "4b4169 2c2449 ddd6ee bdb0a4 b23c4d d9801f 74c878 3d2c4f 2b1c30",
        (("150e2d", "61295f"), ("0d1a2b", "2f6355"), ("1b0d1f", "8a2a2f"), ("101233", "4a3f86")),
        (
            ("a3203f", "e8862a", "5fb56c"),
            ("6a3fa0", "cbe35c", "e6572e"),
            ("2f7f69", "ecc94b", "9c2f55"),
            ("c9480f", "22a58f", "f2b632"),
            ("6d4aa3", "93d678", "da2a40"),
        ),
        ("stars", "bats", "bats"),
        (0.18, 0.3),
    ),
}
