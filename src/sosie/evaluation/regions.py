"""``evaluate regions``: do parts help? Whole pictures, each kind of regions, and both, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sosie.errors import UsageError
from sosie.evaluation.collection import from_library
from sosie.evaluation.labels import predict_labels
from sosie.evaluation.region_scores import RegionScores, fit_weights, ranked
from sosie.evaluation.relevance import choose_keys, label_sets
from sosie.evaluation.runs import Run
from sosie.library import Library
from sosie.regions.fusion import Weights, weights_of
from sosie.types import FloatMatrix

__all__ = ["compare_kinds"]

FITTED = "fusion"  # the record that searches take their weights from


def compare_kinds(
    folder: Path,
    library: Library,
    kinds: Sequence[str],
    *,
    keys: Sequence[str] = (),
    fit: bool = False,
    seed: int = 0,
    setting: Mapping[str, Any] | None = None,
    note: Callable[[str], None] = lambda _text: None,
) -> dict[str, Run]:
    """Judge by labels what whole pictures find, each kind alone, and each together with them; a run folder for each.

    With ``fit`` the weights are fitted and stored for the searches of this library; the runs then show what weights
    fitted on the other queries give (five folds). Raises UsageError without labels or without regions.
    """
    references = from_library(library)
    keys = tuple(keys) or choose_keys(references.labels)
    if not keys:
        raise UsageError("no label is shared by several pictures: add labels (`sosie add --label-from-folders`)")
    scores = RegionScores(library, kinds)
    sets = label_sets(references.labels, keys)
    stored = dict(library.catalogue.record(FITTED) or {})
    together: dict[str, Weights] = {}
    set_ups: dict[str, tuple[FloatMatrix, Mapping[str, Any]]] = {"whole": (scores.whole, {})}
    for kind in kinds:
        weights = weights_of(kind, stored)
        both = scores.fused({kind: weights})
        if fit:
            found = fit_weights(scores, kind, sets.shared(sets), seed=seed)
            weights, both = found.weights, found.honest(scores, kind)
            stored[kind] = weights.to_json()
            note(f"{kind}: {weights.to_json()}")
        set_ups[_plain(kind)] = (scores.by_kind(kind, weights), {kind: weights.to_json()})
        set_ups[f"whole+{_plain(kind)}"] = (both, {kind: weights.to_json(), "folds": fit})
        together[kind] = weights
    if len(kinds) > 1:
        set_ups["all"] = (scores.fused(together), {kind: each.to_json() for kind, each in together.items()})
    if fit:
        library.catalogue.put_record(FITTED, stored)
    return {
        name: predict_labels(
            folder / name,
            references,
            search=partial(ranked, matrix),
            keys=keys,
            seed=seed,
            setting={**(setting or {}), "regions": weights},
        )
        for name, (matrix, weights) in set_ups.items()
    }


def _plain(kind: str) -> str:
    """Return a kind's name as a folder may have it."""
    return kind.replace(":", "-").replace("!", "not-").replace(",", "-")
