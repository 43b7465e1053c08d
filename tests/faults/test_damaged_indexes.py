"""A damaged index is refused before any library reads it; it never crashes, hangs or answers differently."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sosie.errors import DamagedIndex
from sosie.indexes.store import CURRENT, MANIFEST, open_current, write_generation
from sosie.registry import INDEXES, local_indexes, resolve
from sosie.testing.damage import DAMAGES, damage
from sosie.testing.indexes import clustered

MUTATIONS = int(os.environ.get("SOSIE_MUTATIONS", "250"))  # of each kind; releases are tried with 1000
N, DIM = 1_200, 16
VECTORS = clustered(N, DIM)
META = {"spec_hash": "abc", "dim": DIM, "count": N, "covers": N - 1}


@pytest.fixture(params=local_indexes())  # what a cluster holds is no file: tests/cluster/test_index.py
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    extra = INDEXES[request.param].extra
    if extra and importlib.util.find_spec(extra) is None:
        pytest.skip(f"needs the extra {extra}")
    index = resolve("indexes", request.param)()
    index.build(np.arange(N), VECTORS)
    write_generation(tmp_path / "space", index, meta=META)
    return tmp_path / "space"


def answers(space: Path) -> np.ndarray | None:
    """Search the current generation; None where it is refused."""
    try:
        found = open_current(space, expect={"spec_hash": "abc"})
    except DamagedIndex as error:
        assert "sosie index build" in str(error)
        return None
    assert found is not None
    return found[0].search(VECTORS[:20], 5)[0]


def test_mutated_files_are_refused_or_answer_the_same(space: Path) -> None:
    truth = answers(space)
    files = sorted(file for file in space.rglob("*") if file.is_file())
    refused = 0
    for seed, (how, file) in zip(range(MUTATIONS), itertools.cycle(itertools.product(DAMAGES, files))):
        before = damage(file, how=how, seed=seed)
        unchanged = file.read_bytes() == before
        found = answers(space)
        file.write_bytes(before)
        refused += found is None
        assert found is None or (unchanged or file.name == CURRENT), f"{file.name} {how} was not seen"
        assert found is None or np.array_equal(found, truth)
    assert refused > 0.9 * MUTATIONS
    assert np.array_equal(answers(space), truth)


def test_swapped_files_are_refused(space: Path) -> None:
    folder = next(each for each in space.iterdir() if each.is_dir())
    first, second = folder / "ids.npy", folder / "vectors.npy"
    kept = first.read_bytes()
    shutil.copyfile(second, first)
    second.write_bytes(kept)
    assert answers(space) is None


def test_a_missing_or_extra_file_is_refused(space: Path) -> None:
    folder = next(each for each in space.iterdir() if each.is_dir())
    extra = folder / "extra.bin"
    extra.write_bytes(b"x")
    assert answers(space) is None
    extra.unlink()
    (folder / "ids.npy").unlink()
    assert answers(space) is None


@pytest.mark.parametrize("change", [{"params": {}, "count": 3}, {"kind": "nothing"}, {"format": 2}, {"more": 1}])
def test_an_edited_manifest_is_refused(space: Path, change: dict[str, object]) -> None:
    path = next(space.rglob(MANIFEST))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert answers(space) is None


def test_a_rebuild_heals(space: Path) -> None:
    truth = answers(space)
    kind = json.loads(next(space.rglob(MANIFEST)).read_text())["kind"]
    damage(next(space.rglob("vectors.npy")), how="truncated", seed=1)
    assert answers(space) is None
    index = resolve("indexes", kind)()
    index.build(np.arange(N), VECTORS)
    write_generation(space, index, meta=META)
    assert np.array_equal(answers(space), truth)


UNGUARDED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import numpy as np
from sosie.indexes import store
from sosie.testing.damage import damage
from test_damaged_indexes import answers
space = Path(sys.argv[1])
truth = answers(space)
store._read_is = lambda opened, digest: True
file = next(each for each in space.rglob("*") if each.name in ("index.faiss", "symqg.bin", "annoy.ann"))
for seed in range(40):
    before = damage(file, how="bit flipped" if seed % 2 else "page zeroed", seed=seed)
    try:
        found = answers(space)
    except Exception:
        sys.exit(7)
    file.unlink()  # mapped by the index just opened
    file.write_bytes(before)
    if found is not None and not np.array_equal(found, truth):
        sys.exit(7)
"""


@pytest.mark.parametrize("space", ["hnsw", "symqg"], indirect=True)
def test_without_the_digest_check_damage_would_pass(space: Path) -> None:
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", UNGUARDED, str(space), here], timeout=120, check=False)
    assert done.returncode == 7 or done.returncode < 0, "no damage was seen: the guard's own test is blind"
