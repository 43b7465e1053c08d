"""What decoding one picture may cost, and the reasons why one is refused."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["INTERACTIVE", "REASONS", "Limits"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one picture may cost.

    The first four are read from the file's header, before a pixel is decoded, by `decode`. The last three are
    the operating system's and the pool's to enforce, so they hold in a `DecodePool` only.

    Attributes:
        max_pixels: width × height, as the file says, before any reduction.
        max_side: pixels along the longer side.
        max_bytes: bytes of the encoded file.
        max_scans: scans of a JPEG; each goes over the whole picture, so that a small file can cost hours.
        memory: bytes that a worker may have beyond what the interpreter and its libraries need (POSIX).
        cpu_seconds: processor time of one picture (POSIX).
        deadline: seconds on the clock for one picture, analysis included.
    """

    max_pixels: int = 50_000_000
    max_side: int = 30_000
    max_bytes: int = 200 * _MIB
    max_scans: int = 64
    memory: int = 1536 * _MIB
    cpu_seconds: int = 20
    deadline: float = 20.0


INTERACTIVE = Limits(cpu_seconds=10, deadline=10.0)
"""What a picture may cost that somebody waits for: 50 megapixels of any format take a third of it."""

REASONS: dict[str, str] = {
    # what the file is
    "empty": "The file has no bytes.",
    "not_a_picture": "The file does not begin like any picture.",
    "unsupported_format": "The file is of a kind that Sosie never opens, such as SVG, PDF, EPS or PSD.",
    "unsupported": "The file is of a form of its format that is not decoded, such as a TIFF of float colours.",
    "missing_decoder": "The format needs a decoder that is not installed (HEIC: pip install 'sosie[heif]').",
    "truncated": "The file ends before the picture does.",
    "corrupt": "The file contradicts itself or its format.",
    # what it would cost
    "too_many_bytes": "The file is larger than the limit.",
    "too_many_pixels": "The picture has more pixels than the limit.",
    "too_large_side": "The picture is wider or taller than the limit.",
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
