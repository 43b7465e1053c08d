"""One thread for small matrix products.

The products of local features take a few milliseconds each. Where numpy's BLAS spreads them over cores, its idle
threads spin for longer than that: on two busy cores a query took seven times the processor time that one thread
needs. What can go side by side here is queries, not a product.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["one_thread"]

_lock = threading.Lock()
_inside: list[Any] = []  # the limit, while somebody is inside, and how many are


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS to one thread inside; its setting is the process's, so the last to leave puts it back."""
    with _lock:
        if not _inside:
            _inside[:] = [_controller().limit(limits=1, user_api="blas"), 0]
        _inside[1] += 1
    try:
        yield
    finally:
        with _lock:
            _inside[1] -= 1
            if not _inside[1]:
                _inside[0].restore_original_limits()
                _inside.clear()


@cache
def _controller() -> Any:
    import numpy as np  # its BLAS has to be loaded before it can be found
    from threadpoolctl import ThreadpoolController

    assert np
    return ThreadpoolController()
