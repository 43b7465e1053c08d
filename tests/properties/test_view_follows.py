"""A view that takes over what another process commits answers as one that is opened anew."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sosie
from sosie.catalogue import AddContent, AddLocation, Catalogue
from sosie.catalogue.changes import Changes
from sosie.library import Library
from sosie.testing.catalogues import ROOT, digest, row
from sosie.types import FloatMatrix, ImageRef

KINDS = ("exact", "hnsw", "ivf", "symqg", "binary", "lsh", "annoy")
QUERIES = 6
WHERES = ("n > 20", "colour = 'red'", "not colour = 'red' and n < 70")
FIRST = 60  # pictures that an index is built over

_numbers = st.lists(st.integers(0, FIRST + 20), min_size=1, max_size=6, unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "lose", "back", "remove", "label", "embed"]), _numbers),
        st.tuples(st.sampled_from(["build", "forget log"]), st.just([])),
    ),
    min_size=1,
    max_size=8,
)


def vectors_of(numbers: list[int], dim: int, *, seed: int = 0) -> FloatMatrix:
    drawn = [np.random.default_rng((seed, n)).standard_normal(dim, dtype=np.float32) for n in numbers]
    return np.array([one / np.linalg.norm(one) for one in drawn])


def put(store: Catalogue, numbers: list[int], *, seed: int = 0) -> None:
    changes = []
    for at, n in enumerate(numbers):
        vectors = {space.id: vectors_of(numbers, space.dim, seed=seed)[at] for space in store.spaces()}
        changes.append(AddContent(row(n), ImageRef(f"{ROOT}{n}.jpg", {"n": float(n)}, 1, 2, 3), vectors))
    store.apply(changes, root=ROOT)


def do(other: Library, step: str, numbers: list[int], kind: str) -> None:
    """Change the library as another process would."""
    store = other.catalogue
    known = [i for n in numbers if (i := store.content_id(digest(n))) is not None]
    match step:
        case "add":
            put(store, numbers)
        case "embed":  # anew, with other vectors: of the tail they count, those in an index stay until it is built
            put(store, [n for n in numbers if n > FIRST], seed=1)
        case "lose":
            store.drop_locations([f"{ROOT}{n}.jpg" for n in numbers])
        case "back":
            again = [AddLocation(digest(n), ImageRef(f"{ROOT}{n}.jpg")) for n in numbers if store.content_id(digest(n))]
            store.apply(again, root=ROOT)
        case "remove":
            store.remove(known)
        case "label" if known:
            store.edit_labels(known, {"colour": "red"})
        case "build":
            other.indexes.build(kind)
        case "forget log":
            with store.transaction("a test") as connection:
                connection.execute("DELETE FROM changes")
                connection.execute(
                    "UPDATE meta SET value = (SELECT value + 1 FROM meta WHERE key = 'epoch')"
                    " WHERE key = 'changes_since'"
                )


def answers(lib: Library) -> tuple[list[list[int]], list[list[float]], int, int, list[list[list[int]]]]:
    queries = vectors_of(list(range(1000, 1000 + QUERIES)), lib.space.dim)
    ids, scores = lib.view().search(queries, 10)
    filtered = [lib.view().find(queries, 10, lib.catalogue.condition(where)).ids.tolist() for where in WHERES]
    return ids.tolist(), scores.tolist(), int(lib.view().description["tail"]), lib.view().unembedded, filtered


@contextmanager
def two_libraries(folder: Path, kind: str) -> Iterator[tuple[Library, Library]]:
    with sosie.open(folder / "lib") as other:
        assert other.spaces  # which makes them
        put(other.catalogue, list(range(FIRST)))
        other.indexes.build(kind)
        with sosie.open(folder / "lib") as lib:
            assert min(min(ids) for ids in answers(lib)[0]) > 0
            yield lib, other


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(steps=STEPS)
def test_what_follows_answers_as_what_is_opened_anew(
    tmp_path_factory: pytest.TempPathFactory, kind: str, steps: list[tuple[str, list[int]]]
) -> None:
    if kind == "annoy":
        pytest.importorskip("annoy")
    with two_libraries(tmp_path_factory.mktemp("follows"), kind) as (lib, other):
        for step, numbers in steps:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                do(other, step, numbers, kind)
            with sosie.open(other.path) as anew:
                unopened = anew.stats()["index"]  # told without opening the index, where that is known
                assert answers(lib) == answers(anew), (step, numbers)
                assert unopened == anew.view().description, (step, numbers)


def test_a_list_of_changes_that_is_cut_short_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard: where what is not listed any more is taken for nothing, a removed picture is found."""

    def found() -> bool:
        with two_libraries(tmp_path_of(tmp_path), "exact") as (lib, other):
            removed = other.catalogue.content_id(digest(7))
            assert removed is not None
            other.catalogue.remove([removed])
            do(other, "forget log", [], "exact")
            return removed in lib.view().search(vectors_of([7], lib.space.dim), 10)[0]

    assert not found()
    monkeypatch.setattr(Changes, "are_kept_since", lambda *_: True)
    assert found()


def test_what_a_library_holds_is_told_without_opening_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an index was opened, or all vectors read")

    monkeypatch.setattr(Catalogue, "vectors", refuse)
    with sosie.open(tmp_path / "lib") as lib:
        assert lib.spaces
        put(lib.catalogue, list(range(FIRST)))
        assert lib.stats()["index"] == {
            "kind": "exact", "metric": "dot", "recall": 1.0, "generation": None, "tail": FIRST
        }  # fmt: skip
    monkeypatch.undo()
    with sosie.open(tmp_path / "lib") as lib:
        lib.indexes.build("hnsw")
        do(lib, "remove", [3, 4], "hnsw")
        put(lib.catalogue, [FIRST + 1])
    monkeypatch.setattr("sosie.indexes.store.open_current", refuse)
    with sosie.open(tmp_path / "lib") as lib:
        told = lib.stats()
        assert (told["index"]["kind"], told["index"]["tail"], told["pictures"]) == ("hnsw", 1, FIRST - 1)


def test_epochs_of_another_branch_are_not_taken_for_those_of_this_one(tmp_path: Path) -> None:
    """A restored backup counts on from an earlier epoch: its changes since a number are not those since a moment."""
    with closing(Catalogue(tmp_path / "catalogue.sqlite")) as store:
        store.apply([], root=ROOT)
        before = store.commits.moment()
        store.apply([], root=ROOT)
        assert store.commits.pictures(before) is not None
        with store.transaction("a test") as connection:
            connection.execute(
                "UPDATE meta SET value = json_insert(value, '$[#]', json_array(1, 'other')) WHERE key = 'epochs'"
            )
        assert store.commits.pictures(before) is None and not store.commits.moment().is_after(before)


def tmp_path_of(folder: Path) -> Path:
    made = folder / str(len(list(folder.iterdir())))
    made.mkdir()
    return made
