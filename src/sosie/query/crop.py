"""The part of a query that somebody means: a box of their own, an object that was found, what a mask leaves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sosie.analysis.regions import Parts, RegionExtractor, shown
from sosie.errors import UsageError
from sosie.regions.masks import Fill, cut_out, outline
from sosie.types import Box, Picture, Region

__all__ = ["Crops", "crop"]


_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Crops:
    """What is left of a picture, the objects in it with a picture of each, and what to tell about it.

    ``box`` is where that lies in the picture, None where it is the whole of it; ``unmasked`` is what lies there.
    """

    picture: Picture
    objects: tuple[Region, ...] = ()
    crops: tuple[Picture, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    box: Box | None = None
    unmasked: Picture | None = None


def crop(picture: Picture, parts: Parts, extractor: RegionExtractor, *, name: str = "the query") -> Crops:
    """Take the parts of a picture that are asked for; raise UsageError where there is no such box, object or class.

    An empty mask, or a picture without any object, is searched whole, and a warning says so.
    """
    about: dict[str, Any] = {}
    outer = _WHOLE
    if parts.box is not None:
        _check(parts.box)
        outer, about["box"] = parts.box, list(parts.box)
        picture = _cut(picture, Region(parts.box))
    found: list[Region] = []
    if parts.objects or parts.object is not None:
        found = shown(extractor.detector.detect(picture.pixels))
        about["objects"] = [_outwards(region, outer).to_json() for region in found]
    if parts.object is not None:
        chosen = _chosen(found, parts.object, name)
        about |= {"object": parts.object, "box": list(_outwards(chosen, outer).box)}
        outer = _outwards(chosen, outer).box
        picture, found = _cut(picture, chosen), []
    elif parts.objects and not found:
        warnings.warn(f"no object was found in {name}: it is searched whole", stacklevel=2)
    mask = None
    if parts.mask:
        mask = extractor.mask(picture.pixels, parts.mask)
        about["mask"] = _about_mask(mask, parts.mask, outer)
        if mask.mask is None:
            warnings.warn(f"no {parts.mask} was found in {name}: it is searched whole", stacklevel=2)
        elif advice := extractor.advice(parts.mask):
            about["mask"]["advice"] = advice
            warnings.warn(advice, stacklevel=2)
    crops = [_cut(picture, replace(region, mask=mask.mask if mask else None), parts.fill) for region in found]
    left = _cut(picture, mask, parts.fill) if mask else picture
    regions = tuple(_outwards(region, outer) for region in found)
    if mask is not None:
        picture, outer = _cut(picture, Region(mask.box)), _outwards(mask, outer).box
    if outer == _WHOLE:
        return Crops(left, regions, tuple(crops), about)
    return Crops(left, regions, tuple(crops), about, outer, picture)


def _chosen(found: list[Region], number: int, name: str) -> Region:
    if 1 <= number <= len(found):
        return found[number - 1]
    listed = ", ".join(f"{at} {r.label} {r.confidence:.2f}" for at, r in enumerate(found, 1))
    raise UsageError(f"there is no object {number} in {name}: {listed or 'none was found'}")


def _about_mask(mask: Region, wanted: str, outer: Box) -> dict[str, Any]:
    share = 1.0 if mask.mask is None else float(mask.mask.mean())
    told: dict[str, Any] = {"asked": wanted, "found": mask.mask is not None, "share": round(share, 4)}
    told["box"] = [round(edge, 5) for edge in _outwards(mask, outer).box]
    if mask.mask is not None:
        left, top, width, height = outer
        told["outline"] = [
            [(round(left + x * width, 4), round(top + y * height, 4)) for x, y in each] for each in outline(mask.mask)
        ]
    return told


def _check(box: Box) -> None:
    x, y, width, height = box
    if not (0 <= x < 1 and 0 <= y < 1 and 0 < width <= 1 - x + 1e-6 and 0 < height <= 1 - y + 1e-6):
        raise UsageError(f"a box is x,y,width,height between 0 and 1 and inside the picture, not {box}")


def _cut(picture: Picture, region: Region, fill: Fill = "mean") -> Picture:
    pixels = cut_out(picture.pixels, region, fill=fill)
    return Picture(pixels, pixels.shape[1], pixels.shape[0])


def _outwards(region: Region, outer: Box) -> Region:
    """Return a region of a part as one of the picture that the part was cut from."""
    x, y, width, height = region.box
    box = (outer[0] + x * outer[2], outer[1] + y * outer[3], width * outer[2], height * outer[3])
    return replace(region, box=box)
