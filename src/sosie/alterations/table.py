"""The table of alterations by name, and the two functions that apply them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np

from sosie.alterations import colour, layouts, overlays, shape
from sosie.alterations.record import Altered, Edit, Matrix, Polygon, Record, Step, inverse, mapped
from sosie.errors import UnknownName, UsageError
from sosie.registry import nearest
from sosie.types import Pixels

__all__ = ["CHAINS", "FAMILIES", "GROUPS", "alter", "chain", "names"]

Alone = Callable[[Pixels, np.random.Generator], Edit]
Editing = Callable[[Pixels, np.random.Generator, Sequence[Pixels]], Edit]


def _lift(table: dict[str, Alone]) -> dict[str, Editing]:
    """Let functions that need no other picture be called like those that do."""

    def lifted(edit: Alone) -> Editing:
        return lambda pixels, rng, _others: edit(pixels, rng)

    return {name: lifted(edit) for name, edit in table.items()}


# a chain takes at most one edit of each group, in this order: shape first, then surroundings, quality last
_TABLES: dict[str, dict[str, Editing]] = {
    "crop": _lift(shape.CROPS),
    "flip": _lift(shape.FLIPS),
    "scale": _lift(shape.SCALES),
    "light": _lift(colour.LIGHT),
    "colour": _lift(colour.COLOUR),
    "cover": _lift(overlays.COVERS) | overlays.PASTES,
    "warp": _lift(shape.WARPS),
    "frame": _lift(shape.FRAMES) | _lift(layouts.CAPTIONS) | layouts.LAYOUTS,
    "cut": _lift(layouts.CUTS),
    "quality": _lift(colour.QUALITY),
}

FAMILIES = MappingProxyType({name: edit for table in _TABLES.values() for name, edit in table.items()})
GROUPS = MappingProxyType({name: group for group, table in _TABLES.items() for name in table})
CHAINS = MappingProxyType({"chain_2": 2, "chain_3": 3, "chain_4": 4})


def names() -> tuple[str, ...]:
    """Return every name that ``alter`` takes: the families, then the chains of two to four of them."""
    return (*FAMILIES, *CHAINS)


def alter(pixels: Pixels, name: str, seed: int, *, others: Sequence[Pixels] = ()) -> Altered:
    """Alter a picture in one named way; equal arguments give equal results.

    ``others`` are pictures that collages, backgrounds and pasted pictures are drawn from; without any they
    use made-up textures. Raises UnknownName for a name that is not in the table.
    """
    rng = np.random.default_rng([seed % 2**64, zlib.crc32(name.encode())])
    if name in CHAINS:
        return _apply(pixels, _drawn(CHAINS[name], rng), rng, name=name, seed=seed, others=others)
    return _apply(pixels, (name,), rng, name=name, seed=seed, others=others)


def chain(pixels: Pixels, steps: Sequence[str], seed: int, *, others: Sequence[Pixels] = ()) -> Altered:
    """Alter a picture by the named families one after the other."""
    name = "+".join(steps)
    rng = np.random.default_rng([seed % 2**64, zlib.crc32(name.encode())])
    return _apply(pixels, steps, rng, name=name, seed=seed, others=others)


def _drawn(count: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw ``count`` families of different groups, in the order of the table; no split and shuffle."""
    groups = [group for group in _TABLES if group != "cut"]
    chosen = sorted(int(at) for at in rng.choice(len(groups), count, replace=False))
    return tuple(str(rng.choice(list(_TABLES[groups[at]]))) for at in chosen)


def _apply(
    pixels: Pixels,
    steps: Sequence[str],
    rng: np.random.Generator,
    *,
    name: str,
    seed: int,
    others: Sequence[Pixels],
) -> Altered:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise UsageError(f"pixels must be uint8 (height, width, 3) and not empty, not {pixels.shape}")
    reference = (pixels.shape[1], pixels.shape[0])
    matrix: Matrix | None = np.eye(3)
    done: list[Step] = []
    covered: list[Polygon] = []
    for step in steps:
        if step not in FAMILIES:
            raise UnknownName(f"no alteration is called {step!r}; {nearest(step, names())}")
        edit = FAMILIES[step](pixels, rng, others)
        pixels = edit.pixels
        matrix = edit.matrix @ matrix if matrix is not None and edit.matrix is not None else None
        done.append(Step(step, dict(edit.params)))
        if matrix is not None:
            covered += [_in_reference(box, matrix, reference) for box in edit.covered]
    altered = (pixels.shape[1], pixels.shape[0])
    return Altered(
        np.ascontiguousarray(pixels),
        Record(name, seed, tuple(done), reference, altered, matrix, tuple(covered)),
    )


def _in_reference(box: tuple[float, float, float, float], matrix: Matrix, reference: tuple[int, int]) -> Polygon:
    """Return the corners of a box of the altered picture, relative to the reference."""
    x, y, width, height = box
    around = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    back = mapped(inverse(matrix), around) / np.array(reference)
    return tuple((float(px), float(py)) for px, py in back)
