"""Pictures of a few plain kinds, in a library: what training can learn in seconds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

TONES = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 200), "grey": (128, 128, 128)}


def painted(tone: str, seed: int, side: int = 96) -> bytes:
    """Return a PNG of coarse noise around a tone; copies of it have equal fingerprints, others have not."""
    rng = np.random.default_rng([seed, *tone.encode()])
    noise = rng.integers(-60, 60, (12, 12, 3)) + np.array(TONES[tone])
    out = io.BytesIO()
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def paint(folder: Path, per_class: int, tones: tuple[str, ...] = ("red", "green", "blue")) -> Path:
    """Fill a folder with pictures, one sub-folder a tone."""
    for tone in tones:
        for seed in range(per_class):
            path = folder / tone / f"{seed:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(painted(tone, seed))
    return folder
