"""Every store keeps the contract of a catalogue."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sosie.catalogue import Catalogue, Store
from sosie.catalogue.elastic import ElasticCatalogue
from sosie.elastic import read_url
from sosie.testing.catalogues import CATALOGUE_CHECKS
from tests.services.elastic import Cluster


@pytest.fixture(scope="module")
def on_cluster(elasticsearch: Cluster) -> Iterator[ElasticCatalogue]:
    cluster = read_url(elasticsearch.address(f"contract-{uuid.uuid4().hex}"))
    assert cluster is not None
    opened = ElasticCatalogue(cluster)
    yield opened
    opened.destroy()
    opened.close()


@pytest.fixture(params=["sqlite", "elasticsearch"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        opened = Catalogue(tmp_path / "catalogue.sqlite")
        yield opened
        opened.close()
    else:
        on_cluster: ElasticCatalogue = request.getfixturevalue("on_cluster")
        yield on_cluster
        empty(on_cluster)


def empty(store: ElasticCatalogue) -> None:
    """Delete every document but the epoch: making new indices for each test takes much longer."""
    names = store.names
    with store.commit("emptying"):
        for index, key in (
            (names.pictures, "id"),
            (names.notes, "name"),
            (names.quarantine, "uri"),
            (names.features, "id"),
        ):
            found = store.connection.scan(index, key=key, query={"exists": {"field": key}}, source=False)
            operations = [{"delete": {"_index": index, "_id": hit["_id"]}} for hit in found]
            store.connection.bulk(operations, [None] * len(operations))


@pytest.mark.parametrize("check", CATALOGUE_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(store: Store, check: Callable[[Store], None]) -> None:
    check(store)
