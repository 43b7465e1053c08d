"""Edits that leave every point where it is: compression, sharpness, noise, light and colour."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from sosie.alterations.record import Edit
from sosie.types import Pixels

__all__ = ["COLOUR", "LIGHT", "QUALITY"]

Floats = npt.NDArray[np.float32]
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def to_bytes(values: npt.NDArray[Any]) -> Pixels:
    """Round and clip to 0..255."""
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def luma(pixels: Pixels) -> Floats:
    """Return the brightness of every pixel (height, width, 1)."""
    result: Floats = (pixels.astype(np.float32) @ _LUMA)[..., None]
    return result


def jpeg(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Compress again as JPEG, quality 5 to 50."""
    quality = int(rng.integers(5, 51))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return Edit(np.asarray(Image.open(buffer).convert("RGB")), {"quality": quality})


def blur(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Blur with a Gaussian of 0.6 to 2 % of the shorter side."""
    radius = max(0.8, float(rng.uniform(0.006, 0.02)) * min(pixels.shape[:2]))
    image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius))
    return Edit(np.asarray(image), {"radius": radius})


def sharpen(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Sharpen by unsharp masking."""
    radius, percent = float(rng.uniform(1, 4)), int(rng.integers(100, 401))
    image = Image.fromarray(pixels).filter(ImageFilter.UnsharpMask(radius, percent, 0))
    return Edit(np.asarray(image), {"radius": radius, "percent": percent})


def noise(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Add Gaussian noise of 10 to 40 levels."""
    sigma = float(rng.uniform(10, 40))
    values = pixels.astype(np.float32) + rng.normal(0, sigma, pixels.shape).astype(np.float32)
    return Edit(to_bytes(values), {"sigma": sigma})


def pixelise(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Paint squares: 32 to 80 of them along the longer side."""
    height, width = pixels.shape[:2]
    ratio = float(rng.uniform(32, 80)) / max(width, height)
    small = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    image = Image.fromarray(pixels).resize(small, Image.Resampling.BOX)
    return Edit(np.asarray(image.resize((width, height), Image.Resampling.NEAREST)), {"cells": list(small)})


def halftone(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Print in dots: a rotated screen of 3 to 6 pixels per channel, or in black alone."""
    period, mono = float(rng.uniform(3, 6)), bool(rng.random() < 0.5)
    source = np.repeat(luma(pixels), 3, axis=2) if mono else pixels.astype(np.float32)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)
    result = np.empty(pixels.shape, dtype=np.uint8)
    for channel, degrees in enumerate((45, 45, 45) if mono else (15, 45, 75)):
        angle = np.deg2rad(degrees)
        u = (x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period)
        v = (y * np.cos(angle) - x * np.sin(angle)) * (2 * np.pi / period)
        screen = 127.5 + 63.75 * (np.cos(u) + np.cos(v))
        result[..., channel] = np.clip((source[..., channel] - screen) * 2 + 127.5, 0, 255)
    return Edit(result, {"period": period, "mono": mono})


def brightness(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Multiply by 0.4 to 0.75, or by 1.3 to 1.9."""
    factor = float(rng.uniform(0.4, 0.75) if rng.random() < 0.5 else rng.uniform(1.3, 1.9))
    return Edit(to_bytes(pixels * np.float32(factor)), {"factor": factor})


def contrast(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Move away from the mean brightness, or towards it."""
    factor = float(rng.uniform(0.35, 0.7) if rng.random() < 0.5 else rng.uniform(1.4, 2.2))
    mean = luma(pixels).mean()
    return Edit(to_bytes(mean + (pixels - mean) * np.float32(factor)), {"factor": factor})


def gamma(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Bend the tone curve."""
    power = float(rng.uniform(0.4, 0.7) if rng.random() < 0.5 else rng.uniform(1.4, 2.4))
    return Edit(to_bytes(255 * (pixels.astype(np.float32) / 255) ** np.float32(power)), {"power": power})


def saturation(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Take colour away, or exaggerate it."""
    factor = float(rng.uniform(0.0, 0.5) if rng.random() < 0.5 else rng.uniform(1.6, 3.0))
    grey = luma(pixels)
    return Edit(to_bytes(grey + (pixels - grey) * np.float32(factor)), {"factor": factor})


def grey(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Make black and white, sometimes toned as sepia."""
    sepia = bool(rng.random() < 0.3)
    tone = np.array([1.07, 0.95, 0.75] if sepia else [1.0, 1.0, 1.0], dtype=np.float32)
    return Edit(to_bytes(luma(pixels) * tone), {"sepia": sepia})


def colour_jitter(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Change brightness, contrast and saturation a little, and turn the hue."""
    hue = int(rng.integers(-40, 41))
    hsv = np.array(Image.fromarray(pixels).convert("HSV"))
    hsv[..., 0] += np.uint8(hue % 256)
    turned = np.asarray(Image.fromarray(hsv, "HSV").convert("RGB")).astype(np.float32)
    light, spread, colour = (float(rng.uniform(0.7, 1.4)) for _ in range(3))
    level = luma(to_bytes(turned))
    values = level.mean() + (level + (turned - level) * colour - level.mean()) * spread
    params = {"hue": hue, "brightness": light, "contrast": spread, "saturation": colour}
    return Edit(to_bytes((values * light).astype(np.float32)), params)


def opacity(pixels: Pixels, rng: np.random.Generator) -> Edit:
    """Lay a flat colour over the picture, 25 to 60 % strong."""
    alpha = float(rng.uniform(0.25, 0.6))
    colour = rng.integers(0, 256, 3)
    return Edit(
        to_bytes(pixels * np.float32(1 - alpha) + colour.astype(np.float32) * np.float32(alpha)),
        {"alpha": alpha, "colour": colour.tolist()},
    )


Editing = Callable[[Pixels, np.random.Generator], Edit]

QUALITY: dict[str, Editing] = {
    "jpeg": jpeg,
    "blur": blur,
    "sharpen": sharpen,
    "noise": noise,
    "pixelise": pixelise,
    "halftone": halftone,
}
LIGHT: dict[str, Editing] = {
    "brightness": brightness,
    "contrast": contrast,
    "gamma": gamma,
    "opacity": opacity,
}
COLOUR: dict[str, Editing] = {"saturation": saturation, "grey": grey, "colour_jitter": colour_jitter}
