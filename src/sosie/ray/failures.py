"""Ray's errors, made ours."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sosie import __version__, errors
from sosie.errors import ServiceAway, SosieError, UsageError

__all__ = ["explain"]

_OURS = re.compile(r"^sosie\.errors\.(\w+): (.+)$", re.MULTILINE)


def explain(error: BaseException, address: str) -> SosieError:
    """Return the error of ours that an error of Ray's stands for: that of a worker, or that the cluster is away."""
    for each in _chain(error):
        if isinstance(each, SosieError):
            return each
    text = str(error)
    if "No module named 'sosie'" in text:
        return UsageError(
            f"the workers of {address} have no Sosie: pip install 'sosie[ray]=={__version__}' on its machines"
        )
    if found := _OURS.search(text):  # an actor that cannot start tells of it in text alone
        kind = getattr(errors, found[1], SosieError)
        return kind(found[2]) if issubclass(kind, SosieError) else SosieError(found[2])
    reason = text.strip().splitlines()[-1] if text.strip() else type(error).__name__
    return ServiceAway(f"the Ray cluster at {address} went away ({reason}): run the same command to go on")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it; Ray keeps a worker's error in an attribute."""
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__
