"""An inverted file over visual words: which pictures share local features with a query, and in one consistent pose.

Signatures within a Hamming radius vote for a picture; only votes that agree on one difference of angle and of scale
count together (weak geometric consistency, Jégou, Douze and Schmid, 2008), and one query feature votes once a picture,
against bursts (Jégou, Douze and Schmid, 2009). A file is a list of immutable segments: adding is writing one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie.arrays import load_array
from sosie.types import FloatMatrix, Ids
from sosie.verify.features import Features
from sosie.verify.words import WORDS, Vocabulary

__all__ = ["Segment", "build_segment", "load_segment", "merge", "save_segment", "search_segments"]

_RADIUS = 22  # of 64 bits; a chance pair stays within it once in a hundred
_SOFTNESS = 16.0
_STEPS_PER_OCTAVE = 16
_CROWDED = 64  # words with more postings than this many times the mean say little and cost much
_SHORT = 30  # pictures with fewer features than this are not favoured for it


@dataclass(frozen=True, slots=True)
class Segment:
    """Postings of some pictures, ordered by word: those of word w are ``offsets[w]:offsets[w + 1]``."""

    ids: Ids  # (p,) ascending
    counts: npt.NDArray[np.uint16]  # (p,) features of each picture
    offsets: npt.NDArray[np.int64]  # (WORDS + 1,)
    pictures: npt.NDArray[np.int32]  # (m,) positions in ids
    signatures: npt.NDArray[np.uint64]  # (m,)
    angles: npt.NDArray[np.uint8]  # (m,) 256 to the turn
    scales: npt.NDArray[np.uint8]  # (m,) 16 to the octave

    def __len__(self) -> int:
        return len(self.ids)


def build_segment(ids: Ids, features: Sequence[Features], vocabulary: Vocabulary) -> Segment:
    """Index the features of pictures with these ascending ids."""
    counts = np.array([len(one) for one in features], np.uint16)
    words, signatures = vocabulary.quantise(_joined([one.descriptors for one in features], 128, np.uint8))
    angles, scales = _pose(_joined([one.points for one in features], 4, np.float32))
    pictures = np.repeat(np.arange(len(ids), dtype=np.int32), counts)
    return _sorted(ids, counts, words, (pictures, signatures, angles, scales))


def merge(first: Segment, second: Segment) -> Segment:
    """Return one segment with the pictures of both; those of ``second`` have the greater ids."""
    words = np.concatenate([np.repeat(np.arange(WORDS, dtype=np.uint16), np.diff(s.offsets)) for s in (first, second)])
    columns = (
        np.concatenate([first.pictures, second.pictures + np.int32(len(first))]),
        np.concatenate([first.signatures, second.signatures]),
        np.concatenate([first.angles, second.angles]),
        np.concatenate([first.scales, second.scales]),
    )
    ids, counts = np.concatenate([first.ids, second.ids]), np.concatenate([first.counts, second.counts])
    return _sorted(ids, counts, words, columns)


def search_segments(
    segments: Sequence[Segment], query: Features, vocabulary: Vocabulary, *, k: int
) -> tuple[Ids, FloatMatrix]:
    """Return the ids and scores of the k pictures that share most with the query, seen as it is or in a mirror."""
    if not len(query) or not segments:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    sizes = np.sum([np.diff(segment.offsets) for segment in segments], axis=0)
    rarity = np.log(max(sizes.sum(), WORDS) / np.maximum(sizes, 1)).astype(np.float32) ** 2
    rarity[sizes > _CROWDED * max(1.0, sizes.mean())] = 0
    poses = [_Pose.of(view, vocabulary, rarity) for view in (query, query.mirrored())]
    scores = [_score(segment, poses) for segment in segments]
    ids, score = np.concatenate([segment.ids for segment in segments]), np.concatenate(scores)
    best = np.argsort(-score, kind="stable")[:k]
    best = best[score[best] > 0]
    return ids[best], score[best]


def save_segment(segment: Segment, folder: Path) -> None:
    """Write one ``.npy`` per column."""
    for column in fields(segment):
        np.save(folder / f"{column.name}.npy", getattr(segment, column.name))


def load_segment(folder: Path) -> Segment:
    """Map the columns into memory; ValueError or OSError where they are not what ``save_segment`` wrote."""
    columns: dict[str, Any] = {
        column.name: load_array(folder / f"{column.name}.npy", mapped=True) for column in fields(Segment)
    }
    return Segment(**columns)


# ------------------------------------------------------------------------------------------------ scoring


@dataclass(frozen=True, slots=True)
class _Pose:
    """A query's features as words, one view of it."""

    words: npt.NDArray[np.uint16]
    signatures: npt.NDArray[np.uint64]
    angles: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32]

    @classmethod
    def of(cls, query: Features, vocabulary: Vocabulary, rarity: npt.NDArray[np.float32]) -> _Pose:
        words, signatures = vocabulary.quantise(query.descriptors)
        kept = rarity[words] > 0
        angles, scales = _pose(query.points)
        return cls(words[kept], signatures[kept], angles[kept], scales[kept], rarity[words[kept]])


