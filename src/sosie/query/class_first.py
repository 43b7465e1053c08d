"""Class first, then likeness: each query is searched within the class that a classifier gives it.

The class becomes a ``--where`` expression, so that every store and every index applies it as any other filter. A query
whose class is unsure, or of whose class there is no picture, is searched among all pictures, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sosie.catalogue.where import quoted
from sosie.errors import UsageError
from sosie.types import Classification, SearchResult

__all__ = ["PREDICTED", "ClassFirst", "search_by_class", "where_class"]

PREDICTED = "predicted.class"  # the label that `sosie labels predict` writes

Search = Callable[[Sequence[int], str | None], list[SearchResult]]
"""Answers the queries at some positions, among the pictures that meet an expression."""


@dataclass(frozen=True, slots=True)
class ClassFirst:
    """Search within the class of the query where its probability is at least ``min_class``.

    ``classifier`` is the name of a model, or of a package's folder; None takes the library's own.
    """

    min_class: float = 0.5
    classifier: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_class <= 1:
            raise UsageError(f"the least probability of a class is between 0 and 1, not {self.min_class}")


def search_by_class(
    classified: Sequence[Classification], search: Search, *, where: str | None, min_class: float
) -> list[SearchResult]:
    """Answer queries, each within its class; those that share a class are searched together."""
    chosen = [each.sure(min_class) for each in classified]
    groups: dict[str | None, list[int]] = {}
    for at, (each, names) in enumerate(zip(classified, chosen, strict=True)):
        groups.setdefault(_expression(each, names, where), []).append(at)
    answers: dict[int, SearchResult] = {}
    for expression, rows in groups.items():
        answers |= zip(rows, search(rows, expression), strict=True)
    empty = [at for at, names in enumerate(chosen) if names and not answers[at].hits]
    if empty:
        answers |= zip(empty, search(empty, where), strict=True)
    about = [
        _about(each, names, min_class, empty=at in empty)
        for at, (each, names) in enumerate(zip(classified, chosen, strict=True))
    ]
    return [replace(answers[at], asked={**answers[at].asked, "class": told}) for at, told in enumerate(about)]


def where_class(label: str, names: Sequence[str]) -> str:
    """Return the expression for pictures of some classes: by the label that was learned, else by what was predicted.

    ``label`` is what the classifier was trained on; of several labels, its classes are named ``label=value``.
    """
    keys = label.split(" ")
    if len(keys) > 1 and all(any(name.startswith(f"{key}=") for key in keys) for name in names):
        pairs = [name.partition("=") for name in names]
        by_label = " or ".join(f"{quoted(key)} = {quoted(value)}" for key, _, value in pairs)
        labelled = " or ".join(map(quoted, dict.fromkeys(key for key, _, _ in pairs)))
    else:
        by_label, labelled = f"{quoted(label)} in ({', '.join(map(quoted, names))})", quoted(label)
    predicted = f"{quoted(PREDICTED)} in ({', '.join(map(quoted, names))})"
    return f"({by_label}) or (not ({labelled}) and {predicted})"


def _expression(classification: Classification, names: Sequence[str], where: str | None) -> str | None:
    if not names:
        return where
    within = where_class(classification.label, names)
    return f"({where}) and ({within})" if where else within


def _about(each: Classification, names: Sequence[str], min_class: float, *, empty: bool) -> dict[str, Any]:
    """Say which class was searched, or why all pictures were."""
    best, probability = each.classes[0]
    told: dict[str, Any] = {
        "name": best,
        "probability": round(probability, 4),
        "searched": list(names) if names and not empty else None,
        "min_class": min_class,
        "classifier": each.model,
    }
    if told["searched"] is None:
        told["reason"] = "no picture of this class" if empty else "unsure"
    return told
