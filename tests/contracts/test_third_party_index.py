"""An index of somebody else's package, which keeps the contract and no more, works in every command."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import sosie
from sosie.cli import main
from sosie.contracts import Index, Tunable
from sosie.errors import UsageError
from sosie.registry import EMBEDDERS, Entry, resolve_index
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import INDEX_CHECKS, clustered

TOY = '''
import numpy as np

from sosie.indexes.checks import check_build, check_k, check_queries
from sosie.indexes.flat import pad, top_k


class ToyIndex:
    """Goes through everything, and knows nothing of Sosie's own classes of indexes."""

    kind = "toy"

    def __init__(self, *, depth: int = 3):
        self.params = {"depth": depth}
        self.ids, self.vectors = np.empty(0, np.int64), np.empty((0, 0), np.float32)

    def build(self, ids, vectors):
        ids, vectors = check_build(ids, vectors)
        order = np.argsort(ids)
        self.ids, self.vectors = ids[order], vectors[order]

    def search(self, queries, k, allow=None):
        queries, k = check_queries(queries, self.vectors.shape[1] or None), check_k(k)
        keep = np.ones(len(self.ids), bool) if allow is None else np.isin(self.ids, allow)
        ids = self.ids[keep]
        if not len(ids) or not len(queries):
            return pad(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32), k)
        rows, scores = top_k(self.vectors[keep], queries, min(k, len(ids)))
        return pad(ids[rows], scores, k)

    def save(self, folder):
        np.save(f"{folder}/ids.npy", self.ids)
        np.save(f"{folder}/vectors.npy", self.vectors)

    def load(self, folder):
        self.ids, self.vectors = np.load(f"{folder}/ids.npy"), np.load(f"{folder}/vectors.npy")


class HalfIndex:
    kind, params = "half", {}
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Index]:
    """Install a package with a toy index: a module, and the entry points that pip would write."""
    site = tmp_path / "site"
    about = site / "toy_index-1.dist-info"
    about.mkdir(parents=True)
    (site / "toy_index.py").write_text(TOY)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-index\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[sosie.indexes]\ntoy = toy_index:ToyIndex\nhalf = toy_index:HalfIndex\n")
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    return resolve_index("toy")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sosie.Library:
    monkeypatch.setitem(EMBEDDERS, "tiny", Entry("sosie.testing.fakes:ToyEmbedder"))
    lib = sosie.open(tmp_path / "lib", model="tiny")
    fill_with_vectors(lib, clustered(400, 48))
    return lib


@pytest.mark.parametrize("check", INDEX_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_toy_keeps_the_contract(toy: type[Index], check: object) -> None:
    assert not isinstance(toy(), Tunable)
    check(toy)  # type: ignore[operator]


def test_a_library_builds_searches_and_opens_it_again(toy: type[Index], library: sosie.Library, tmp_path: Path) -> None:
    query = clustered(400, 48)[7:8]
    truth = library.view().search(query, 10)[0]
    manifest = library.indexes.build("toy", {"depth": 5})
    assert manifest.kind == "toy" and manifest.params == {"depth": 5} and manifest.measured["recall"] == 1.0
    assert library.view().description["kind"] == "toy"
    assert (library.view().search(query, 10)[0] == truth).all()
    library.close()
    with sosie.open(tmp_path / "lib") as again:
        assert again.view().description["kind"] == "toy"
        assert (again.view().search(query, 10)[0] == truth).all()


def test_the_tuner_measures_it_beside_the_others(toy: type[Index], library: sosie.Library) -> None:
    report = library.indexes.tune(kinds=("toy", "exact"))
    assert {trial.kind for trial in report.trials} == {"toy", "exact"}
    assert all(trial.memory > 0 for trial in report.trials)


def test_the_commands_take_it(toy: type[Index], library: sosie.Library, tmp_path: Path) -> None:
    library.close()
    folder = str(tmp_path / "lib")
    assert main(["index", "build", "--kind", "toy", "--library", folder]) == 0
    assert main(["index", "tune", "--kinds", "toy", "--library", folder]) == 0
    assert main(["export", str(tmp_path / "out"), "--library", folder]) == 0


def test_search_parameters_of_an_index_without_any_are_refused(toy: type[Index], library: sosie.Library) -> None:
    library.indexes.build("toy")
    with pytest.raises(UsageError, match="takes no parameters at a query"):
        library.view().with_params({"depth": 9})


def test_what_keeps_no_contract_is_refused_by_what_it_lacks(toy: type[Index]) -> None:
    with pytest.raises(UsageError, match="half has no build, search, save, load"):
        resolve_index("half")
