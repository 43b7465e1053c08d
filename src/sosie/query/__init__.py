"""The parts of a query's way: encode, candidates, judge, rank. `sosie.search` tells in which order."""

from __future__ import annotations
