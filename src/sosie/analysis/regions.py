"""What a library sees in pictures: its detector and segmenter, and the regions that are cut out and embedded.

A *kind* of regions is ``objects`` (what the detector finds), ``mask:person`` (what the segmenter takes for a class;
``mask:!person`` is the rest) or ``pooled`` (squares of the embedder's own feature map). Each is a space of its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sosie.catalogue import AddRegions, Space, Store
from sosie.catalogue.specs import spec_hash
from sosie.contracts import Embedder, FeatureMaps
from sosie.errors import UntrustedModel, UsageError
from sosie.regions.description import Description, Input, read_description
from sosie.regions.detector import OnnxDetector
from sosie.regions.masks import Fill, cut_out, masked_region
from sosie.regions.pooled import pooled_regions
from sosie.regions.segmenter import Segmenter
from sosie.registry import nearest
from sosie.types import Box, FloatMatrix, Head, Picture, Pixels, Region

__all__ = ["WHOLE", "Parts", "RegionExtractor", "Stage", "shown"]

WHOLE = Region((0.0, 0.0, 1.0, 1.0), None, 0.0)  # stands for a picture in which nothing was found
MOST_STORED = 16  # objects of one picture; more of them are a crowd that nobody searches by
_RECORD = "sight"


@dataclass(frozen=True, slots=True)
class Parts:
    """What to take of a query, from the outside in: a box, one object or all, what a mask keeps."""

    box: Box | None = None
    objects: bool = False
    object: int | None = None  # its number, from 1, in the order in which objects are listed
    mask: str | None = None
    fill: Fill = "mean"

    @property
    def whole(self) -> bool:
        """Whether the picture itself is searched, be it along with its objects."""
        return not (self.box or self.mask or self.object is not None)

    @property
    def given(self) -> bool:
        """Whether anything but the whole picture is asked for."""
        return self.objects or not self.whole


class Stage(Protocol):
    """One kind of regions at index time: finds them in a batch of analysed pictures, and embeds them."""

    @property
    def space(self) -> Space: ...

    @property
    def wants_maps(self) -> bool:
        """Whether it needs the embedder's feature maps."""
        ...

    @property
    def wants_pixels(self) -> bool:
        """Whether it needs more of a picture than the embedder's input: ``working`` of `sosie.analysis.worker`."""
        ...

    def find(self, analysed: Sequence[Mapping[str, Any]], maps: FloatMatrix | None) -> list[AddRegions]:
        """Return the regions of each picture, at least one, and their vectors."""
        ...


