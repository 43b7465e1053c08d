"""Two pictures compared: the typed verdict, its evidence, and the certificate of what was done."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sosie.analysis.features import coarse_extractor, extractor, warm_up
from sosie.analysis.fingerprints import Codes, fingerprint, hamming, variants
from sosie.analysis.worker import pixel_digest
from sosie.errors import BadPicture
from sosie.present.text import visible
from sosie.query.candidates import Candidate
from sosie.query.judge import Decided, Judged, judge, with_pixels, with_thing
from sosie.types import Picture, Pixels, Verdict
from sosie.verify.calibration import Calibration
from sosie.verify.certificate import Certificate, certify, jpeg_quality
from sosie.verify.evidence import PairEvidence, believable, examine
from sosie.verify.features import Features, from_bytes, to_bytes
from sosie.verify.pixels import luminance

__all__ = ["ANALYSE", "PARAMS", "Comparison", "Side", "analyse_side", "compare", "side_of", "warm_up"]

ANALYSE = "sosie.copies.compare:analyse_side"
PARAMS: Mapping[str, Any] = {"side": 720, "identify": "full"}
_LEAST_QUALITY = 20
_SIDE = 1024


class _Pool(Protocol):
    def submit(self, data: bytes) -> Future[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Side:
    """One of two pictures that are compared, of ``width`` × ``height``; its ``pixels`` are at most 1,024 a side."""

    name: str
    sha256: str
    size: int  # of the file, in bytes
    format: str
    width: int
    height: int
    digest: bytes
    pixels: Pixels
    codes: Codes
    quality: int
    features: Features
    coarse: Features
    jpeg: int | None

    def to_json(self) -> dict[str, Any]:
        """Return what identifies the picture."""
        facts = {"name": self.name, "sha256": self.sha256, "bytes": self.size, "format": self.format}
        return {**facts, "width": self.width, "height": self.height, "pdq": self.codes[0].tobytes().hex()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the first picture is to the second, how sure that is, and what was done to the second to make the first."""

    first: Side
    second: Side
    judged: Judged
    evidence: PairEvidence
    certificate: Certificate | None
    cut_off: float

    @property
    def is_copy(self) -> bool:
        """Whether the verdict is that one is a copy of the other."""
        return self.judged.verdict.is_copy

    def to_json(self) -> dict[str, Any]:
        """Return the document that ``sosie compare --json`` prints."""
        return {
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "verdict": str(self.judged.verdict),
            "probability": round(self.judged.probability, 6),
            "cut_off": round(self.cut_off, 6),
            "evidence": dict(self.judged.evidence),
            "certificate": None if self.certificate is None else self.certificate.to_json(),
        }


def analyse_side(picture: Picture, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a comparison needs of a picture; runs in the decode workers."""
    from PIL import Image

    image = Image.fromarray(picture.pixels)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    hashed = fingerprint(picture)
    return {
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "digest": pixel_digest(picture),
        "quality": hashed.quality,
        "variants": variants(picture).tobytes(),
        "features": to_bytes(extractor().extract(picture)),
        "coarse": to_bytes(coarse_extractor().extract(picture)),
        "working": np.asarray(image),
    }


def side_of(name: str, data: bytes, pool: _Pool) -> Side:
    """Decode one picture in a worker that runs ``ANALYSE``; raise BadPicture with its name."""
    try:
        found = pool.submit(data).result()
    except BadPicture as error:
        raise error.named(visible(name)) from error
    return Side(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        format=found["format"],
        width=found["width"],
        height=found["height"],
        digest=found["digest"],
        pixels=found["working"],
        codes=np.frombuffer(found["variants"], np.uint8).reshape(8, 32),
        quality=found["quality"],
        features=from_bytes(found["features"]),
        coarse=from_bytes(found["coarse"]),
        jpeg=jpeg_quality(data),
    )


def compare(
    first: Side,
    second: Side,
    *,
    calibration: Calibration,
    max_false_rate: float,
    decisions: Mapping[tuple[str, str], str] | None = None,
) -> Comparison:
    """Say what the first picture is to the second. Decisions of people outweigh all but equal bytes."""
    stored = max(
        (_examined(features, first, second) for features in (first.features, first.coarse)), key=calibration.odds
    )
    ours, theirs = luminance(first.pixels), luminance(second.pixels)
    evidence = with_pixels(stored, ours, theirs, turn=_turn(first, second))
    evidence = with_thing(evidence, ours, theirs)
    cut_off = max(0.5, calibration.cut_off(max_false_rate))
    same = _same(first, second)
    decided = Decided.of(first.sha256, second.sha256, decisions or {})
    judged = (
        Judged.same(0, same)
        if same is Verdict.IDENTICAL or (same and decided.decision != "not_a_copy")
        else judge(Candidate(0), evidence, calibration.odds(evidence), cut_off=cut_off, decided=decided)
    )
    certificate = None
    if judged.verdict.is_copy:
        certificate = certify(
            first.pixels,
            second.pixels,
            evidence,
            query_size=(first.width, first.height),
            reference_size=(second.width, second.height),
            jpeg=first.jpeg,
        )
    return Comparison(first, second, judged, evidence, certificate, cut_off)


def _same(first: Side, second: Side) -> Verdict | None:
    if first.sha256 == second.sha256:
        return Verdict.IDENTICAL
    return Verdict.SAME_PIXELS if first.digest == second.digest else None


def _turn(first: Side, second: Side) -> int:
    return int(hamming(first.codes, second.codes[:1])[:, 0].argmin())


def _examined(features: Features, first: Side, second: Side) -> PairEvidence:
    distances = hamming(first.codes, second.codes[:1])[:, 0]
    quality = min(first.quality, second.quality)
    told = quality >= _LEAST_QUALITY
    evidence = examine(
        features,
        second.features,
        variant=int(distances.argmin()) if told else None,
        pdq_distance=int(distances.min()) if told else None,
    )
    return believable(evidence, quality)
