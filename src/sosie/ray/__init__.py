"""Pictures read, decoded and embedded by the workers of a Ray cluster.

`connect` reaches a cluster or starts one here; `RaySource` is a source whose pictures come embedded, so that `ingest`
stays the one place that counts, recognises and writes. The workers do what `ingest` does, with the same code.
"""

from __future__ import annotations

from sosie.ray.connection import Fleet, connect
from sosie.ray.dispatch import RaySource

__all__ = ["Fleet", "RaySource", "connect"]
