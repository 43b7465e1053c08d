"""Servers on one cluster: they share what there is, and say at once when it is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

import sosie
from sosie.cli.serve import PATIENCE
from sosie.library import Library
from sosie.server.keys import Scope, keys_of
from tests.cluster.conftest import Open
from tests.pictures import folder_of, jpeg
from tests.services.elastic import Cluster
from tests.services.proxy import Proxy, wire
from tests.serving import running


@pytest.fixture
def proxy(elasticsearch: Cluster) -> Iterator[Proxy]:
    with wire(elasticsearch.http[0]) as laid:
        yield laid


@pytest.fixture
def served(address: str, opened: Open, proxy: Proxy, tmp_path: Path) -> Iterator[Library]:
    """A library of six pictures, reached through the proxy as `sosie serve` would."""
    opened(model=None).add(folder_of(tmp_path / "p", 6), regions=["pooled"], workers=1)
    name = address.rsplit("/", 1)[1]
    with sosie.open(f"elasticsearch://127.0.0.1:{proxy.port}/{name}", patience=PATIENCE) as lib:
        yield lib


def ask(url: str, **how: str) -> httpx.Response:
    files = {"picture": ("a.jpg", jpeg(1), "image/jpeg")}
    return httpx.post(f"{url}/api/v1/search", files=files, data={"k": "3", **how}, timeout=30)


@pytest.mark.parametrize("failure", ["cut", "freeze"])
def test_a_cluster_that_is_away_is_503_within_two_seconds(served: Library, proxy: Proxy, failure: str) -> None:
    with running(served) as url:
        whole, parts = partial(ask, url), partial(ask, url, box="0.1,0.1,0.5,0.5")
        for request in (whole, parts):
            assert request().status_code == 200  # the workers and the network are loaded by now
        getattr(proxy, failure)()
        for request in (partial(httpx.get, f"{url}/readyz", timeout=30), whole, parts):
            took = []
            for _ in range(3):  # the machine may be busy with other tests at one time, not at three
                started = time.monotonic()
                answer = request()
                took.append(time.monotonic() - started)
                assert (answer.status_code, answer.json()["code"]) == (503, "service_away")
            assert min(took) < 2
        assert httpx.get(f"{url}/healthz").status_code == 200  # the process itself is well
        proxy.thaw() if failure == "freeze" else proxy.mend()
        assert ask(url).json()["hits"][0]["verdict"] == "identical"


def test_readiness_says_of_what_colour_the_cluster_is(served: Library, opened: Open) -> None:
    with running(served) as url:
        assert httpx.get(f"{url}/readyz").json() == {"status": "ready", "pictures": 6, "cluster": "green", "nodes": 1}
        own = served.catalogue
        own.connection.client.indices.put_settings(
            index=own.names.pictures,
            settings={"index.auto_expand_replicas": False, "index.number_of_replicas": 1},
        )
        assert httpx.get(f"{url}/readyz").json()["cluster"] == "yellow"


def test_servers_share_pictures_and_keys(opened: Open, address: str, tmp_path: Path) -> None:
    opened().add(folder_of(tmp_path / "p", 4), workers=1)
    with sosie.open(address) as first, sosie.open(address) as second, running(first) as one, running(second) as two:
        assert ask(one).json()["hits"][0]["id"] == ask(two).json()["hits"][0]["id"]
        first.set_labels(first.pictures()[0].id, {"mood": "calm"})
        found = httpx.get(f"{two}/api/v1/pictures", params={"where": "mood = 'calm'"}).json()
        assert len(found["pictures"]) == 1
        key, token = keys_of(first).create("me", Scope.READ)
        assert keys_of(second).find(token) == key
        keys_of(second).revoke(key.id)
        assert keys_of(first).find(token) is None


def test_thumbnails_are_made_on_demand_by_any_server(opened: Open, address: str, tmp_path: Path) -> None:
    opened().add(folder_of(tmp_path / "p", 1), workers=1)
    with sosie.open(address, read_only=True) as lib, running(lib) as url:
        answer = httpx.get(f"{url}/api/v1/pictures/{lib.pictures()[0].id}/thumbnail")
        assert answer.headers["content-type"] == "image/jpeg" and answer.content[:2] == b"\xff\xd8"
        assert list(lib.path.glob("**/*.jpg")) == []  # nothing is kept where nothing may be written
