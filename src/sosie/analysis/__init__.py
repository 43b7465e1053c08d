"""What is computed of one picture: fingerprints, local features, vectors, regions, thumbnails."""

from __future__ import annotations
