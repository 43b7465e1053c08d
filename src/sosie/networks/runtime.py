"""Opening an ONNX file that is not ours: its digest and its parts are checked before a runtime parses it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sosie.errors import NotFound, UntrustedModel
from sosie.networks.onnx_file import check_network

__all__ = ["digest_of", "open_network", "read_described", "require_outputs"]


def open_network(path: Path, *, sha256: str, threads: int | None = None) -> Any:
    """Return an ONNX Runtime session of the file with that SHA-256.

    ``threads`` is the number of cores one call may use; None leaves it to the runtime. Raises NotFound where the file
    is away, UntrustedModel where it is another file or the runtime cannot load it.
    """
    data = read_described(path, sha256=sha256)
    check_network(data, str(path))
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # idle worker threads that spin take the cores from the decode workers
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        # from bytes: a graph that names external files cannot reach them
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UntrustedModel(f"{path} cannot be loaded: {str(error).splitlines()[0]}") from error


def read_described(path: Path, *, sha256: str) -> bytes:
    """Return the bytes of the file that a description names; raise NotFound, or UntrustedModel for another file."""
    data = _read(path)
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise UntrustedModel(
            f"{path} has SHA-256 {digest[:12]}…, its description says {sha256[:12]}…:"
            " get the file again, or correct the description if you trust it"
        )
    return data


def require_outputs(session: Any, wanted: Iterable[str], path: Path) -> None:
    """Raise UntrustedModel where the network lacks one of the outputs that its description names."""
    have = {output.name for output in session.get_outputs()}
    if missing := set(wanted) - have:
        raise UntrustedModel(f"{path} has no output {sorted(missing)}; it has {sorted(have)}")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a network's file; raise NotFound."""
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"{path}, which a model needs, is not there") from error
