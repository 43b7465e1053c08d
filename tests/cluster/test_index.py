"""The cluster's graphs as an index kind: tuned like the others, and taken up only where they are what was saved.

The contract that all kinds keep is tried in tests/contracts/test_index_contract.py.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path

import numpy as np
import pytest

from sosie.cli import main
from sosie.elastic import Connection, read_url
from sosie.errors import DamagedIndex, UsageError
from sosie.indexes.elasticsearch import ElasticIndex
from sosie.indexes.store import open_current, write_generation
from sosie.registry import local_indexes
from sosie.testing.damage import DAMAGES, damage
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered
from tests.cluster.conftest import Open
from tests.services.elastic import Cluster

N, DIM = 400, 16
VECTORS = clustered(N + 20, DIM)[:N]
META = {"spec_hash": "abc", "dim": DIM, "count": N, "covers": N - 1}


@pytest.fixture
def place(elasticsearch: Cluster) -> str:
    return elasticsearch.address("kind")


@pytest.fixture
def connection(place: str) -> Connection:
    cluster = read_url(place)
    assert cluster is not None
    return Connection(cluster)


def built(place: str) -> ElasticIndex:
    index = ElasticIndex(address=place)
    index.build(np.arange(N), VECTORS)
    return index


def graphs(connection: Connection) -> set[str]:
    return set(connection.client.indices.get(index="sosie-kind-index-*", features="aliases"))


def test_what_the_cluster_holds_goes_with_the_index_unless_it_was_saved(
    place: str, connection: Connection, tmp_path: Path
) -> None:
    before = graphs(connection)
    index, kept = built(place), built(place)
    wider = index.tuned({"candidates": 200})
    kept.save(str(tmp_path))
    assert len(graphs(connection) - before) == 2
    del index
    gc.collect()
    assert len(graphs(connection) - before) == 2  # the tuned one searches it still
    del wider, kept
    gc.collect()
    (left,) = graphs(connection) - before
    connection.client.indices.delete(index=left)


def test_a_generation_is_opened_again_and_a_damaged_one_is_refused(place: str, tmp_path: Path) -> None:
    write_generation(tmp_path, built(place), meta=META)
    opened = open_current(tmp_path, expect={"spec_hash": "abc"})
    assert opened is not None and opened[0].search(VECTORS[:20], 1)[0][:, 0].tolist() == list(range(20))
    for file in sorted(file for file in next(tmp_path.glob("0*")).iterdir() if file.name != "manifest.json"):
        for seed, how in enumerate(DAMAGES):
            kept = damage(file, how=how, seed=seed)
            if file.read_bytes() != kept:
                with pytest.raises(DamagedIndex, match="sosie index build"):
                    open_current(tmp_path, expect={})
            file.write_bytes(kept)


@pytest.mark.parametrize("what", ["written to", "made anew", "gone"])
def test_a_graph_that_is_not_the_one_that_was_saved_is_refused(
    place: str, connection: Connection, tmp_path: Path, what: str
) -> None:
    """No digest of ours can vouch for what the cluster holds: its own numbers do."""
    write_generation(tmp_path, built(place), meta=META)
    name = json.loads(next(tmp_path.rglob("cluster.json")).read_text())["index"]
    indices = connection.client.indices
    if what == "written to":
        connection.client.delete(index=name, id="7")
    else:
        body = indices.get_mapping(index=name)[name]["mappings"]
        indices.delete(index=name)
        if what == "made anew":
            indices.create(index=name, mappings=body)
    with pytest.raises(DamagedIndex, match="sosie index build"):
        open_current(tmp_path, expect={})


def test_tuning_builds_what_it_found_and_searches_use_it(
    opened: Open, address: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    lib = opened()
    fill_with_vectors(lib, clustered(600, lib.space.dim))
    before = graphs_of(lib.catalogue.connection)
    asked = ["index", "tune", "--recall", "0.9", "--kinds", "bbq_hnsw,int8_hnsw", "--library", address, "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert {trial["params"]["vectors"] for trial in told["trials"]} == {"bbq_hnsw", "int8_hnsw"}
    assert {trial["kind"] for trial in told["trials"]} == {"elasticsearch"}
    chosen = told["winner"]["params"]
    assert told["built"]["kind"] == chosen["vectors"] and told["built"]["recall"] >= 0.85
    gc.collect()
    assert graphs_of(lib.catalogue.connection) == before  # nothing of the trials is left
    again = opened()
    view = again.view()
    assert view.description["kind"] == chosen["vectors"]
    assert view.tuned == {"candidates": chosen["candidates"], "oversample": chosen["oversample"], "k": 10}
    question = view._of._knn(again.space, np.ones(again.space.dim), 20, {}, view.tuned)
    assert question["num_candidates"] == 2 * chosen["candidates"]
    assert question["rescore_vector"] == {"oversample": chosen["oversample"]}
    assert len(again.search(again.pictures()[0].id, k=5)) == 5


def graphs_of(connection: Connection) -> set[str]:
    return set(connection.client.indices.get(index=f"sosie-{connection.cluster.name}-index-*", features="aliases"))


def test_a_setting_can_be_given_by_hand_and_no_other(
    opened: Open, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lib = opened()
    fill_with_vectors(lib, clustered(50, lib.space.dim))
    build = ["index", "build", "--kind", "hnsw", "--library", address]
    assert main([*build, "-p", "candidates=33"]) == 0
    assert opened().view().tuned == {"candidates": 33, "k": 10}
    assert main([*build, "-p", "ef=33"]) == 2
    assert "no search parameter 'ef'; known: candidates, oversample" in capsys.readouterr().err


def test_a_library_in_a_folder_has_no_graph_on_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    assert "elasticsearch" not in local_indexes()
    assert main(["add", str(tmp_path), "--library", str(tmp_path / "lib"), "--model", "histogram"]) == 0
    build = ["index", "build", "--kind", "elasticsearch", "-p", f"address={place}"]
    assert main([*build, "--library", str(tmp_path / "lib")]) == 2
    assert "sosie import" in capsys.readouterr().err
    with pytest.raises(UsageError, match="which Elasticsearch"):
        ElasticIndex().build(np.arange(N), VECTORS)
