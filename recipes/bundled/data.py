"""Pack public pictures into shards: squares of them as they are, and of an altered copy of each.

A shard is a folder `<name>/` of `pictures.npy` and `altered.npy`, uint8 (n, SIDE, SIDE, 3), `label.npy` int32 (n,) with
-1 for none, and `labels.json`. Pictures are squashed to a square, as the network sees them; copies are altered before
that, at the size of a thumbnail, by the alterations that Sosie itself knows (`sosie.alterations`). A finished shard is
skipped, so that the command can be repeated after any stop.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from sosie.alterations import alter, names

__all__ = ["SIDE", "Shard", "Source", "load_shards", "pack", "read_sources"]

SIDE = 224
_WORKING = 384  # the longer side at which copies are altered

_PICTURE = re.compile(r"\.(jpe?g|png)$", re.IGNORECASE)
_WNID = re.compile(r"^n\d{8}$")
_CHUNK = 32
_ARRAYS = ("pictures", "altered", "label")
_CHAINS = ("chain_2", "chain_3", "chain_4")


@dataclass(frozen=True, slots=True)
class Source:
    """One public repository of pictures."""

    repository: str
    commit: str
    what: str
    licence: str
    label: str
    limit: int = 0
    include: str = ""
    listed: bool = False
    held_every: int = 0  # every so many-th label is kept out of training, to choose by; 1: all of them

    @property
    def name(self) -> str:
        return self.repository.replace("/", "+")


@dataclass(frozen=True, slots=True)
class Shard:
    """One packed source, its arrays mapped from disk."""

    name: str
    pictures: np.ndarray
    altered: np.ndarray
    label: np.ndarray
    labels: tuple[str, ...]
    held_every: int
    leaks: np.ndarray  # rows that show a picture of an evaluation pack


def read_sources(path: Path) -> list[Source]:
    """Read `sources.toml`."""
    return [Source(**entry) for entry in tomllib.loads(path.read_text())["source"]]


def read_list(path: Path) -> dict[str, dict[str, bool]]:
    """Read a training list (gzipped CSV): by repository, whether each blob may be trained on."""
    allowed: dict[str, dict[str, bool]] = {}
    with gzip.open(path, "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            fine = row["ok_for_training"] == "1" and not row["used_in_pack"]
            allowed.setdefault(row["repository" if "repository" in row else "repo"], {})[row["blob_sha1"]] = fine
    return allowed


def label_of(path: str, rule: str) -> str:
    """Return the label that a path says, or an empty string: a WordNet id where there is one, else the folder.

    By the rule "path" it is all folders, where the last one is a number under a class.
    """
    if rule == "none":
        return ""
    folders = path.split("/")[:-1]
    if rule == "path":
        return "/".join(folders)
    for folder in folders:
        if _WNID.match(folder):
            return folder
    plain = [f for f in folders if f.lower() not in {"images", "val", "test"}]
    return plain[-1] if plain and folders[-1].lower() != "images" else ""


def list_blobs(git: Path, source: Source, allowed: dict[str, bool] | None) -> list[tuple[str, str]]:
    """List (blob, label) of the pictures of a source that may be trained on, each blob once."""
    out = subprocess.run(
        ["git", f"--git-dir={git}", "ls-tree", "-r", "-z", source.commit], check=True, capture_output=True
    ).stdout.decode("utf-8", "replace")
    found: dict[str, str] = {}
    for line in filter(None, out.split("\0")):
        head, path = line.split("\t", 1)
        blob = head.split()[2]
        fine = allowed.get(blob, False) if source.listed and allowed is not None else True
        forbidden = allowed is not None and not allowed.get(blob, True)
        if _PICTURE.search(path) and source.include in path and fine and not forbidden and blob not in found:
            found[blob] = label_of(path, source.label)
    return list(found.items())


def read_blobs(git: Path, blobs: list[str]) -> Iterator[bytes]:
    """Yield the bytes of each blob in turn."""
    with subprocess.Popen(
        ["git", f"--git-dir={git}", "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        for blob in blobs:
            process.stdin.write(f"{blob}\n".encode())
            process.stdin.flush()
            head = process.stdout.readline().split()
            yield process.stdout.read(int(head[2])) if len(head) == 3 else b""
            if len(head) == 3:
                process.stdout.read(1)
        process.stdin.close()


def decode(data: bytes) -> np.ndarray | None:
    """Decode a picture to at most `_WORKING` pixels a side, or None where it cannot be read."""
    try:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (_WORKING, _WORKING))
        image = image.convert("RGB")
        image.thumbnail((_WORKING, _WORKING), Image.Resampling.BICUBIC)
    except Exception:  # a broken picture in a public set is left out, whatever its fault
        return None
    return np.asarray(image)


def square(pixels: np.ndarray) -> np.ndarray:
    """Squash (h, w, 3) pixels to a square of SIDE."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def copy_of(pixels: np.ndarray, *, seed: int, others: list[np.ndarray]) -> np.ndarray:
    """Alter a picture, by one edit or a chain of several as often, and mirror one in two, in whatever else was done."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(_CHAINS if rng.random() < 0.5 else names()))
    altered = alter(pixels, name, seed, others=others).pixels
    return np.ascontiguousarray(altered[:, ::-1]) if rng.random() < 0.5 else altered


def _pack_chunk(job: tuple[list[bytes], list[int], int]) -> tuple[np.ndarray, ...] | None:
    blobs, labels, seed = job
    both = [(decode(blob), label) for blob, label in zip(blobs, labels, strict=True)]
    good = [(pixels, label) for pixels, label in both if pixels is not None]
    if not good:
        return None
    pixels = [each for each, _ in good]
    altered = [
        copy_of(each, seed=seed + i, others=[*pixels[i + 1 :], *pixels[:i]][:4]) for i, each in enumerate(pixels)
    ]
    label = np.array([n for _, n in good], np.int32)
    return np.stack([square(each) for each in pixels]), np.stack([square(each) for each in altered]), label


def _jobs(git: Path, listed: list[tuple[str, str]], known: list[str]) -> Iterator[tuple[object, ...]]:
    number = {name: i for i, name in enumerate(known)}
    stream = read_blobs(git, [blob for blob, _ in listed])
    for start in range(0, len(listed), _CHUNK):
        part = listed[start : start + _CHUNK]
        yield [next(stream) for _ in part], [number.get(label, -1) for _, label in part], start


def pack(source: Source, *, git: Path, out: Path, allowed: dict[str, bool] | None, workers: int = 2) -> int:
    """Pack one source into `out/<name>`; return the number of pictures, or -1 where the shard was there."""
    folder = out / source.name
    if (folder / "labels.json").exists():
        return -1
    listed = list_blobs(git, source, allowed)
    np.random.default_rng(0).shuffle(listed)
    listed = [(str(a), str(b)) for a, b in listed][: source.limit or None]
    known = sorted({label for _, label in listed if label})
    with get_context("fork").Pool(workers) as pool:
        got = [g for g in pool.imap(_pack_chunk, _jobs(git, listed, known)) if g is not None]
    if not got:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    for key, column in zip(_ARRAYS, zip(*got, strict=True), strict=True):
        np.save(folder / f"{key}.npy", np.concatenate(column))
    # written last: its presence says that the shard is whole
    about = {"labels": known, "commit": source.commit, "what": source.what, "held_every": source.held_every}
    (folder / "labels.json").write_text(json.dumps(about))
    return sum(len(g[0]) for g in got)


def load_shards(folder: Path) -> list[Shard]:
    """Map every finished shard of a folder, in the order of names."""
    shards = []
    for done in sorted(folder.glob("*/labels.json")):
        arrays = [np.load(done.parent / f"{key}.npy", mmap_mode="r") for key in _ARRAYS]
        about = json.loads(done.read_text())
        leaks = done.parent / "near_duplicates.npy"
        rows = np.load(leaks) if leaks.exists() else np.empty(0, np.int64)
        shards.append(Shard(done.parent.name, *arrays, tuple(about["labels"]), about["held_every"], rows))
    return shards


def main() -> None:
    """Pack the sources whose repositories lie under `--mirror`."""
    import argparse
    import time

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sources", type=Path, default=Path(__file__).with_name("sources.toml"))
    parser.add_argument("--mirror", type=Path, required=True, help="folder of <owner>+<name>/repo[/.git]")
    parser.add_argument("--list", type=Path, default=None, help="training list (CSV, gzipped) of what may be used")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    lists = read_list(options.list) if options.list else {}
    for source in read_sources(options.sources):
        git = options.mirror / source.name / "repo"
        git = git / ".git" if (git / ".git").exists() else git
        if not git.exists():
            print(f"{source.repository}: not under {options.mirror}, skipped", flush=True)
            continue
        start = time.time()
        n = pack(source, git=git, out=options.out, allowed=lists.get(source.repository))
        print(f"{source.repository}: {n} pictures in {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
