"""What runs in a worker of the cluster: an actor that holds the network and a decode process of its own.

A worker may be killed at any moment, and Ray then gives its block of pictures to another: nothing is written here, and
a block gives one table of answers, so that doing it twice is as good as once.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie import __version__
from sosie.analysis.embedding import Decoding, Recognised, embed, told_of
from sosie.analysis.worker import analysis_params
from sosie.contracts import Embedder
from sosie.decode import DecodePool
from sosie.decode.limits import Limits
from sosie.embedders.onnx import Description, OnnxEmbedder
from sosie.errors import BadPicture, UsageError
from sosie.ray.frames import Made, pack
from sosie.sources.reading import read_each
from sosie.sources.web.download import Download

__all__ = ["Plan", "Worker", "prefix_of"]

BATCH = 32  # pictures per call of the network


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker is told: the network, the pictures that need no work, and how to download.

    ``network`` and ``known`` lie in the cluster's object store, once a machine. ``network`` holds the bytes of the file
    that ``description`` describes, so that the workers need not see the library's folder; an embedder that runs no file
    comes as it is. ``known`` are the sorted ``Catalogue.digests``, ``wanted`` what metadata and features are wanted.
    """

    embedder: Embedder | None
    description: Description | None
    network: Any
    known: Any
    download: Download
    limits: Limits = field(default_factory=Limits)
    wanted: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__


class Worker:
    """Reads, decodes and embeds blocks of pictures with one core."""

    def __init__(self, plan: Plan) -> None:
        import ray

        if plan.version != __version__:
            raise UsageError(
                f"the cluster's workers have Sosie {__version__}, this machine has {plan.version}: install one version"
            )
        self._known: npt.NDArray[np.uint64] = ray.get(plan.known)
        self._download = plan.download
        self._embedder = plan.embedder or _unpacked(plan.description, ray.get(plan.network))
        self._pool = DecodePool(
            1,
            analyse="sosie.analysis.features:analyse_new",
            params={
                **analysis_params(self._embedder.spec.preprocessing),
                **plan.wanted,
                "without": ["working"],
            },
            limits=plan.limits,
        )

    def __call__(self, block: Any) -> Any:
        """Turn a table of ``at`` and ``uri`` into one of ``at`` and ``made``: the frame of what became of it."""
        import pyarrow

        uris = block["uri"].to_pylist()
        made = {uri: pack(outcome) for uri, outcome in self._make(uris)}
        return pyarrow.table({"at": block["at"], "made": pyarrow.array([made[uri] for uri in uris], pyarrow.binary())})

    def _make(self, uris: Sequence[str]) -> Iterator[tuple[str, Made]]:
        """Yield every URI once with its outcome; a batch is decoded while the one before it is embedded."""
        waiting: list[tuple[str, Decoding]] = []
        for uri, data in read_each(uris, self._download):
            if isinstance(data, BadPicture):
                yield uri, data
                continue
            sha256 = hashlib.sha256(data).digest()
            if self._is_known(sha256):
                yield uri, Recognised(sha256)
                continue
            waiting.append((uri, Decoding(sha256, len(data), self._pool.submit(data, told_of(uri)))))
            if len(waiting) == 2 * BATCH:
                yield from self._embed(waiting[:BATCH])
                del waiting[:BATCH]
        for at in range(0, len(waiting), BATCH):
            yield from self._embed(waiting[at : at + BATCH])

    def _embed(self, pictures: Sequence[tuple[str, Decoding]]) -> Iterator[tuple[str, Made]]:
        made = embed([decoding for _, decoding in pictures], self._embedder)
        return ((uri, made[decoding.sha256]) for uri, decoding in pictures)

    def _is_known(self, sha256: bytes) -> bool:
        prefix = prefix_of(sha256)
        at = int(np.searchsorted(self._known, prefix))
        return at < len(self._known) and self._known[at] == prefix


def prefix_of(sha256: bytes) -> np.uint64:
    """Return a digest's first eight bytes as ``Catalogue.digests`` gives them."""
    return np.uint64(int.from_bytes(sha256[:8], "big"))


def _unpacked(description: Description | None, network: bytes) -> Embedder:
    """Load a network from the bytes of its file, for one core; its digest is checked as everywhere."""
    assert description is not None
    with tempfile.TemporaryDirectory(prefix="sosie-") as folder:
        path = Path(folder) / description.path.name
        path.write_bytes(network)
        embedder = OnnxEmbedder(replace(description, path=path), threads=1)
        embedder.warm_up()
    return embedder