class RegionExtractor:
    """The detector and the segmenter that a library was told to use, and the kinds of regions that it keeps."""

    def __init__(self, catalogue: Store, embedder: Embedder) -> None:
        self._catalogue = catalogue
        self._embedder = embedder

    def use(self, *, detector: str | None = None, segmenter: str | None = None) -> None:
        """Take these networks from now on; each is loaded and tried before it is remembered.

        They are given as `read_description` takes them. Raises NotFound, UntrustedModel.
        """
        if detector is not None:
            seen = OnnxDetector(read_description(detector, task="detect"))
            seen.warm_up()
            self._remember(detector=_stored(seen.description))
            self.__dict__["detector"] = seen
        if segmenter is not None:
            split = Segmenter(read_description(segmenter, task="segment"))
            split.warm_up()
            self._remember(segmenter=_stored(split.description))
            self.__dict__["segmenter"] = split

    @cached_property
    def detector(self) -> OnnxDetector:
        """The library's detector; raises UsageError where it has none."""
        stored = self._record.get("detector")
        if stored is None:
            raise UsageError(
                "objects need a detector: give --detector yolox:FILE.onnx, or a description.json"
                " (docs/how-to/search-by-parts.md says where to get one)"
            )
        return OnnxDetector(_restored(stored))

    @cached_property
    def segmenter(self) -> Segmenter:
        """The library's segmenter; raises UsageError where it has none."""
        stored = self._record.get("segmenter")
        if stored is None:
            raise UsageError(
                "masks need a segmenter: give --segmenter deeplabv3_pascal:FILE.onnx, or a description.json"
                " (docs/how-to/search-by-parts.md says where to get one)"
            )
        return Segmenter(_restored(stored))

    @property
    def can_detect(self) -> bool:
        """Whether there is a detector."""
        return "detector" in self._record

    def mask_choices(self) -> tuple[str, ...]:
        """Return masks worth offering: those that are kept, and a person where the segmenter knows one."""
        if "segmenter" not in self._record:
            return ()
        kept = [kind.removeprefix("mask:") for kind in self.kinds if kind.startswith("mask:")]
        person = ["person", "!person"] if "person" in self.segmenter.description.classes else []
        return tuple(dict.fromkeys([*kept, *person]))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of regions that pictures get when they are added."""
        return tuple(self._record.get("kinds", ()))

    def keep(self, kinds: Sequence[str]) -> None:
        """Give pictures these kinds of regions, besides those kept already, when they are added."""
        for kind in kinds:
            self.space(kind)
        if wanted := [kind for kind in kinds if kind not in self.kinds]:
            self._remember(kinds=[*self.kinds, *wanted])

    def key_of(self, kind: str) -> str:
        """Return what a kind is called in the catalogue, with the network that finds it; raise UsageError."""
        if kind == "pooled" and not self._can_pool:
            raise UsageError(f"{self._embedder.spec.name} has no feature map to pool regions from: use another --model")
        if kind == "pooled":
            return kind
        if kind == "objects":
            return f"objects:{self.detector.description.key}"
        if kind.startswith("mask:") and kind != "mask:":
            self.segmenter.rows_of(kind.removeprefix("mask:"))
            return f"{kind}:{self.segmenter.description.key}"
        raise UsageError(f"no kind of regions is called {kind!r}: objects, pooled, mask:CLASS or mask:!CLASS")

    def space(self, kind: str) -> Space:
        """Return the space of a kind, making it where it is not there; raise UsageError."""
        spec = self._embedder.spec
        return self._catalogue.ensure_spaces(spec, regions=self.key_of(kind), heads=[self._head(kind)])[0]

    def known_space(self, kind: str) -> Space | None:
        """Return the space of a kind where some picture has its regions; never makes one."""
        wanted = (self.key_of(kind), self._fingerprint)
        return next((s for s in self._catalogue.spaces() if (s.regions, s.spec_hash) == wanted), None)

    @cached_property
    def _fingerprint(self) -> str:
        return spec_hash(self._embedder.spec)

    def existing_space(self, kind: str) -> Space:
        """Return the space of a kind; raise UsageError where no picture has such regions."""
        space = self.known_space(kind)
        if space is None:
            raise UsageError(f"no picture has {kind} regions yet: `sosie add FOLDER --regions {kind}`")
        return space

    def space_named(self, name: str) -> Space:
        """Return the model's space of a kind (``whole``, ``objects``, ``mask:person`` …), or that of a full name.

        Raises UsageError where no picture has such regions.
        """
        spaces = {each.name: each for each in self._catalogue.spaces()}
        if name in spaces:
            return spaces[name]
        if name == "whole":
            return self._catalogue.ensure_spaces(self._embedder.spec)[0]
        if self.known_space(name) is None:
            known = {each.regions for each in spaces.values()}
            raise UsageError(f"no picture has vectors of {name!r}; {nearest(name, sorted(known | set(spaces)))}")
        return self.existing_space(name)

    def fitting(self, parts: Parts) -> list[str]:
        """Return the kept kind that suits a query, if any: an equal mask for a mask, objects or squares for a part."""
        wanted = [f"mask:{parts.mask}"] if parts.mask else ["objects", "pooled"] if parts.given else []
        return [kind for kind in wanted if kind in self.kinds and self.known_space(kind)][:1]

    def advice(self, mask: str) -> str | None:
        """Say what would let a mask of a query tell pictures apart; None where they have such regions already."""
        if self.fitting(Parts(mask=mask)):
            return None
        kind = shlex.quote(f"mask:{mask}")
        return (
            f"the {mask} of the query is compared with whole pictures, whose scores lie close together:"
            f" pictures that are added with `--regions {kind}` are told apart by theirs"
        )

    def stages(self) -> list[Stage]:
        """Return what has to be done to each picture that is added; networks are loaded and tried first."""
        return [self._stage(kind) for kind in self.kinds if kind != "pooled" or self._can_pool]

    def _stage(self, kind: str) -> Stage:
        if kind == "pooled":
            return _Pooled(self.space(kind))
        if kind == "objects":
            self.detector.warm_up()
            return _Cut(self.space(kind), self._embedder, lambda pixels: shown(self.detector.detect(pixels)))
        self.segmenter.warm_up()
        wanted = kind.removeprefix("mask:")
        return _Cut(self.space(kind), self._embedder, lambda pixels: [self.mask(pixels, wanted)])

    def mask(self, pixels: Pixels, wanted: str) -> Region:
        """Return what the segmenter takes for ``wanted``; the whole picture, with confidence 0, where it is nothing."""
        threshold = self.segmenter.description.threshold
        return masked_region(self.segmenter.probability(pixels, wanted), wanted, threshold=threshold)

    def _head(self, kind: str) -> Head:
        """Return what a kind's vectors are: the embedder's first, or its feature map's, whose depth it tells."""
        if kind != "pooled":
            return self._embedder.spec.heads[0]
        assert isinstance(self._embedder, FeatureMaps)
        side = self._embedder.spec.preprocessing.side
        maps = self._embedder.feature_maps([Picture(np.zeros((side, side, 3), np.uint8), side, side)])
        return Head("featuremap", maps.shape[1])

    @property
    def _can_pool(self) -> bool:
        return isinstance(self._embedder, FeatureMaps) and self._embedder.has_feature_map

    @property
    def _record(self) -> dict[str, Any]:
        return dict(self._catalogue.record(_RECORD) or {})

    def _remember(self, **changes: Any) -> None:
        self._catalogue.put_record(_RECORD, {**self._record, **changes})


