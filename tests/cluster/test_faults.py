"""What goes wrong with clusters: a clear line, an exit code, and nothing lost or doubled."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.catalogue import AddContent, AddLocation, ContentRow
from sosie.catalogue.elastic import ElasticCatalogue
from sosie.catalogue.elastic.batch import Batch
from sosie.catalogue.elastic.documents import ids_of
from sosie.cli import main
from sosie.elastic import read_url
from sosie.embedders.histogram import HistogramEmbedder
from sosie.errors import DamagedError, DiskFull, NewerSchema, ServiceAway, UsageError
from sosie.library import Library
from sosie.types import ImageRef
from tests.cluster.conftest import Open
from tests.pictures import folder_of
from tests.services.elastic import Cluster, free_port
from tests.services.proxy import Proxy, wire


@pytest.fixture
def proxy(elasticsearch: Cluster) -> Iterator[Proxy]:
    with wire(elasticsearch.http[0]) as laid:
        yield laid


@pytest.fixture
def through(proxy: Proxy, address: str) -> str:
    """The library's address by way of the proxy."""
    return f"elasticsearch://127.0.0.1:{proxy.port}/{address.rsplit('/', 1)[1]}?patience=1"


def catalogue(lib: Library) -> ElasticCatalogue:
    assert isinstance(lib.catalogue, ElasticCatalogue)
    return lib.catalogue


