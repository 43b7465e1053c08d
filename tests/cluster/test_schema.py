"""A library that an older Sosie made on a cluster gets the fields that it lacks when it is opened."""

from __future__ import annotations

import pytest

import sosie
from sosie.catalogue.elastic import ElasticCatalogue, mapping
from sosie.elastic import read_url
from sosie.testing.catalogues import add, digest


def test_a_library_of_schema_1_is_brought_up_to_date(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = read_url(address)
    assert cluster is not None
    places = mapping.ADDED[2]["places"]["properties"]
    with monkeypatch.context() as older:
        older.setattr(mapping, "SCHEMA", 1)
        for name in mapping.ADDED[2].keys() - {"places"}:
            older.delitem(mapping._PICTURES, name)
        for name in ("seen_at", "gone_at"):
            older.delitem(places, name)
        ElasticCatalogue(cluster).close()
    reader = ElasticCatalogue(cluster, read_only=True)
    assert reader.meta()["schema"] == 1  # who only reads changes nothing
    reader.close()
    with sosie.open(address, model="histogram") as lib:
        assert lib.catalogue.meta()["schema"] == 2
        add(lib.catalogue, 1)  # its mapping is strict: a field that it lacked would be refused
        content_id = lib.catalogue.content_id(digest(1))
        assert content_id is not None
        lib.catalogue.put_facts({content_id: {"tag": ("cat",)}})
        assert lib.catalogue.facts_of([content_id]) == {content_id: {"tag": ("cat",)}}
