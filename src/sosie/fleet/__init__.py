"""Pictures read, decoded and embedded by the workers of a Ray cluster.

`connect` reaches a cluster or starts one here; `Dispatched` is a source whose pictures come embedded, so that `ingest`
stays the one place that counts, recognises and writes. The workers do what `ingest` does, with the same code.
"""

from __future__ import annotations

from sosie.fleet.connection import Fleet, connect
from sosie.fleet.dispatch import Dispatched

__all__ = ["Dispatched", "Fleet", "connect"]
