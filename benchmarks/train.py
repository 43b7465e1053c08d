"""Pictures per second of training against the bare torch loop of the same network, and memory against their number.

    python benchmarks/train.py             # rates
    python benchmarks/train.py --memory    # memory for 256 and 2,048 pictures

The bare loop has its input in memory and does nothing but forward, loss, backward and step. Both run in turns,
several times; the medians are compared. Memory is measured in a process of its own for each number of pictures.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import sosie
from sosie.training.loop import _learn, _optimiser
from sosie.training.objectives import targets_of
from sosie.training.run import make_trainee, prepare
from sosie.training.settings import Settings
from sosie.training.trainee import embed

CLASSES = 8


def library_of(folder: Path, pictures: int) -> Path:
    """Make a library of noise in a few tones; training does not care what it looks at."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for at in range(pictures):
        place = folder / "pictures" / str(at % CLASSES) / f"{at:06d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((256, 192)).save(place, quality=85)
    with sosie.open(folder / "lib", model="histogram") as lib:
        lib.add(folder / "pictures", label_from_folders=True)
    return folder / "lib"


def rates(lib: Path, settings: Settings, folder: Path, rounds: int) -> tuple[float, float]:
    """Return pictures per second of our epochs and of the bare loop, medians over rounds taken in turns."""
    with sosie.open(lib, create=False) as library:
        prepared = prepare(library, settings, folder)
    examples, store = prepared.examples, prepared.store
    training = store.readable(examples.training)
    trainee = make_trainee(prepared, settings)
    optimiser = _optimiser(trainee, settings)
    chance = torch.Generator().manual_seed(0)
    batches = [training[at : at + settings.batch] for at in range(0, len(training), settings.batch)]
    ready = [(store.batch(rows, chance), targets_of(examples, rows)) for rows in batches]
    parameters = [p for group in optimiser.param_groups for p in group["params"]]

    def bare() -> None:
        trainee.extractor.train()
        for (maps, pooled, seen), targets in ready:
            loss = trainee.objective.loss(embed(trainee.extractor, maps, pooled), seen, targets)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 5.0)
            optimiser.step()

    def ours() -> None:
        _learn(trainee, store, examples, training, settings, optimiser=optimiser, epoch=1)

    ours(), bare()
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(rounds):
        for name, run in (("ours", ours), ("bare", bare)):
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    return tuple(len(training) / statistics.median(times[name]) for name in ("ours", "bare"))  # type: ignore[return-value]


def memory(lib: Path, pictures: int) -> float:
    """Return the most memory in MiB that preparing and one epoch take, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", str(lib), "--pictures", str(pictures)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if options.memory_of:
            settings = Settings("classifier", views=2, epochs=1)
            with sosie.open(options.memory_of, create=False) as library:
                prepared = prepare(library, settings, Path(place))
            from sosie.training.loop import fit

            fit(make_trainee(prepared, settings), prepared.store, prepared.examples, settings)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            return
        lib = library_of(Path(place) / "small", options.pictures)
        if options.memory:
            large = library_of(Path(place) / "large", 8 * options.pictures)
            for many, where in ((options.pictures, lib), (8 * options.pictures, large)):
                print(f"{many:>7} pictures: {memory(where, many):.0f} MiB at most")
            return
        print(
            f"{torch.get_num_threads()} threads, {options.pictures} pictures, bundled network at 128 px, batches of 64"
        )
        for what, unfreeze in (("head only", 0), ("last 10 layers", 10), ("all layers, fresh views", 1000)):
            settings = Settings("classifier", unfreeze=unfreeze, views=2)
            ours, bare = rates(lib, settings, Path(place) / f"store-{unfreeze}", options.rounds)
            print(f"{what:<26}{ours:>9.0f} pictures/s{bare:>9.0f} bare{ours / bare:>8.0%}", flush=True)


if __name__ == "__main__":
    main()
