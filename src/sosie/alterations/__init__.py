"""Make altered copies of pictures, seeded, with an exact record of what was done.

``alter(pixels, "crop_50", seed=7)`` returns the new pixels and a ``Record``: the steps with their parameters,
and the homography from the reference to the altered picture, so that a certificate of a match can be checked
against the truth. The families are those that copy detection is judged by in the field: Copydays (Douze et
al., 2009), DISC21 (Douze et al., 2021), AugLy (Papakipos and Bitton, 2022). Every function here is our own.
"""

from __future__ import annotations

from sosie.alterations.record import Altered, Edit, Matrix, Record, Step
from sosie.alterations.table import FAMILIES, GROUPS, alter, chain, names

__all__ = ["FAMILIES", "GROUPS", "Altered", "Edit", "Matrix", "Record", "Step", "alter", "chain", "names"]
