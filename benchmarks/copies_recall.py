"""Copy detection beside hashes and plain embeddings, on the same altered pictures in the same run.

    python benchmarks/copies_recall.py --originals DATA/copies-dev/images --library /tmp/library \\
        --references DATA/*/images --outside OTHER/ --per-picture 5

Each original is altered in some ways of ``sosie.alterations`` and looked for among all references (which hold the
originals). Pictures of ``--outside``, which no reference was made from, are altered too: every answer to them is false.
``copies`` is what `sosie copies` answers; pHash needs ``uv sync --group peers``. Certificates are compared with the
records of what was done.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import sosie
from sosie.alterations import Record, alter, names
from sosie.analysis.features import analyse_query
from sosie.analysis.fingerprints import hamming
from sosie.analysis.worker import analysis_params
from sosie.decode import decode
from sosie.evaluation.metrics import micro_average_precision, recall_at_precision
from sosie.types import Picture
from sosie.verify.calibration import calibration_error
from sosie.verify.certificate import certify
from sosie.verify.evidence import PairEvidence

DEPTH = 10
Answers = list[tuple[int, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--originals", type=Path, required=True)
    parser.add_argument("--references", type=Path, nargs="+", required=True)
    parser.add_argument("--outside", type=Path)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--per-picture", type=int, default=5)
    parser.add_argument("--every", type=int, default=1, help="take every n-th original")
    parser.add_argument("--negatives", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with sosie.open(options.library) as library:
        for folder in options.references:
            library.add(folder, workers=2)
        library.copies.prepare(workers=2)
        measured = Measured(library)
        measured.ask_originals(sorted(options.originals.iterdir())[:: options.every], options.per_picture)
        if options.outside:
            measured.ask_outside(sorted(options.outside.rglob("*.jpg"))[: options.negatives])
    text = json.dumps(measured.report(), indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


class Measured:
    """Asks every method the same questions and keeps the answers."""

    def __init__(self, library: sosie.Library) -> None:
        self.library = library
        self.params = analysis_params(library.embedder.spec.preprocessing)
        self.methods = dict(_methods(library))
        self.answers: dict[str, list[Answers]] = defaultdict(list)
        self.truth: list[int] = []  # the right reference, or -1
        self.ways: list[str] = []
        self.probabilities: list[tuple[float, bool]] = []
        self.crop_errors: list[float] = []
        self.flips: list[bool] = []

    def ask_originals(self, paths: list[Path], per_picture: int) -> None:
        rng = np.random.default_rng(0)
        ways: list[str] = []
        for at, path in enumerate(paths):
            data = path.read_bytes()
            pixels = decode(data).pixels
            content = self.library.catalogue.content_id(hashlib.sha256(data).digest())
            for _ in range(per_picture):
                ways = ways or [str(name) for name in rng.permutation(names())]
                altered = alter(pixels, ways[-1], at)
                self._ask(altered.pixels, ways.pop(), content or -1, pixels, altered.record)

    def ask_outside(self, paths: list[Path]) -> None:
        for at, path in enumerate(paths):
            way = names()[at % len(names())]
            self._ask(alter(decode(path.read_bytes()).pixels, way, at).pixels, way, -1, None, None)

    def _ask(
        self, pixels: np.ndarray, way: str, truth: int, original: np.ndarray | None, record: Record | None
    ) -> None:
        analysed = analyse_query(Picture(pixels, pixels.shape[1], pixels.shape[0]), self.params)
        query = self.library.copies.query(way, "", analysed)
        result = self.library.copies.find_analysed(query, k=DEPTH, least=0.0)
        self.truth.append(truth)
        self.ways.append(way)
        self.answers["copies"].append([(hit.id, hit.score) for hit in result])
        self.probabilities += [(hit.probability or 0.0, hit.id == truth) for hit in result]
        for name, method in self.methods.items():
            self.answers[name].append(method(analysed, pixels))
        right = next((hit for hit in result if hit.id == truth), None)
        if right is not None and original is not None and record is not None and record.crop is not None:
            self._certify(pixels, original, right.evidence, record)

    def _certify(self, pixels: np.ndarray, original: np.ndarray, evidence: Any, record: Record) -> None:
        sizes = {"query_size": pixels.shape[1::-1], "reference_size": original.shape[1::-1]}
        rows = evidence.get("matrix")
        found = certify(pixels, original, PairEvidence(matrix=rows), **sizes) if rows else None
        if found is None:
            return
        ours, truth = (np.array([x, y, x + w, y + h]) for x, y, w, h in (found.crop, record.crop))
        self.crop_errors.append(float(np.abs(ours - truth).max()))
        self.flips.append(found.mirrored == record.mirrored)

    def report(self) -> dict[str, Any]:
        truth = np.array(self.truth)
        total = int((truth >= 0).sum())
        methods, found = {}, {}
        for name, answers in self.answers.items():
            score = np.array([s for each in answers for _, s in each])
            right = np.array([i == t for each, t in zip(answers, truth, strict=True) for i, _ in each], bool)
            recall, threshold = recall_at_precision(score, right, total, 0.9)
            methods[name] = {"micro_ap": micro_average_precision(score, right, total), "recall@p90": recall}
            found[name] = [any(i == t and s >= threshold for i, s in a) for a, t in zip(answers, truth, strict=True)]
        table = {
            way: {name: float(np.mean(np.array(found[name])[rows])) for name in methods} | {"queries": int(rows.sum())}
            for way in names()
            if (rows := (np.array(self.ways) == way) & (truth >= 0)).any()
        }
        stated = np.array([p for p, _ in self.probabilities])
        outside = [a for a, t in zip(self.answers["copies"], truth, strict=True) if t < 0]
        certain = float(np.log(0.95 / 0.05))
        return {
            "references": len(self.library.catalogue.live_ids()),
            "queries": total,
            "outside": len(outside),
            "methods": methods,
            "calibration error": calibration_error(stated, np.array([right for _, right in self.probabilities])),
            "outside called copies at 0.95": sum(any(s >= certain for _, s in each) for each in outside),
            "certificates": len(self.crop_errors),
            "crop error, 50/90/95 %": np.round(np.percentile(self.crop_errors or [0], [50, 90, 95]), 5).tolist(),
            "flips told right": float(np.mean(self.flips or [0])),
            "recall at 90 % precision, by alteration": table,
        }


def _methods(library: sosie.Library) -> Iterator[tuple[str, Callable[[Any, np.ndarray], Answers]]]:
    ids, codes, _ = library.catalogue.fingerprints()

    def nearest(likeness: np.ndarray) -> Answers:
        best = np.argsort(-likeness, kind="stable")[:DEPTH]
        return [(int(ids[at]), float(likeness[at])) for at in best]

    def by_pdq(analysed: Any, turns: int) -> Answers:
        mine = np.frombuffer(analysed["variants"], np.uint8).reshape(8, 32)[:turns]
        return nearest(256.0 - hamming(mine, codes).min(axis=0))

    yield "pdq", lambda analysed, _: by_pdq(analysed, 1)
    yield "pdq-turns", lambda analysed, _: by_pdq(analysed, 8)
    start = 0
    for space in library.spaces:
        rows, vectors = library.vectors(space)
        columns = slice(start, start + space.dim)
        start += space.dim

        def by_head(
            analysed: Any, _: np.ndarray, rows: Any = rows, vectors: Any = vectors, at: slice = columns
        ) -> Answers:
            side = analysed["input"]
            likeness = vectors @ library.embedder.embed([Picture(side, side.shape[1], side.shape[0])])[0, at]
            best = np.argsort(-likeness, kind="stable")[:DEPTH]
            return [(int(rows[i]), float(likeness[i])) for i in best]

        yield space.head, by_head
    try:
        import imagehash
    except ImportError:
        return
    hashes = np.array(
        [imagehash.phash(Image.open(io.BytesIO(library.read(int(i)))).convert("RGB")).hash.ravel() for i in ids]
    )

    def by_phash(_: Any, pixels: np.ndarray) -> Answers:
        mine = imagehash.phash(Image.fromarray(pixels)).hash.ravel()
        return nearest(64.0 - (hashes != mine).sum(axis=1))

    yield "phash", by_phash


if __name__ == "__main__":
    main()
