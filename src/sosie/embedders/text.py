"""Words → vectors in the space of pictures: the text tower of a two-tower network (CLIP, Radford et al. 2021).

In a model's description:

    "text": {"file": "text_model.onnx", "sha256": "…", "tokenizer": "tokenizer.json", "tokenizer_sha256": "…",
             "output": "text_embeds", "length": 77, "pad": 0, "lower": false}

``length`` is the most tokens it takes; with ``pad``, the id that fills shorter texts up to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sosie.errors import UntrustedModel, UsageError
from sosie.extras import missing
from sosie.networks.runtime import open_network, read_described, require_outputs
from sosie.types import FloatMatrix

__all__ = ["TextTower", "Words", "read_text_tower"]

_MOST_LETTERS = 2_000


@dataclass(frozen=True, slots=True)
class TextTower:
    """The two files of a text tower, and how its network is fed."""

    network: Path
    sha256: str
    tokenizer: Path
    tokenizer_sha256: str
    output: str
    length: int
    pad: int | None = None
    lower: bool = False


def read_text_tower(raw: Mapping[str, Any], folder: Path) -> TextTower:
    """Return what a description says of its text tower; raise KeyError, ValueError."""
    return TextTower(
        network=folder / raw["file"],
        sha256=raw["sha256"],
        tokenizer=folder / raw["tokenizer"],
        tokenizer_sha256=raw["tokenizer_sha256"],
        output=raw["output"],
        length=int(raw["length"]),
        pad=None if raw.get("pad") is None else int(raw["pad"]),
        lower=bool(raw.get("lower", False)),
    )


class Words:
    """A text tower that runs. Making one reads and checks both files; raises NotFound, UntrustedModel, MissingExtra."""

    def __init__(self, tower: TextTower, *, threads: int | None = None) -> None:
        self._tower = tower
        self._tokenizer = _tokenizer(tower)
        self._session = open_network(tower.network, sha256=tower.sha256, threads=threads)
        require_outputs(self._session, [tower.output], tower.network)
        self._inputs = {each.name for each in self._session.get_inputs()}

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        """Return one row (n, dim) a text, of any length; raise UsageError for one that is empty or a whole book."""
        return np.concatenate([self._one(text) for text in texts])

    def _one(self, text: str) -> FloatMatrix:
        text = " ".join(text.split())
        if not text or len(text) > _MOST_LETTERS:
            raise UsageError(f"describe the picture in some words, at most {_MOST_LETTERS} letters")
        encoded = self._tokenizer.encode(text.lower() if self._tower.lower else text)
        ids, mask = encoded.ids, encoded.attention_mask
        if self._tower.pad is not None:
            lacking = self._tower.length - len(ids)
            ids, mask = ids + [self._tower.pad] * lacking, mask + [0] * lacking
        fed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": [0] * len(ids)}
        feed = {name: np.asarray([fed[name]], np.int64) for name in self._inputs & fed.keys()}
        vector: FloatMatrix = self._session.run([self._tower.output], feed)[0]
        return np.asarray(vector, np.float32).reshape(1, -1)


def _tokenizer(tower: TextTower) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing("searching by words needs tokenizers", "hub") from error
    data = read_described(tower.tokenizer, sha256=tower.tokenizer_sha256)
    try:
        tokenizer = Tokenizer.from_buffer(data)
    except Exception as error:  # the library raises nothing narrower
        raise UntrustedModel(f"{tower.tokenizer} is no tokenizer: {str(error).splitlines()[0]}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(tower.length)
    return tokenizer
