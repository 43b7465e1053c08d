"""Pack public pictures into shards: small squares beside what the teacher saw in them.

A shard is a folder `<name>/` of `pictures.npy` uint8 (n, side, side, 3), `embedding.npy` float16 (n, d), `probs.npy`
float16 (n, classes), `label.npy` int32 (n,) with -1 for none, and `labels.json`. Pictures are squashed to a square, as
the teacher sees them. A finished shard is skipped, so that the command can be repeated after any stop.
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

from recipes.bundled.teachers import Teacher

__all__ = ["Shard", "Source", "load_shards", "pack", "read_sources", "read_wordnet_ids"]

_PICTURE = re.compile(r"\.(jpe?g|png)$", re.IGNORECASE)
_WNID = re.compile(r"^n\d{8}$")
_CHUNK = 32
_teachers: list[Teacher] = []  # at most one, in each worker process


@dataclass(frozen=True, slots=True)
class Source:
    """One public repository of pictures."""

    repository: str
    commit: str
    what: str
    licence: str
    side: int
    look: int
    label: str
    include: str = ""
    listed: bool = False
    limit: int = 0

    @property
    def name(self) -> str:
        return self.repository.replace("/", "+")


@dataclass(frozen=True, slots=True)
class Shard:
    """One packed source, its arrays mapped from disk."""

    name: str
    pictures: np.ndarray
    embedding: np.ndarray
    probs: np.ndarray
    label: np.ndarray
    labels: tuple[str, ...]
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
    """Return the label that a path says, or an empty string: a WordNet id where there is one, else the folder."""
    if rule == "none":
        return ""
    folders = path.split("/")[:-1]
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


def decode(data: bytes, *, look: int, side: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Decode a picture to two squares (look and side pixels), or None where it cannot be read."""
    try:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (max(look, side), max(look, side)))
        image = image.convert("RGB")
        seen = image.resize((look or 1, look or 1), Image.Resampling.BICUBIC)
        kept = image.resize((side, side), Image.Resampling.BICUBIC) if image.size != (side, side) else image
    except Exception:  # a broken picture in a public set is left out, whatever its fault
        return None
    return np.asarray(seen), np.asarray(kept)


def _start(teacher: Path | None) -> None:
    _teachers[:] = [Teacher(teacher)] if teacher else []


def _pack_chunk(job: tuple[list[bytes], list[int], int, int]) -> tuple[np.ndarray, ...] | None:
    blobs, labels, look, side = job
    both = [(decode(b, look=look, side=side), label) for b, label in zip(blobs, labels, strict=True)]
    good = [(d, label) for d, label in both if d is not None]
    if not good:
        return None
    pictures = np.stack([d[1] for d, _ in good])
    label = np.array([n for _, n in good], np.int32)
    if not look or not _teachers:
        return pictures, np.zeros((len(good), 0), np.float16), np.zeros((len(good), 0), np.float16), label
    embedding, probs = _teachers[0].look(np.stack([d[0] for d, _ in good]))
    return pictures, embedding.astype(np.float16), probs.astype(np.float16), label


def _jobs(git: Path, source: Source, listed: list[tuple[str, str]], names: list[str]) -> Iterator[tuple[object, ...]]:
    number = {name: i for i, name in enumerate(names)}
    stream = read_blobs(git, [blob for blob, _ in listed])
    for start in range(0, len(listed), _CHUNK):
        part = listed[start : start + _CHUNK]
        data = [next(stream) for _ in part]
        yield data, [number.get(label, -1) for _, label in part], source.look, source.side


def pack(
    source: Source, *, git: Path, teacher: Path | None, out: Path, allowed: dict[str, bool] | None, workers: int = 2
) -> int:
    """Pack one source into `out/<name>`; return the number of pictures, or -1 where the shard was there."""
    folder = out / source.name
    if (folder / "labels.json").exists():
        return -1
    listed = list_blobs(git, source, allowed)
    np.random.default_rng(0).shuffle(listed)
    listed = [(str(a), str(b)) for a, b in listed][: source.limit or None]
    names = sorted({label for _, label in listed if label})
    with get_context("fork").Pool(workers, _start, (teacher if source.look else None,)) as pool:
        got = [g for g in pool.imap(_pack_chunk, _jobs(git, source, listed, names)) if g is not None]
    if not got:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    for key, column in zip(("pictures", "embedding", "probs", "label"), zip(*got, strict=True), strict=True):
        np.save(folder / f"{key}.npy", np.concatenate(column))
    # written last: its presence says that the shard is whole
    (folder / "labels.json").write_text(json.dumps({"labels": names, "commit": source.commit, "what": source.what}))
    return sum(len(g[0]) for g in got)


def load_shards(folder: Path) -> list[Shard]:
    """Map every finished shard of a folder, in the order of names."""
    shards = []
    for done in sorted(folder.glob("*/labels.json")):
        arrays = [np.load(done.parent / f"{k}.npy", mmap_mode="r") for k in ("pictures", "embedding", "probs", "label")]
        labels = tuple(json.loads(done.read_text())["labels"])
        leaks = done.parent / "near_duplicates.npy"
        rows = np.load(leaks) if leaks.exists() else np.empty(0, np.int64)
        shards.append(Shard(done.parent.name, arrays[0], arrays[1], arrays[2], arrays[3], labels, rows))
    return shards


def read_wordnet_ids(folder: Path) -> list[str]:
    """Return the WordNet ids of the teacher's classes in its order, or nothing where they are not known."""
    path = folder / "wordnet_ids.json"
    return list(json.loads(path.read_text())) if path.exists() else []


def write_wordnet_ids(git: Path, commit: str, folder: Path) -> None:
    """Write the ids that a repository of one picture a class names in its files; sorted, they are the classes."""
    command = ["git", f"--git-dir={git}", "ls-tree", "-r", "--name-only", commit]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    ids = sorted({name[:9] for name in names if _WNID.match(name[:9])})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wordnet_ids.json").write_text(json.dumps(ids))


def main() -> None:
    """Pack the sources whose repositories lie under `--mirror`."""
    import argparse
    import time

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sources", type=Path, default=Path(__file__).with_name("sources.toml"))
    parser.add_argument("--mirror", type=Path, required=True, help="folder of <owner>+<name>/repo[/.git]")
    parser.add_argument("--list", type=Path, default=None, help="training list (CSV, gzipped) of what may be used")
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    lists = read_list(options.list) if options.list else {}
    for source in read_sources(options.sources):
        git = options.mirror / source.name / "repo"
        git = git / ".git" if (git / ".git").exists() else git
        if not git.exists():
            print(f"{source.repository}: not under {options.mirror}, skipped", flush=True)
            continue
        if source.repository.endswith("imagenet-sample-images"):
            write_wordnet_ids(git, source.commit, options.out)
        start = time.time()
        n = pack(source, git=git, teacher=options.teacher, out=options.out, allowed=lists.get(source.repository))
        print(f"{source.repository}: {n} pictures in {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
