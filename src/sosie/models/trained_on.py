"""What a network was trained on, kept with it, so that it is judged by other pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sosie import files
from sosie.errors import NotFound, UntrustedModel

__all__ = ["TrainedOn"]


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """The SHA-256 (hex) of the ``pictures`` that a network learned from, by which ``labels``, and their ``classes``.

    Classes are named as in `sosie.evaluation.relevance.label_sets`.
    """

    pictures: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()
    classes: frozenset[str] = frozenset()

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        document = {"pictures": sorted(self.pictures), "labels": self.labels, "classes": sorted(self.classes)}
        files.write_json(path, document)

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read what ``write`` wrote; of None there is nothing. Raises NotFound, UntrustedModel."""
        if path is None:
            return cls()
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return cls(frozenset(map(str, raw["pictures"])), tuple(raw["labels"]), frozenset(map(str, raw["classes"])))
        except FileNotFoundError as error:
            raise NotFound(f"{path}, which says what the model was trained on, is not there") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UntrustedModel(f"{path} does not say what a model was trained on: {error!r}") from error
