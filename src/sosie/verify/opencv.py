"""OpenCV, imported when first used."""

from __future__ import annotations

from typing import Any

__all__ = ["opencv"]


def opencv() -> Any:
    """Return the module ``cv2``; its own type stubs lack half of what is used here."""
    import cv2

    return cv2
