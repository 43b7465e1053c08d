"""Generations of an index on disk."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from sosie.errors import DamagedIndex, UsageError
from sosie.indexes.exact import ExactIndex
from sosie.indexes.store import current_manifest, drop, generations, open_current, write_generation
from sosie.registry import resolve
from sosie.testing.indexes import clustered

EXPECT = {"spec_hash": "abc", "dim": 8}
META = {"spec_hash": "abc", "dim": 8, "count": 50, "covers": 49, "measured": {"recall": 1.0}}


@pytest.fixture
def index() -> ExactIndex:
    vectors = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    built = ExactIndex()
    built.build(np.arange(50), vectors)
    return built


def test_no_generation_is_none(tmp_path: Path) -> None:
    assert open_current(tmp_path / "space", expect={}) is None


def test_what_was_written_answers_the_same(tmp_path: Path, index: ExactIndex) -> None:
    write_generation(tmp_path, index, meta=META)
    found = open_current(tmp_path, expect={"spec_hash": "abc", "dim": 8, "covers": 60})
    assert found is not None
    queries = np.eye(8, dtype=np.float32)
    for ours, theirs in zip(found[0].search(queries, 5), index.search(queries, 5), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert found[1].measured == {"recall": 1.0}


def test_an_index_of_an_older_version_is_held_to_its_sha256(tmp_path: Path, index: ExactIndex) -> None:
    folder = write_generation(tmp_path, index, meta=META)
    told = json.loads((folder / "manifest.json").read_bytes())
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in told["files"]}
    told["files"] = {name: {"size": told["files"][name]["size"], "sha256": each} for name, each in digests.items()}
    text = json.dumps(told).encode()
    (folder / "manifest.json").write_bytes(text)
    (tmp_path / "CURRENT").write_text(f"{folder.name} {hashlib.sha256(text).hexdigest()}\n")
    assert open_current(tmp_path, expect=EXPECT) is not None
    damaged = bytearray((folder / "vectors.npy").read_bytes())
    damaged[-1] ^= 1
    (folder / "vectors.npy").write_bytes(damaged)
    with pytest.raises(DamagedIndex, match="is damaged"):
        open_current(tmp_path, expect=EXPECT)


def test_the_last_two_generations_are_kept(tmp_path: Path, index: ExactIndex) -> None:
    for _ in range(4):
        write_generation(tmp_path, index, meta=META)
    assert generations(tmp_path) == ["000003", "000004"]
    manifest = current_manifest(tmp_path)
    assert manifest is not None
    assert manifest.generation == "000004"


@pytest.mark.parametrize("expect", [{"spec_hash": "other"}, {"dim": 9}, {"covers": 20}, {"count": 51}])
def test_a_foreign_or_stale_index_names_the_rebuild(
    tmp_path: Path, index: ExactIndex, expect: dict[str, object]
) -> None:
    write_generation(tmp_path, index, meta=META)
    with pytest.raises(DamagedIndex, match="sosie index build"):
        open_current(tmp_path, expect=expect)


def test_a_build_that_fails_leaves_the_old_generation(
    tmp_path: Path, index: ExactIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_generation(tmp_path, index, meta=META)

    def full(_: str) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(index, "save", full)
    with pytest.raises(OSError, match="no space"):
        write_generation(tmp_path, index, meta=META)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["000001", "CURRENT"]
    assert open_current(tmp_path, expect={}) is not None


def test_meta_is_checked(tmp_path: Path, index: ExactIndex) -> None:
    with pytest.raises(UsageError, match="covers"):
        write_generation(tmp_path, index, meta={"spec_hash": "abc", "dim": 8, "count": 50})


def test_drop_leaves_nothing(tmp_path: Path, index: ExactIndex) -> None:
    write_generation(tmp_path, index, meta=META)
    drop(tmp_path)
    assert open_current(tmp_path, expect={}) is None


def test_searching_goes_on_while_generations_are_swapped(tmp_path: Path, index: ExactIndex) -> None:
    write_generation(tmp_path, index, meta=META)
    stop, failures = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            try:
                found = open_current(tmp_path, expect={})
                assert found is not None
                assert found[0].search(np.eye(8, dtype=np.float32), 3)[0].min() >= 0
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        write_generation(tmp_path, index, meta=META)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


OTHER = """
import sys, numpy as np
from pathlib import Path
from sosie.indexes.store import open_current
index, _ = open_current(Path(sys.argv[1]), expect={})
print(index.search(np.eye(300, 8, dtype=np.float32)[:8], 5)[0].tolist())
"""


@pytest.mark.parametrize("kind", ["exact", "hnsw", "lsh"])
def test_another_process_maps_the_same_files(tmp_path: Path, kind: str) -> None:
    index = resolve("indexes", kind)()
    index.build(np.arange(500), clustered(500, 8))
    write_generation(tmp_path, index, meta={**META, "count": 500, "covers": 499})
    mine = open_current(tmp_path, expect={})
    assert mine is not None
    command = [sys.executable, "-c", OTHER, str(tmp_path)]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert theirs.stdout.strip() == str(mine[0].search(np.eye(8, dtype=np.float32), 5)[0].tolist())
