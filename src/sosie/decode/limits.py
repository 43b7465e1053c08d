"""What decoding one picture may cost, and the reasons why one is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sosie.errors import UsageError

__all__ = ["REASONS", "Limits", "limits_of"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one picture may cost.

    The first four are read from the file's header, before a pixel is decoded, by `decode`. The last three are
    the operating system's and the pool's to enforce, so they hold in a `DecodePool` only.

    Attributes:
        max_pixels: pixels that decoding takes: all of the picture, twice as many where it has alpha; of a JPEG those of
            the scale at which it is decoded, and an eighth of all, of a progressive one a third (`sosie.decode.cost`).
        max_side: pixels along the longer side.
        max_bytes: bytes of the encoded file.
        max_scans: scans of a JPEG; each goes over the whole picture, so that a small file can cost hours.
        memory: bytes that a worker may have beyond what the interpreter and its libraries need (POSIX).
        cpu_seconds: processor time of one picture (POSIX).
        deadline: seconds on the clock for one picture, analysis included.
    """

    max_pixels: int = 200_000_000
    max_side: int = 65_535
    max_bytes: int = 200 * _MIB
    max_scans: int = 64
    memory: int = 2048 * _MIB
    cpu_seconds: int = 30
    deadline: float = 30.0

    def interactive(self) -> Limits:
        """Return what a picture may cost that somebody waits for: a third of the time."""
        return replace(self, cpu_seconds=max(1, self.cpu_seconds // 3), deadline=self.deadline / 3)


def limits_of(
    max_megapixels: float | None = None, max_side: int | None = None, *, environ: Mapping[str, str] = os.environ
) -> Limits:
    """Return limits with other sizes: given, else of SOSIE_MAX_MEGAPIXELS and SOSIE_MAX_SIDE, else the default.

    What decoding takes beside pixels (memory, bytes, time) grows with the megapixels and never shrinks.
    """
    limits = Limits()
    megapixels = _number(max_megapixels, "SOSIE_MAX_MEGAPIXELS", environ)
    side = _number(max_side, "SOSIE_MAX_SIDE", environ)
    if megapixels is not None:
        pixels = round(megapixels * 1e6)
        factor = max(1.0, pixels / limits.max_pixels)
        limits = replace(
            limits,
            max_pixels=pixels,
            max_bytes=round(limits.max_bytes * factor),
            memory=round(limits.memory * factor),
            cpu_seconds=round(limits.cpu_seconds * factor),
            deadline=limits.deadline * factor,
        )
    return limits if side is None else replace(limits, max_side=int(side))


def _number(given: float | None, name: str, environ: Mapping[str, str]) -> float | None:
    text = environ.get(name, "") if given is None else str(given)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 1_000_000:
        raise UsageError(f"{name} is a number above 0, not {text!r}")
    return value


REASONS: dict[str, str] = {
    # what the file is
    "empty": "The file has no bytes.",
    "not_a_picture": "The file does not begin like any picture.",
    "unsupported_format": "The file is of a kind that Sosie never opens, such as SVG, PDF, EPS or PSD.",
    "unsupported": "The file is of a form of its format that is not decoded, such as a TIFF of float colours.",
    "missing_decoder": "The format needs a decoder that is not installed: that of HEIC comes with the extra `heif`.",
    "truncated": "The file ends before the picture does.",
    "corrupt": "The file contradicts itself or its format.",
    # what it would cost
    "too_many_bytes": "The file is larger than the limit.",
    "too_many_pixels": "The picture takes more pixels to decode than the limit: --max-megapixels raises it.",
    "too_large_side": "The picture is wider or taller than the limit: --max-side raises it.",
    "too_many_scans": "The JPEG goes over the picture more often than the limit.",
    "decompression_bomb": "A compressed part of the file unpacks to far more than a picture needs.",
    # what happened to the worker
    "timeout": "Decoding took longer than the limit and was stopped.",
    "out_of_memory": "Decoding needed more memory than the limit.",
    "crashed": "The decoder crashed on the file, twice; nothing else was harmed.",
    "analysis_failed": "The picture was decoded, but what is computed from it failed: a defect to report.",
    # reading the file
}
"""Every reason that this package gives to `BadPicture`, with a sentence for people."""
