"""What a library has to learn from: labelled pictures, parted so that near copies never stand on both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sosie.analysis.fingerprints import MIN_QUALITY, hamming
from sosie.errors import UnknownName, UsageError
from sosie.evaluation.relevance import LabelSets, choose_keys, label_sets
from sosie.library import Library
from sosie.registry import nearest
from sosie.training.settings import Settings
from sosie.types import Ids, LabelValue

__all__ = ["Examples", "gather", "group_copies", "part"]

COPY_BITS = 31  # PDQ codes that differ in no more are of one picture, as its authors recommend
_LEAST = 2  # pictures of a class: one to learn from, one to judge by
_BLOCK = 512

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """n pictures by id, what each is (``labels``), and three disjoint sets of rows.

    ``unseen`` holds pictures of classes that take no part in training. ``notes`` say what was left out.
    """

    ids: Ids
    labels: LabelSets
    training: Rows
    validation: Rows
    unseen: Rows
    keys: tuple[str, ...]
    unseen_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def several(self) -> bool:
        """Whether a picture may have several labels."""
        return self.labels.codes is None

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that are learned, in the order of ``targets``."""
        return tuple(name for name in self.labels.names if name not in self.unseen_names)

    @property
    def targets(self) -> npt.NDArray[np.float32]:
        """Which picture has which learned class, (n, classes), 0 or 1."""
        columns = [at for at, name in enumerate(self.labels.names) if name not in self.unseen_names]
        return self.labels.member[:, columns].astype(np.float32)


def gather(library: Library, settings: Settings) -> Examples:
    """Return what a library has to learn from; raise UsageError where it is not enough, and say what is lacking."""
    ids = library.catalogue.live_ids(library.catalogue.condition(settings.where))
    if not len(ids):
        what = "no picture meets --where" if settings.where else "the library has no picture: `sosie add` a folder"
        raise UsageError(what)
    every = library.catalogue.all_labels()
    labels = [every.get(int(each), {}) for each in ids]
    keys = _keys(settings, labels)
    if not keys and settings.recipe == "hash":  # codes can be learned without labels
        return _unlabelled(library, ids, settings)
    return _labelled(library, ids, label_sets(labels, keys), keys, settings)


def _keys(settings: Settings, labels: Sequence[Mapping[str, LabelValue]]) -> tuple[str, ...]:
    known = {name for each in labels for name in each}
    for name in settings.labels:
        if name not in known:
            raise UnknownName(f"no picture has a label {name!r}; {nearest(name, known) if known else 'none has any'}")
    usual = ("label",) if "label" in known and settings.recipe != "hash" else ()
    return settings.labels or choose_keys(labels) or usual


def _labelled(library: Library, ids: Ids, sets: LabelSets, keys: tuple[str, ...], settings: Settings) -> Examples:
    notes = []
    counts = sets.member.sum(axis=0)
    rare = [name for name, count in zip(sets.names, counts, strict=True) if count < _LEAST]
    if rare:
        notes.append(f"left out {len(rare)} classes of fewer than {_LEAST} pictures: {_some(rare)}")
    wanted = [at for at, name in enumerate(sets.names) if name not in rare]
    sets = LabelSets(sets.member[:, wanted], tuple(sets.names[at] for at in wanted))
    having = sets.member.sum(axis=1) > 0
    if not having.all():
        notes.append(f"left out {int((~having).sum())} pictures without a label to learn")
    ids, sets = ids[having], sets.take(np.flatnonzero(having))
    _enough(sets, keys, rare, settings)
    unseen_names = _draw_unseen(sets, settings)
    columns = [at for at, name in enumerate(sets.names) if name in unseen_names]
    unseen = np.flatnonzero(sets.member[:, columns].sum(axis=1) > 0)
    seen = np.setdiff1d(np.arange(len(ids)), unseen)
    groups = group_copies(library, ids[seen])
    training, validation = part(sets.member[seen], groups, share=settings.validation, seed=settings.seed)
    return Examples(ids, sets, seen[training], seen[validation], unseen, keys, unseen_names, tuple(notes))


