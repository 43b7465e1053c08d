"""Triplets to look at: what the network takes for near and far, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sosie.errors import SosieError
from sosie.evaluation.collection import shrunk_jpeg
from sosie.evaluation.figures import answer, panel
from sosie.library import Library
from sosie.present.page import Html
from sosie.training.objectives import targets_of
from sosie.training.settings import Settings
from sosie.training.trainee import Trainee, embeddings
from sosie.training.triplets import graded_triplets, overlap

if TYPE_CHECKING:
    from sosie.training.trained import Prepared

__all__ = ["triplet_sheet"]

_WORST, _OTHERS, _AMONG = 8, 4, 1000


def triplet_sheet(library: Library, trainee: Trainee, prepared: Prepared, settings: Settings) -> Html:
    """Return panels of held-out triplets (anchor, farthest positive, nearest negative): the worst, and some others."""
    examples = prepared.examples
    rows = prepared.store.readable(examples.validation)[:_AMONG]
    vectors = trainee.objective.vectors(embeddings(trainee, prepared.store, rows))
    distance, graded = torch.cdist(vectors, vectors), overlap(targets_of(examples, rows))
    a, p, n = graded_triplets(distance, graded, mining="hard", margin=settings.margin)
    loss = distance[a, p] - distance[a, n] + settings.margin * (graded[a, p] - graded[a, n])
    order = loss.argsort(descending=True)
    chosen = torch.cat([order[:_WORST], order[_WORST :: max(1, len(order) // _OTHERS)][:_OTHERS]]).tolist()

    def shown(at: int, word: str, right: bool | None) -> Html:
        content_id = int(examples.ids[rows[at]])
        words = ", ".join(examples.labels.words(int(rows[at])))
        return answer(_thumbnail(library, content_id), f"{word}: {words}", alt=f"picture {content_id}", right=right)

    parts = []
    for each in chosen:
        anchor, near, far = (int(which[each]) for which in (a, p, n))
        met = float(loss[each]) <= 0
        distances = [float(distance[anchor, other]) for other in (near, far)]
        pair = [
            shown(near, f"positive, {distances[0]:.2f}", True),
            shown(far, f"negative, {distances[1]:.2f}", False),
        ]
        verdict = "margin kept" if met else f"short of the margin by {float(loss[each]):.2f}"
        parts.append(panel(shown(anchor, "anchor", None), pair, verdict, "good" if met else "bad"))
    lead = (
        "<p>Held-out pictures: the farthest of the same label beside the nearest of another; numbers are distances.</p>"
    )
    return Html(lead + "".join(parts))


def _thumbnail(library: Library, content_id: int) -> bytes | None:
    try:
        return shrunk_jpeg(library.thumbnail(content_id))
    except SosieError:
        return None
