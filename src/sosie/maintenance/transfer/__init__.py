"""A library as a folder of Parquet files, and back: from one store to another, checked by counts and digests.

    manifest.json        what there is of each, its digest, the embedding spaces, the SHA-256 of every file
    pictures.parquet     hashes, facts, places, labels, and a column of vectors (float16) for each space
    regions.parquet      what was found in each picture: boxes, classes, and their vectors; a row for each kind
    decisions.parquet    what people said of pairs
    quarantine.parquet   what could not become a picture

Ids are not carried: each store gives its own. Local features are not either; they are made again where they are asked
for. A digest is the sum of those of its rows, so that no order is needed to compare two stores.
"""

from __future__ import annotations

from sosie.maintenance.transfer.exporting import export
from sosie.maintenance.transfer.importing import load
from sosie.maintenance.transfer.rows import Moved

__all__ = ["Moved", "export", "load"]
