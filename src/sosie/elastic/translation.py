"""What the errors of a cluster mean, as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sosie.elastic.address import Cluster
from sosie.errors import DamagedError, DiskFull, LibraryBusy, NotFound, ServiceAway, SosieError, UsageError

__all__ = ["PASSING", "Refused", "passing", "translated"]

PASSING = (429, 502, 503, 504)  # busy, no master, a shard without a copy: worth waiting for
_FULL = ("read-only-allow-delete", "flood-stage")  # a full disk; waiting does not help


class Refused(Exception):
    """One part of a request (an item of a bulk, one of several searches) that the cluster refused."""

    def __init__(self, part: Mapping[str, Any]) -> None:
        super().__init__(str(part.get("error")))
        self.status = int(part["status"])


def passing(error: Exception) -> bool:
    """Tell whether it is worth asking again: the cluster is away or busy, and no block stands in the way."""
    found = _status(error)
    if found is None:
        return not _untrusted(error)
    return found[0] in PASSING and not any(words in found[1] for words in _FULL)


def translated(cluster: Cluster, error: Exception) -> SosieError:
    """Return what an error of the client means, as one of ours."""
    found = _status(error)
    if found is not None:
        return _of_status(cluster, *found)
    why = " ".join(str(error).split())[:200]
    if _untrusted(error):
        return ServiceAway(f"{cluster} shows a certificate that is not trusted: set ca_certs or fingerprint ({why})")
    return ServiceAway(f"{cluster} does not answer: start it, or check the address ({why})")


def _status(error: Exception) -> tuple[int, str] | None:
    """Return the HTTP status and its explanation, where the cluster answered at all."""
    from elasticsearch import ApiError

    if isinstance(error, Refused):
        return error.status, str(error)
    return (error.meta.status, str(error.body)) if isinstance(error, ApiError) else None


def _untrusted(error: Exception) -> bool:
    from elastic_transport import TlsError

    return isinstance(error, TlsError) or "CERTIFICATE" in str(error).upper()


def _of_status(cluster: Cluster, status: int, text: str) -> SosieError:
    if any(words in text for words in _FULL):
        return DiskFull(f"the disks of {cluster} are too full to write (flood stage): free some, or add a node")
    if "cluster_block_exception" in text and "index write" in text:
        return LibraryBusy(f"the index of {cluster} is being built anew, or is kept as it was: try again later")
    if status in (401, 403):
        return UsageError(f"{cluster} refuses us ({status}): set SOSIE_ELASTICSEARCH__API_KEY, or check its rights")
    if status == 404:
        return NotFound(f"there is no library at {cluster}: `sosie add FOLDER --library ADDRESS` makes one")
    if status in PASSING:
        return ServiceAway(
            f"{cluster} is up but cannot do that now ({status}); GET _cluster/health says whether its index is red "
            f"({text[:160]})"
        )
    return DamagedError(f"{cluster} refused a request ({status}): {text[:300]}")
