"""What a training run is told, checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sosie.errors import UsageError
from sosie.training.layers import convolution_part, wrong_in_head

__all__ = ["BITS", "Settings"]

BITS = (32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True, slots=True)
class Settings:
    """One run. Equal settings on equal pictures give equal weights on one machine.

    ``start``: ``bundled`` or a timm name; ``weights``: a checkpoint of that network, ``none`` for random ones, None for
    those that are published. ``labels``: what is learned, chosen from the library where empty. ``head``: layers
    (`sosie.training.heads`), the last being dense and the embedding; empty keeps the start's own. ``schedule``: how the
    rate falls. ``unfreeze``: how many of the last weighted
    layers of the backbone learn. ``views``: how many augmented views of a picture there are. ``keep``: the
    share of the start's weights in the result, where the start's own head is kept.
    """

    recipe: Literal["classifier", "metric", "hash"]
    start: str = "bundled"
    weights: str | None = None
    labels: tuple[str, ...] = ()
    where: str | None = None
    head: tuple[int | str, ...] = ()
    pooling: Literal["mean", "gem", "max"] = "mean"
    dropout: float = 0.2
    unfreeze: int = 10
    epochs: int = 30
    batch: int = 64
    rate: float = 5e-3
    decay: float = 0.05
    optimiser: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["cosine", "constant", "step", "exponential"] = "cosine"
    patience: int = 8
    validation: float = 0.2
    unseen: int = 0
    views: int = 4
    keep: float = 0.7
    balance: Literal["none", "sample", "weight"] = "none"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0
    # metric
    loss: Literal["triplet", "contrastive", "arcface", "multi-similarity"] = "triplet"
    mining: Literal["random", "semi-hard", "hard"] = "semi-hard"
    margin: float = 0.2
    per_class: int = 4
    # hash
    bits: int = 64
    codes: Literal["auto-encoder", "supervised"] = "auto-encoder"
    alpha: float = 0.1

    def __post_init__(self) -> None:
        for wrong, message in self._faults():
            if wrong:
                raise UsageError(message)

    def _faults(self) -> Iterator[tuple[bool, str]]:
        for name, kind in get_type_hints(Settings).items():
            if get_origin(kind) is Literal:
                *others, last = get_args(kind)
                chosen = getattr(self, name)
                yield chosen not in (*others, last), f"{name} is {', '.join(others)} or {last}, not {chosen!r}"
        yield (wrong := wrong_in_head(self.head)) is not None, str(wrong)
        yield not 0 <= self.dropout < 1, f"dropout is a share from 0 to below 1, not {self.dropout}"
        yield not 0 < self.validation < 1, f"validation is a share between 0 and 1, not {self.validation}"
        yield not 0 < self.rate <= 10, f"a rate is above 0 and at most 10, not {self.rate}"
        yield self.unfreeze < 0, f"unfreeze counts layers: 0 or more, not {self.unfreeze}"
        yield min(self.epochs, self.views) < 1, "epochs and views are at least 1"
        yield self.batch < 4, f"a batch has at least 4 pictures, not {self.batch}"
        yield self.margin <= 0, f"a margin is above 0, not {self.margin}"
        yield self.per_class < 2, f"a class has at least 2 pictures in a batch, not {self.per_class}"
        yield self.bits not in BITS, f"codes have {', '.join(map(str, BITS))} bits, not {self.bits}"
        yield not 0 <= self.keep < 1, f"keep is a share from 0 to below 1, not {self.keep}"
        yield self.alpha < 0, f"alpha is 0 or more, not {self.alpha}"
        yield (
            self.recipe == "hash" and bool(self.head) and self.head[-1] != self.bits,
            f"the head ends in {self.head[-1:]} units and the code has {self.bits} bits: end it with {self.bits}",
        )

    def to_json(self) -> dict[str, Any]:
        """Return the settings with plain JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def views_key(self) -> Mapping[str, Any]:
        """Return what the stored views depend on: runs that share it share them."""
        names = ("start", "weights", "pooling", "unfreeze", "views", "seed")
        maps = {"maps": True} if convolution_part(self.head) else {}  # then maps are kept, and others are pooled
        return {name: getattr(self, name) for name in names} | maps
