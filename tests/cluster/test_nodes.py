"""Three nodes, each of which is killed in turn, the elected master first, while pictures are added and searched.

SOSIE_KILLS=9 goes round three times.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from sosie.catalogue import AddContent, ContentRow
from sosie.catalogue.elastic import ElasticCatalogue
from sosie.elastic import read_url
from sosie.embedders.histogram import HistogramEmbedder
from sosie.testing.catalogues import direction
from sosie.types import ImageRef
from tests.services import elastic

BATCH = 20
KILLS = int(os.environ.get("SOSIE_KILLS", "3"))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[elastic.Cluster]:
    with elastic.running(tmp_path_factory.mktemp("nodes"), 3) as cluster:
        yield cluster


def change(n: int, space: int, dim: int) -> AddContent:
    sha256 = n.to_bytes(4) + n.to_bytes(28)
    row = ContentRow(sha256, 1, "JPEG", 30, 20, n.to_bytes(16))
    return AddContent(row, ImageRef(f"file:///p/{n}.jpg"), {space: direction(n, dim)})


def test_no_acknowledged_picture_is_lost_or_doubled_and_no_search_fails(nodes: elastic.Cluster) -> None:
    cluster = read_url(nodes.address("killed", patience=60, shards=3, replicas=1))
    assert cluster is not None
    store = ElasticCatalogue(cluster)
    # else a node is waited for, for a minute, before its shards are copied
    store.connection.client.indices.put_settings(
        index="_all", settings={"index.unassigned.node_left.delayed_timeout": "500ms"}
    )
    space = store.ensure_spaces(HistogramEmbedder.spec)[0]
    store.apply([change(n, space.id, space.dim) for n in range(BATCH)], root="file:///p/")
    nodes.wait(3, status="green")
    acknowledged, wrong, searches, stop = [BATCH], [], [0], threading.Event()
    pauses, killed = {"write": 0.0, "search": 0.0}, []

    def write() -> None:
        while not stop.is_set():
            first, started = acknowledged[0], time.monotonic()
            try:
                some = [change(n, space.id, space.dim) for n in range(first, first + BATCH)]
                store.apply(some, root="file:///p/")
                acknowledged[0] += BATCH
                pauses["write"] = max(pauses["write"], time.monotonic() - started)
            except Exception as error:
                wrong.append(f"write: {error!r}")

    def search() -> None:
        view = store.view(space)
        while not stop.is_set():
            started = time.monotonic()
            try:
                found, _ = view.search(direction(3, space.dim)[None], 5)
                assert (found >= 0).all()
                searches[0] += 1
                pauses["search"] = max(pauses["search"], time.monotonic() - started)
            except Exception as error:
                wrong.append(f"search: {error!r}")

    threads = [threading.Thread(target=run) for run in (write, search)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            victim = next_of(killed, master_of(store))
            killed.append(victim)
            before = acknowledged[0], searches[0]
            nodes.kill(victim)
            moved_on(acknowledged, searches, before)
            nodes.start_node(victim)
            nodes.wait(3, status="green")
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)
    assert (wrong, set(killed)) == ([], {0, 1, 2})
    ids, _ = store.vectors(space)
    expected = {n.to_bytes(4) + n.to_bytes(28) for n in range(acknowledged[0])}
    kept = {bytes.fromhex(record.sha256) for record in store.pictures(ids.tolist())}
    assert expected <= kept and len(kept) == len(ids) == store.counts()["pictures"] == store.counts()["locations"]
    store.close()
    longest = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in pauses.items())
    print(f"killed {killed}: {acknowledged[0]} pictures, {searches[0]} searches, the longest {longest}")  # shown by -s


def master_of(store: ElasticCatalogue) -> int:
    """The number of the node that is the elected master."""
    client = store.connection.client
    master = client.cluster.state(metric="master_node")["master_node"]
    name: str = client.nodes.info(node_id=master)["nodes"][master]["name"]
    return int(name.removeprefix("n"))


def next_of(killed: list[int], master: int) -> int:
    """The node to kill: the master, unless it had its turn in this round; then the first that had not."""
    turn = killed[len(killed) // 3 * 3 :]
    return next(node for node in (master, 0, 1, 2) if node not in turn)


def moved_on(acknowledged: list[int], searches: list[int], before: tuple[int, int], seconds: float = 90) -> None:
    """Wait until pictures were written and found again after a kill."""
    deadline = time.monotonic() + seconds
    while acknowledged[0] <= before[0] + BATCH or searches[0] <= before[1] + 5:
        assert time.monotonic() < deadline, "nothing goes on after the kill"
        time.sleep(0.05)