@dataclass(frozen=True, slots=True)
class _Cut:
    """Regions that are cut out of the picture and embedded like pictures."""

    space: Space
    embedder: Embedder
    regions: Callable[[Pixels], list[Region]]
    wants_maps: bool = False
    wants_pixels: bool = True

    def find(self, analysed: Sequence[Mapping[str, Any]], maps: FloatMatrix | None) -> list[AddRegions]:
        found = [self.regions(each["working"]) or [WHOLE] for each in analysed]
        cuts = [cut_out(a["working"], region) for a, each in zip(analysed, found, strict=True) for region in each]
        pictures = [Picture(cut, cut.shape[1], cut.shape[0]) for cut in cuts]
        vectors = self.embedder.embed(pictures)[:, : self.space.dim]
        edges = np.cumsum([len(each) for each in found])[:-1]
        parts = np.split(vectors, edges)
        return [AddRegions(self.space.regions, each, part) for each, part in zip(found, parts, strict=True)]


@dataclass(frozen=True, slots=True)
class _Pooled:
    """Regions of the feature maps that the embedder gives along with its vectors."""

    space: Space
    wants_maps: bool = True
    wants_pixels: bool = False

    def find(self, analysed: Sequence[Mapping[str, Any]], maps: FloatMatrix | None) -> list[AddRegions]:
        assert maps is not None
        regions, vectors = pooled_regions(maps)
        return [AddRegions(self.space.regions, regions, each) for each in vectors]


def shown(regions: Sequence[Region]) -> list[Region]:
    """Return the regions that matter most, by confidence and extent, still surest first."""
    if len(regions) <= MOST_STORED:
        return list(regions)
    best = sorted(regions, key=lambda region: -region.confidence * region.area**0.5)[:MOST_STORED]
    return sorted(best, key=lambda region: -region.confidence)


def _stored(description: Description) -> dict[str, Any]:
    return {**asdict(description), "folder": "", "file": str(description.path.absolute())}


def _restored(stored: Mapping[str, Any]) -> Description:
    try:
        lists = ("mean", "std")
        how: dict[str, Any] = {k: tuple(v) if k in lists else v for k, v in stored["input"].items()}
        rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        del rest["input"], rest["folder"]
        return Description(**rest, input=Input(**how), folder=Path())
    except (KeyError, TypeError) as error:
        raise UntrustedModel(f"the stored description of a network does not parse: {error!r}; name it anew") from error
