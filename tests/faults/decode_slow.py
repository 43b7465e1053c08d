"""An analysis that is slow and no more."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sosie.types import Picture


def half_a_second(picture: Picture, params: Mapping[str, Any]) -> Mapping[str, Any]:
    time.sleep(0.5)
    return {"done": True}