def test_a_cluster_that_is_away_is_exit_code_4(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert main(["info", "--library", f"elasticsearch://127.0.0.1:{free_port()}/x?patience=1"]) == 4
    assert time.monotonic() - started < 30
    assert "does not answer: start it, or check the address" in capsys.readouterr().err


def test_a_cluster_lost_in_the_middle_of_adding(
    through: str, proxy: Proxy, opened: Open, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = folder_of(tmp_path / "p", 80)
    with sosie.open(through, model="histogram") as lib, pytest.raises(ServiceAway, match="does not answer"):
        lib.add(pictures, workers=1, progress=lambda now: proxy.cut() if now.indexed > 30 else None)
    assert main(["add", str(pictures), "--library", through]) == 4
    proxy.mend()
    assert main(["add", str(pictures), "--library", through]) == 0
    assert opened().stats()["pictures"] == opened().stats()["locations"] == 80


def test_a_cluster_lost_in_the_middle_of_searching(through: str, proxy: Proxy, opened: Open, tmp_path: Path) -> None:
    opened().add(folder_of(tmp_path / "p", 5), workers=1)
    with sosie.open(through, patience=1) as lib:
        asked = lib.pictures()[0].id
        assert len(lib.search(asked, k=3)) == 3
        proxy.cut()
        started = time.monotonic()
        with pytest.raises(ServiceAway):
            lib.search(asked, k=3)
        assert time.monotonic() - started < 10
        proxy.mend()
        assert len(lib.search(asked, k=3)) == 3


def test_an_answer_lost_after_the_write_was_done_doubles_nothing(
    through: str, proxy: Proxy, opened: Open, tmp_path: Path
) -> None:
    with sosie.open(through.replace("patience=1", "patience=10"), model="histogram") as lib:
        lib.spaces  # noqa: B018 - made before, so that the bulk of pictures is what gets lost
        proxy.lose(b"/_bulk")
        assert lib.add(folder_of(tmp_path / "p", 20), workers=1).indexed == 20
    assert proxy.losses == 1
    assert opened().stats()["pictures"] == opened().stats()["locations"] == 20


def test_two_writers_at_once(opened: Open, tmp_path: Path) -> None:
    first, second = folder_of(tmp_path / "a", 30), folder_of(tmp_path / "b", 30, first=15)
    errors: list[BaseException] = []

    def add(folder: Path, lib: Library) -> None:
        try:
            lib.add(folder, workers=1, labels={folder.name: "yes"})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=add, args=(folder, opened())) for folder in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    lib = opened()
    assert errors == []
    assert (lib.stats()["pictures"], lib.stats()["locations"]) == (45, 60)
    both = lib.pictures(where="a and b")
    assert len(both) == 15 and all(len(picture.uris) == 2 for picture in both)


def unseen(store: ElasticCatalogue, some: list[AddContent]) -> None:
    """Write pictures as another writer would that has come no further: no search sees them yet."""
    batch = Batch([])
    for change in some:
        now = time.time()
        batch.put_place(batch.put_content(change, now=now), change.ref, "file:///", now=now)
    store.connection.bulk(*batch.operations(store.names.pictures))
    assert store.live_ids().tolist() == []


def test_what_another_writer_has_written_and_no_search_sees_is_neither_lost_nor_doubled(opened: Open) -> None:
    own = catalogue(opened())
    space = own.ensure_spaces(HistogramEmbedder.spec)[0]
    own.connection.client.indices.put_settings(index=own.names.pictures, settings={"index.refresh_interval": -1})
    rows = [ContentRow(bytes([n]) * 32, 1, "JPEG", 1, 1, bytes(16)) for n in range(3)]
    vector = {space.id: np.eye(space.dim, dtype=np.float32)[0]}
    theirs = [AddContent(row, ImageRef(f"file:///theirs/{n}", {"a": "b"}), vector) for n, row in enumerate(rows[:2])]
    unseen(own, theirs)
    ours = [
        AddLocation(rows[0].sha256, ImageRef("file:///ours/0")),  # recognised by ingest, which asks by id
        AddContent(rows[1], ImageRef("file:///ours/1"), vector),
        AddContent(rows[2], ImageRef("file:///ours/2"), vector),
    ]
    own.apply(ours, root="file:///")
    places = [[uri for uri, _ in own.uris(own.content_ids([row.sha256])[row.sha256])] for row in rows]
    assert places == [
        ["file:///ours/0", "file:///theirs/0"],
        ["file:///ours/1", "file:///theirs/1"],
        ["file:///ours/2"],
    ]
    assert (own.counts()["pictures"], own.counts()["locations"]) == (3, 5)
    assert own.embedded(space) == 3 and len(own.all_labels()) == 2


def test_new_pictures_cost_one_question_and_are_seen_before_the_epoch_moves(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    own = catalogue(opened())
    caplog.set_level("INFO", logger="elastic_transport.transport")
    row = ContentRow(bytes(32), 1, "JPEG", 1, 1, bytes(16))
    own.apply([AddContent(row, ImageRef("file:///1"), {})], root="file:///")
    asked = [record.getMessage().split()[1].partition("?")[0].rpartition("/")[2] for record in caplog.records]
    assert asked == ["_search", "_bulk", "_refresh", "epoch"]


def test_a_full_disk_is_told_at_once_and_nothing_is_lost(
    opened: Open, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lib = opened()
    lib.add(folder_of(tmp_path / "p", 4), workers=1)
    block(lib, "read_only_allow_delete", True)
    started = time.monotonic()
    with pytest.raises(DiskFull, match="flood stage"):
        lib.add(folder_of(tmp_path / "p", 4, first=4), workers=1)
    assert time.monotonic() - started < 30
    assert len(lib.search(lib.pictures()[0].id, k=3)) == 3
    block(lib, "read_only_allow_delete", None)
    assert lib.add(tmp_path / "p", workers=1).indexed == 4


def block(lib: Library, name: str, value: object) -> None:
    own = catalogue(lib)
    own.connection.client.indices.put_settings(index=own.names.pictures, settings={f"index.blocks.{name}": value})


def test_a_red_index_is_said_to_be_red(opened: Open, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    own = catalogue(opened())
    client, index = own.connection.client, own.names.version(1)
    body = client.indices.get_mapping(index=index)[index]["mappings"]
    client.indices.delete(index=index)
    client.indices.create(
        index=index,
        mappings=body,
        aliases={own.names.pictures: {}},
        settings={"index.routing.allocation.require._name": "no such node"},
        wait_for_active_shards=0,
    )
    assert main(["info", "--library", f"{address}?patience=1"]) == 4
    assert "red" in capsys.readouterr().err
    with pytest.raises(ServiceAway, match="red"):
        own.health()


@pytest.mark.parametrize(
    ("meta", "error", "words"),
    [({"sosie": {"schema": 99}}, NewerSchema, "upgrade"), ({}, DamagedError, "not of Sosie")],
)
def test_indices_of_others_are_left_alone(
    opened: Open, address: str, meta: dict[str, object], error: type[Exception], words: str
) -> None:
    own = catalogue(opened())
    own.connection.client.indices.put_mapping(index=own.names.pictures, meta=meta)
    with pytest.raises(error, match=words):
        sosie.open(address)
    own.connection.client.indices.put_mapping(index=own.names.pictures, meta={"sosie": {"schema": 1}})


def test_a_library_of_another_model_says_what_lacks(opened: Open, tmp_path: Path) -> None:
    opened().add(folder_of(tmp_path / "p", 4), workers=1)
    other = opened(model="bundled")
    with pytest.warns(UserWarning, match="4 pictures have no vectors"):
        assert len(other.search(tmp_path / "p" / "even" / "00000.jpg", k=3)) <= 1  # itself, by its bytes
    opened(model="histogram")


def test_pictures_whose_digests_begin_alike_stay_two(opened: Open) -> None:
    own = catalogue(opened())
    shas = [b"same as " + bytes([n]) * 24 for n in range(2)]
    assert ids_of(shas[0])[0] == ids_of(shas[1])[0]
    for _ in range(2):
        changes = [
            AddContent(ContentRow(sha, 1, "JPEG", 1, 1, bytes(16)), ImageRef(f"file:///{n}"), {})
            for n, sha in enumerate(shas)
        ]
        own.apply(changes, root="file:///")
    assert own.counts()["pictures"] == 2
    ids = [own.content_id(sha) for sha in shas]
    own.remove([ids[0]])
    own.apply([changes[1]], root="file:///")
    assert (own.content_id(shas[0]), own.content_id(shas[1])) == (None, ids[1])
    assert own.counts()["pictures"] == 1


def test_a_picture_without_a_vector_is_never_an_answer(opened: Open, tmp_path: Path) -> None:
    lib = opened()
    lib.add(folder_of(tmp_path / "p", 3), workers=1)
    row = ContentRow(bytes(32), 1, "JPEG", 1, 1, bytes(16))
    lib.catalogue.apply([AddContent(row, ImageRef("file:///bare"), {})], root="file:///")
    lib.view().forget()
    with pytest.warns(UserWarning, match="1 pictures have no vectors"):
        assert len(lib.search(tmp_path / "p" / "even" / "00000.jpg", k=10)) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("elasticsearch://", "which Elasticsearch"),
        ("elasticsearch://h/UPPER", "cannot name a library"),
        ("elasticsearch://h/x?kind=annoy", "no kind of vector index"),
        ("elasticsearch://h/x?knid=flat", "did you mean 'kind'"),
        ("elasticsearch://h/x?shards=many", "is a number"),
        ("elasticsearch://me:secret@h/x", "no password in an address"),
        ("elasticsearch://h/x?api_key=secret", "API_KEY"),
        ("elasticsearch://h/x?replicas=some", "replicas is"),
    ],
)
def test_addresses_that_make_no_sense(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_url(text)


@pytest.mark.parametrize("text", ["a-library", "/x/y", "elastic://h/x", "http://h/x", "C:/x"])
def test_what_is_no_address_of_a_cluster(text: str) -> None:
    assert read_url(text) is None


def test_an_address_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOSIE_ELASTICSEARCH__API_KEY", "secret")
    found = read_url(str(Path("elasticsearch+https://a:9300,b/my-lib?kind=flat&shards=3")))
    assert found is not None
    assert (found.hosts, found.name, found.kind, found.shards) == (
        ("https://a:9300", "https://b:9200"),
        "my-lib",
        "flat",
        3,
    )
    assert found.api_key == "secret" and "secret" not in str(found)


def test_labels_that_cannot_be_kept_are_refused(opened: Open) -> None:
    own = catalogue(opened())
    for labels in ({"a\0b": "c"}, {"a": "x" * 40_000}):
        change = AddContent(ContentRow(bytes(32), 1, "JPEG", 1, 1, bytes(16)), ImageRef("file:///1", labels), {})
        with pytest.raises(UsageError, match="cannot be stored"):
            own.apply([change], root="file:///")
    assert own.counts()["pictures"] == 0
