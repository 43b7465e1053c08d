"""Compute what still networks see in the packed pictures, once, for all that is fitted afterwards.

python -m recipes.bundled.features --packs PACKS --out FEATURES [--edgetpu MOBILENET_EDGETPU.onnx]

For each shard and each EfficientNet-Lite: `<shard>.lite0.npy` and, of the altered copies, `<shard>.lite0.altered.npy`,
float16 (n, width), means then deviations of each stage (`network.Backbone`); of the other teacher its embedding,
`<shard>.edgetpu.npy`. A file that is there is skipped, so the command can be repeated after any stop.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from recipes.bundled.data import load_shards
from recipes.bundled.teachers import Teacher

__all__ = ["Job", "jobs_of", "look_at", "run"]

_CHUNK, _BATCH = 32, 2
Look = Callable[[np.ndarray], np.ndarray]


def runner(network: Path) -> Look:
    """Return a function from pictures (n, s, s, 3) uint8 to features (n, width) by an exported backbone."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])

    def look(pictures: np.ndarray) -> np.ndarray:
        x = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)
        return np.asarray(session.run(["features"], {"image": x})[0], np.float16)

    return look


def teacher_runner(network: Path) -> Look:
    """Return a function from pictures to the embedding of the other teacher."""
    teacher = Teacher(network)
    return lambda pictures: teacher.look(pictures)[0].astype(np.float16)


@dataclass(frozen=True, slots=True)
class Job:
    """One network that looks at one array of one shard."""

    network: str
    path: Path
    shard: Path
    kind: str
    count: int
    out: Path


@cache
def _look(network: str, path: Path) -> Look:
    return teacher_runner(path) if network == "edgetpu" else runner(path)


def look_at(job: Job, at: int) -> np.ndarray:
    """Return what the network sees in the pictures of one chunk, from row ``at`` on."""
    pictures = np.load(job.shard / f"{job.kind}.npy", mmap_mode="r")[at : at + _CHUNK]
    look = _look(job.network, job.path)
    return np.concatenate([look(np.asarray(pictures[i : i + _BATCH])) for i in range(0, len(pictures), _BATCH)])


def _star(chunk: tuple[Job, int]) -> np.ndarray:
    return look_at(*chunk)


def write(job: Job, parts: list[np.ndarray]) -> None:
    """Write the features of a whole array."""
    part = job.out.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, np.concatenate(parts))
    part.replace(job.out)


def run(jobs: list[Job], *, workers: int) -> Iterator[Job]:
    """Do all jobs, chunk by chunk over the workers; yield each as it is written."""
    chunks = [(job, at) for job in jobs for at in range(0, job.count, _CHUNK)]
    found: dict[Path, list[np.ndarray]] = {}
    with get_context("spawn").Pool(workers) as pool:
        for (job, at), seen in zip(chunks, pool.imap(_star, chunks), strict=True):
            found.setdefault(job.out, []).append(seen)
            if at + _CHUNK >= job.count:
                write(job, found.pop(job.out))
                yield job


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """Return what is to be done and is not, network by network."""
    looks = [(f"lite{size}", kind) for size in options.students for kind in ("pictures", "altered")]
    looks += [(f"lite{size}", "pictures") for size in options.sizes if size not in options.students]
    looks += [("edgetpu", "pictures")] if options.edgetpu else []
    jobs = []
    for network, kind in looks:
        path = options.edgetpu if network == "edgetpu" else _exported(int(network[-1]), options.out)
        ending = network if kind == "pictures" else f"{network}.{kind}"
        for shard in load_shards(options.packs):
            folder, out = options.packs / shard.name, options.out / f"{shard.name}.{ending}.npy"
            jobs += [] if out.exists() else [Job(network, path, folder, kind, len(shard.label), out)]
    return jobs


def _exported(size: int, out: Path) -> Path:
    from recipes.bundled.graph import to_onnx  # these import torch, which the workers do without
    from recipes.bundled.network import Backbone, load_package

    path = out / f"lite{size}.onnx"
    if not path.exists():
        backbone = Backbone(load_package(size))
        to_onnx(backbone, path, outputs=["features", "featuremap"], maps=["featuremap"], half=False)
    return path


def main() -> None:
    """Compute the features that are lacking."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", type=int, default=[0, 1, 2], help="which Lites look")
    parser.add_argument("--students", nargs="*", type=int, default=[0], help="which look at the altered copies, too")
    parser.add_argument("--edgetpu", type=Path, help="MobileNet EdgeTPU, a teacher besides")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    start = time.time()
    for job in run(jobs_of(options), workers=options.workers):
        print(f"{job.out.stem}: {job.count} pictures, {time.time() - start:.0f} s since the start", flush=True)


if __name__ == "__main__":
    main()
