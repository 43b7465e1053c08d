"""Fit the calibration that ships as ``sosie/verify/calibration.json``.

    python recipes/calibration/fit.py PICTURES/ --library /tmp/calibration --out src/sosie/verify/calibration.json

A library is made of the pictures, some of them are altered and looked for, and the evidence of right and wrong
candidates is fitted. The term of the copy embedding is left out: its scale belongs to one network, and a library's own
calibration learns it. Every second query is held out for the error that is stored beside the weights.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

import sosie
from sosie.copies.calibrate import PairRow, Trial, fit_rows, held_out_error, try_alterations
from sosie.verify.calibration import Calibration
from sosie.verify.evidence import PairEvidence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--per-picture", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with sosie.open(options.library) as library:
        for folder in options.pictures:
            library.add(folder)
        copies = library.copies
        copies.prepare(workers=2)
        live = library.catalogue.live_ids()
        chosen = np.sort(np.random.default_rng(options.seed).permutation(live)[: options.sample]).tolist()
        pictures = list(copies.pictures(chosen))
        rows = try_alterations(
            pictures,
            Trial(copies.query_of_picture, copies.finder.pairs, copies.finder.features),
            others=dict(pictures[:: max(1, len(pictures) // 24)]),
            per_picture=options.per_picture,
            seed=options.seed,
        )
    bare = [replace(row, evidence=replace(row.evidence, copy_score=None)) for row in rows]
    about = {
        "pictures": len(live),
        "sample": len(pictures),
        "per_picture": options.per_picture,
        "seed": options.seed,
        "pairs": len(bare),
        "ece_held_out": round(held_out_error(bare), 5),
        "ece_hints_held_out": round(held_out_error(bare, hinted=True), 5),
    }
    fitted = fit_rows(bare, about=about)
    options.out.write_text(json.dumps(fitted.to_json(), indent=1) + "\n", encoding="utf-8")
    _report(bare, fitted)


def _report(rows: list[PairRow], fitted: Calibration) -> None:
    queries = {row.query for row in rows}
    found = {row.query for row in rows if row.truth}
    print(f"{len(queries)} queries with candidates, {len(found)} of them with their source among these")
    print("weights", fitted.weights, "bias", fitted.bias, "hints", fitted.hints)
    for distance in (0, 10, 20, 30, 45, 60, 90):
        alone = PairEvidence(pdq_distance=distance, compared=False)
        print(f"a fingerprint {distance} bits away, alone: {fitted.probability(alone):.4f}")
    false = sorted((row for row in rows if not row.truth), key=lambda row: -fitted.odds(row.evidence))
    for row in false[:20]:
        print(f"non-copy {row.reference} at {fitted.probability(row.evidence):.4f}: {row.alteration}, {row.evidence}")


if __name__ == "__main__":
    main()
