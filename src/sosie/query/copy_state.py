"""What a finder of copies knows of the library at one moment: fingerprints, live pictures, what people decided.

On SQLite it takes over what commits changed, as the views of spaces do; where that is not listed, and on a cluster, it
is read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sosie.arrays import Bits
from sosie.catalogue import Catalogue, Store
from sosie.catalogue.changes import Moment
from sosie.query.candidates import Hashes
from sosie.types import Ids
from sosie.verify.calibration import Calibration

__all__ = ["CopyState", "StateReader"]

_KINDS = ("placed", "features")  # of changes that matter, beside what was added and removed


@dataclass(frozen=True, slots=True)
class CopyState:
    """What is known at one epoch; ``moment`` is None on a cluster."""

    epoch: int
    moment: Moment | None
    hashes: Hashes
    live: Container[int]
    decided: Mapping[tuple[str, str], str]
    calibration: Calibration


@dataclass(frozen=True)
class StateReader:
    """Reads states of a catalogue.

    ``index_words`` brings the inverted file up to date with these ids of pictures whose features are stored.
    """

    catalogue: Store
    version: str  # of the features
    calibration: Callable[[], Calibration]
    index_words: Callable[[Ids], object]

    def read(self, before: CopyState | None) -> CopyState:
        """Return what is known now, given what was known before."""
        if not isinstance(self.catalogue, Catalogue):
            return self._all(self.catalogue.epoch(), None)
        moment = self.catalogue.commits.moment()
        if before is None or before.moment is None or not isinstance(before.live, Bits):
            return self._all(moment.epoch, moment)
        changed = self.catalogue.commits.pictures(before.moment, what=_KINDS)
        if changed is None:
            return self._all(moment.epoch, moment)
        common = self._common(replace(before, epoch=moment.epoch, moment=moment))
        return self._with_changed(common, before.live, changed, self.catalogue) if len(changed) else common

    def _with_changed(self, state: CopyState, live: Bits, changed: Ids, catalogue: Catalogue) -> CopyState:
        self.index_words(catalogue.featured(changed, version=self.version))
        hashes = state.hashes.after(changed, Hashes(*catalogue.fingerprints(changed.tolist())))
        now = np.array(sorted(catalogue.meeting(changed.tolist())), np.int64)
        return replace(state, hashes=hashes, live=live.changed(changed, now))

    def _all(self, epoch: int, moment: Moment | None) -> CopyState:
        self.index_words(self.catalogue.feature_ids(version=self.version))
        live = self.catalogue.live_ids()
        # ids of a cluster are digests: as bitmaps they would take more than there is
        members: Container[int] = frozenset(live.tolist()) if moment is None else Bits.of(live)
        hashes = Hashes(*self.catalogue.fingerprints())
        return self._common(CopyState(epoch, moment, hashes, members, {}, self.calibration()))

    def _common(self, state: CopyState) -> CopyState:
        decided = {(one.a, one.b): one.decision for one in self.catalogue.decisions()}
        return replace(state, decided=decided, calibration=self.calibration())
