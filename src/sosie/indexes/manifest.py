"""What stands beside an index: what it is and covers, what was measured, every file's digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = ["FORMAT", "FileDigest", "Manifest"]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class FileDigest:
    """The size in bytes and the digest of one file: BLAKE3, or SHA-256 where an older version wrote it.

    All of an index is read and digested when a process opens it, and of these BLAKE3 is five times as fast.
    """

    size: int
    sha256: str = ""
    blake3: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index generation says of itself.

    ``spec_hash`` names the embedder that made the vectors, ``covers`` the largest vector id that is in the
    index and ``count`` how many there are; ``measured`` holds what tuning measured (``recall``, ``k``,
    latencies), and ``note`` whatever else the catalogue wants to find again.
    """

    kind: str
    params: Mapping[str, Any]
    generation: str
    spec_hash: str
    dim: int
    count: int
    covers: int
    files: Mapping[str, FileDigest]
    measured: Mapping[str, Any] = field(default_factory=dict)
    note: Mapping[str, Any] = field(default_factory=dict)
    sosie: str = ""
    created: str = ""
    format: int = FORMAT

    @property
    def recall(self) -> float | None:
        """The measured recall, or None where nothing was measured; exact search is 1 by definition."""
        if self.kind == "exact":
            return 1.0
        found = self.measured.get("recall")
        return None if found is None else float(found)

    @property
    def recall_interval(self) -> list[float] | None:
        """The 95 % interval of the measured recall, or None; of a recall of 1 its upper end is 1."""
        found = self.measured.get("recall_interval")
        return None if found is None or self.kind == "exact" else [float(end) for end in found]

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files.values())

    def to_json(self) -> str:
        """Return the manifest as the text of manifest.json."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read manifest.json; raise ValueError where it is not one of ours."""
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError("this Sosie does not know that format")
        if set(found) != {each.name for each in fields(cls)}:
            raise ValueError("its keys are not those of a manifest")
        found["files"] = {name: FileDigest(**file) for name, file in found["files"].items()}
        return cls(**found)
