"""Measure networks on one core in the same run: milliseconds a picture and memory.

The least of many rounds is taken: other programs on the machine only ever add.

python -m recipes.bundled.speed --model NAME=FILE.onnx:SIDE ...
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from recipes.bundled.evaluate import Model, read_model
from recipes.bundled.teachers import dequantise

__all__ = ["milliseconds"]


def resident_mib() -> float:
    """Return the most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def milliseconds(models: list[Model], *, rounds: int = 200) -> dict[str, float]:
    """Return the least time of one picture by each model, the models taking turns."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    calls = {}
    for model in models:
        session = ort.InferenceSession(dequantise(model.path), options, providers=["CPUExecutionProvider"])
        picture = np.random.default_rng(0).uniform(0, 255, (1, 3, model.side, model.side)).astype(np.float32)
        calls[model.name] = (session, {session.get_inputs()[0].name: picture})
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 5):
        for name, (session, feed) in calls.items():
            start = time.perf_counter()
            session.run(None, feed)
            if turn >= 5:
                taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: min(values) for name, values in taken.items()}


def main() -> None:
    """Print a table; with one model the memory is that of the model alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, type=read_model)
    options = parser.parse_args()
    found = milliseconds(options.model)
    for model in options.model:
        size = Path(model.path).stat().st_size / 2**20
        print(f"{model.name}: {found[model.name]:.2f} ms at {model.side} px, {size:.1f} MiB file")
    print(f"most memory held: {resident_mib():.0f} MiB")


if __name__ == "__main__":
    main()
