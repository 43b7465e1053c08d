"""Reach a Ray cluster, or start one on this machine alone."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from sosie.errors import ServiceAway, UsageError
from sosie.extras import missing

__all__ = ["Fleet", "connect"]

LOCAL = "local"
AUTO = "auto"
_PROBE = 3.0  # seconds that a machine may take to accept a connection
_STORE = 512 << 20  # bytes of the object store of a cluster on this machine; blocks of answers are small
# Ray takes 127.0.0.1 for "any", and puts the machine's outside address in its place, so that its ports, behind which
# anything may be run, would be open to the network. It leaves the rest of 127/8 alone.
_LOOPBACK = "127.0.0.2"
# What Ray reads when it is imported: nothing is reported to anyone, and its log lines stay in its log files.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that outlives the connection must not make another
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """A cluster that this process is connected to; ``head`` is where its head listens, as HOST:PORT."""

    address: str
    head: str = ""

    @property
    def cores(self) -> int:
        """How many cores its living machines lend: each holds one worker."""
        ray: Any = _import()
        return int(ray.cluster_resources().get("CPU", 0))

    @property
    def away(self) -> bool:
        """Tell whether nobody listens at the head: Ray itself waits for a minute, and then ends the process."""
        return bool(self.head) and _probe(self.head) is not None


@contextmanager
def connect(address: str) -> Iterator[Fleet]:
    """Connect to the cluster at ``HOST:PORT``, to the one this machine is part of (``auto``), or start one (``local``).

    A process that is connected already stays so, and is left connected. Raises ServiceAway where nothing answers,
    MissingExtra, UsageError.
    """
    _check(address)
    ray = _import()
    with ExitStack() as stack:
        if not ray.is_initialized():
            with _silence():
                _init(ray, address, stack)
            stack.callback(ray.shutdown)
        fleet = Fleet(address, ray.get_runtime_context().gcs_address)
        if fleet.cores < 1:
            raise ServiceAway(f"the Ray cluster at {address} lends no core: start its machines with --num-cpus")
        yield fleet


def _check(address: str) -> None:
    """Refuse what is no address, and see whether somebody listens there: Ray itself would try for a minute."""
    if address in (LOCAL, AUTO):
        return
    host, colon, port = address.rpartition(":")
    if "/" in address or not (colon and host and port.isdigit()):
        raise UsageError(f"--ray takes local, auto, or the HOST:PORT that `ray start --head` shows, not {address!r}")
    if error := _probe(address):
        raise ServiceAway(
            f"no Ray cluster answers at {address} ({error.strerror or error}): start it with `ray start --head`, "
            "or use --ray local"
        ) from error


def _probe(address: str) -> OSError | None:
    """Return why nobody can be reached at HOST:PORT, or None."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PROBE).close()
    except OSError as error:
        return error
    return None


def _import() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise missing(f"--ray needs {error.name}", "ray") from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors come as exceptions
    return ray


def _init(ray: Any, address: str, stack: ExitStack) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == LOCAL:
            # its sockets' paths may have 107 bytes, so the folder lies high up
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sosie-ray", ignore_cleanup_errors=True))
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray would leave one in ~/.ray
            ray.init(include_dashboard=False, object_store_memory=_STORE, _temp_dir=folder, **_here(), **quiet)
        else:
            host = address.rpartition(":")[0]
            own = {"_node_ip_address": host} if host.startswith("127.") else {}
            ray.init(address=address, **own, **quiet)
    except Exception as error:  # of many kinds, none of which is ours
        if "token" in str(error).lower():
            raise UsageError(
                f"the Ray cluster at {address} wants its token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a "
                "file that holds it"
            ) from error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ServiceAway(
            f"no connection to the Ray cluster at {address} ({reason}): run this on one of its machines while it is up"
        ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Send what native code writes to stderr nowhere: Ray announces its log level there. Errors come as exceptions."""
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _here() -> dict[str, Any]:
    if sys.platform != "linux":  # Ray keeps to 127.0.0.1 by itself there
        return {"num_cpus": os.cpu_count()}
    return {"num_cpus": len(os.sched_getaffinity(0)), "_node_ip_address": _LOOPBACK}