def _enough(sets: LabelSets, keys: Sequence[str], rare: Sequence[str], settings: Settings) -> None:
    if not keys:
        raise UsageError("no label is shared by several pictures: add labels (`sosie add --label-from-folders`)")
    least = 2 + settings.unseen
    if len(sets.names) < least:
        found = _some(sets.names) if sets.names else "none"
        alone = f"; {len(rare)} more have a single picture" if rare else ""
        classes = "class" if len(sets.names) == 1 else "classes"
        raise UsageError(
            f"{' and '.join(keys)} has {len(sets.names)} {classes} of two pictures or more ({found}{alone}): "
            f"at least {least} are needed; add labelled pictures, or choose another --label"
        )


def _unlabelled(library: Library, ids: Ids, settings: Settings) -> Examples:
    if settings.codes == "supervised":
        raise UsageError("supervised codes are learned from labels: add some, or take --codes auto-encoder")
    if len(ids) < 10:
        raise UsageError(f"{len(ids)} pictures are too few to learn codes from: at least 10 are needed")
    member = np.zeros((len(ids), 0), np.uint8)
    training, validation = part(member, group_copies(library, ids), share=settings.validation, seed=settings.seed)
    return Examples(ids, LabelSets(member, ()), training, validation, np.empty(0, np.int64), ())


def _draw_unseen(sets: LabelSets, settings: Settings) -> tuple[str, ...]:
    """Draw classes that training never sees; their pictures only judge it."""
    drawn = np.random.default_rng(settings.seed).permutation(len(sets.names))[: settings.unseen]
    return tuple(sets.names[at] for at in sorted(drawn))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


# ------------------------------------------------------------------------------------------------ copies, parts


def group_copies(library: Library, ids: Ids) -> Rows:
    """Return for each picture the number of its group (n,): near copies, by fingerprint, have the same one.

    A group is what hangs together by pairs of codes that differ in at most ``COPY_BITS`` of 256 bits.
    """
    known, codes, quality = library.catalogue.fingerprints()
    codes, quality = codes[np.searchsorted(known, ids)], quality[np.searchsorted(known, ids)]
    first = np.arange(len(ids))

    def root(at: int) -> int:
        while first[at] != at:
            first[at] = first[first[at]]
            at = first[at]
        return at

    for start in range(0, len(ids), _BLOCK):
        distance = hamming(codes[start : start + _BLOCK], codes[start:])
        ones, others = np.nonzero(distance <= COPY_BITS)
        for one, other in zip((ones + start).tolist(), (others + start).tolist(), strict=True):
            if one < other and min(quality[one], quality[other]) >= MIN_QUALITY:
                a, b = sorted((root(one), root(other)))
                first[b] = a
    return np.array([root(at) for at in range(len(ids))], np.int64)


def part(member: npt.NDArray[np.uint8], groups: Rows, *, share: float, seed: int) -> tuple[Rows, Rows]:
    """Part rows into training and validation, groups whole, each class in both where it has two groups.

    Classes are served from the rarest to the commonest (iterative stratification, Sechidis et al., 2011).
    """
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    side: dict[int, bool] = {}  # group → whether it validates
    members = {int(group): np.flatnonzero(groups == group) for group in order}
    classes = np.argsort(member.sum(axis=0), kind="stable") if member.shape[1] else np.empty(0, np.int64)
    for column in [*classes.tolist(), None]:
        mine = [g for g in map(int, order) if column is None or member[members[g], column].any()]
        sizes = {g: int(len(members[g]) if column is None else member[members[g], column].sum()) for g in mine}
        wanted = max(1, round(share * sum(sizes.values())))
        have = sum(sizes[g] for g in mine if side.get(g))
        free = [g for g in mine if g not in side]
        learning = any(side.get(g) is False for g in mine)
        for at, group in enumerate(free):
            last = at == len(free) - 1 and not learning  # somebody has to learn
            side[group] = have < wanted and not last
            have += sizes[group] if side[group] else 0
            learning |= not side[group]
    validates = np.array([side[int(group)] for group in groups], bool)
    return np.flatnonzero(~validates), np.flatnonzero(validates)