def _score(segment: Segment, poses: Sequence[_Pose]) -> npt.NDArray[np.float32]:
    score = np.zeros(len(segment), np.float32)
    for pose in poses:
        np.maximum(score, _votes(segment, pose), out=score)
    return (score / np.sqrt(np.maximum(segment.counts, _SHORT))).astype(np.float32)


def _votes(segment: Segment, pose: _Pose) -> npt.NDArray[np.float32]:
    """Return (p,): the greatest sum of votes for each picture that agree on a turn and a scale."""
    feature, posting, weight = _near(segment, pose)
    picture = segment.pictures[posting].astype(np.int64)
    once = np.lexsort((-weight, feature, picture))
    same = (np.diff(picture[once], prepend=-1) == 0) & (np.diff(feature[once], prepend=-1) == 0)
    once = once[~same]
    feature, posting, weight, picture = feature[once], posting[once], weight[once], picture[once]
    turn = (pose.angles[feature] - segment.angles[posting]) >> 4  # sixteenths of a turn, modulo 256 by its type
    zoom = (pose.scales[feature].astype(np.int64) - segment.scales[posting] + 256) // (_STEPS_PER_OCTAVE // 2)
    best = np.zeros(len(segment), np.float32)
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):  # two bins wide, so that no edge divides what belongs together
        bins = ((turn.astype(np.int64) + shift[0]) % 16 // 2) * 64 + (zoom + shift[1]) // 2
        keys, inverse = np.unique(picture * 512 + bins, return_inverse=True)
        np.maximum.at(best, keys // 512, np.bincount(inverse, weight, len(keys)).astype(np.float32))
    return best


def _near(
    segment: Segment, pose: _Pose
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return query feature, posting and weight of every vote: same word, near signature."""
    starts = segment.offsets[pose.words]
    lengths = segment.offsets[pose.words.astype(np.int64) + 1] - starts
    feature = np.repeat(np.arange(len(pose.words)), lengths)
    posting = np.arange(lengths.sum()) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    distance = np.bitwise_count(segment.signatures[posting] ^ pose.signatures[feature])
    near = np.flatnonzero(distance <= _RADIUS)
    feature, posting = feature[near], posting[near]
    weight = pose.weights[feature] * np.exp(-((distance[near] / np.float32(_SOFTNESS)) ** 2))
    return feature, posting, weight


def _pose(points: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    angles = (np.round(points[:, 3] / 360 * 256).astype(np.int64) % 256).astype(np.uint8)
    octaves = np.log2(np.maximum(points[:, 2], 1.0)) * _STEPS_PER_OCTAVE
    return angles, np.clip(np.round(octaves), 0, 255).astype(np.uint8)


def _sorted(ids: Ids, counts: npt.NDArray[np.uint16], words: npt.NDArray[np.uint16], columns: Any) -> Segment:
    order = np.argsort(words, kind="stable")
    offsets = np.zeros(WORDS + 1, np.int64)
    np.cumsum(np.bincount(words, minlength=WORDS), out=offsets[1:])
    return Segment(ids, counts, offsets, *(column[order] for column in columns))


def _joined(parts: Sequence[npt.NDArray[Any]], columns: int, dtype: Any) -> npt.NDArray[Any]:
    return np.concatenate([np.empty((0, columns), dtype), *parts])
