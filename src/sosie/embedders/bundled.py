"""The network that the wheel carries: trained by the project from random weights (``recipes/bundled``)."""

from __future__ import annotations

from pathlib import Path

from sosie.embedders.onnx import OnnxEmbedder, read_description

__all__ = ["BundledEmbedder"]


class BundledEmbedder(OnnxEmbedder):
    """Works offline, with nothing to download; see docs/reference/bundled-model.md for what it was trained on."""

    def __init__(self, *, threads: int | None = None) -> None:
        super().__init__(read_description(Path(__file__).with_name("weights") / "bundled.json"), threads=threads)
