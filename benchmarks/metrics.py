"""Time and memory of scoring 10,000 queries against 100,000 vectors over the full ranking.

python benchmarks/metrics.py [--queries 10000] [--references 100000] [--dim 256] [--labels 1000]
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np

from sosie.evaluation.metrics import mean
from sosie.evaluation.ranking import Blocks, same_label, score_blocks, stream_measures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("queries", 10_000), ("references", 100_000), ("dim", 256), ("labels", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = rng.integers(0, arguments.labels, arguments.references)
    centres = rng.normal(size=(arguments.labels, arguments.dim)).astype(np.float32)
    vectors = rng.standard_normal((arguments.references, arguments.dim), dtype=np.float32)
    vectors += 0.35 * centres[labels]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    own = rng.choice(arguments.references, arguments.queries, replace=False)
    blocks = Blocks(vectors[own], vectors, own)
    start = time.perf_counter()
    measures = stream_measures(blocks, same_label(labels[own], labels), (1, 10, 20, 100))
    scored = time.perf_counter()
    score_blocks(blocks, 100)
    end = time.perf_counter()
    print(
        json.dumps(
            {
                **vars(arguments),
                "score_s": round(scored - start, 2),
                "answers_s": round(end - scored, 2),
                "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
                "mAP": round(mean(measures["mAP"]), 6),
                "recall@1": round(mean(measures["recall@1"]), 6),
            }
        )
    )


if __name__ == "__main__":
    main()
