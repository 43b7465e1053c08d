"""What an embedder is, as text and as a digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from sosie.types import EmbedderSpec, Head, Preprocessing

__all__ = ["read_spec", "spec_hash"]


def spec_hash(spec: EmbedderSpec) -> str:
    """Return a digest of what an embedder is; equal digests mean comparable vectors."""
    fields = {k: v for k, v in asdict(spec).items() if k not in {"url", "licence", "tasks"}}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def read_spec(text: str) -> EmbedderSpec:
    """Return the embedder's description that ``json.dumps(asdict(spec))`` wrote."""
    raw = json.loads(text)
    raw["heads"] = tuple(Head(**head) for head in raw["heads"])
    how: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw["preprocessing"].items()}
    raw["preprocessing"] = Preprocessing(**how)
    raw["tasks"] = tuple(raw["tasks"])
    return EmbedderSpec(**raw)
