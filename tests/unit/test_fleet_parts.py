"""What can be said of a cluster's parts without a cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sosie
from sosie.analysis.embedding import Embedded, Recognised
from sosie.catalogue import ContentRow
from sosie.cli import main
from sosie.embedders.histogram import HistogramEmbedder
from sosie.errors import BadPicture, NotFound, ServiceAway, UsageError
from sosie.ray import Fleet, RaySource, connect
from sosie.ray.failures import explain
from sosie.ray.frames import pack, unpack
from sosie.ray.worker import prefix_of
from sosie.sources import open_source
from sosie.sources.reading import read_each
from sosie.sources.web.download import Download
from sosie.types import ImageRef
from tests.pictures import folder_of, jpeg

ROW = ContentRow(b"s" * 32, 1000, "JPEG", 40, 30, b"p" * 16, b"q" * 32, 90)


def test_an_outcome_survives_its_way() -> None:
    vector = np.arange(4, dtype=np.float32)
    found = unpack(pack(Embedded(ROW, vector)))
    assert isinstance(found, Embedded)
    assert found.row == ROW
    assert found.vector.tolist() == vector.tolist()
    assert unpack(pack(Recognised(b"s" * 32))) == Recognised(b"s" * 32)
    refused = unpack(pack(BadPicture("truncated", "ends early")))
    assert isinstance(refused, BadPicture)
    assert (refused.reason, refused.detail) == ("truncated", "ends early")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_cluster_that_is_away_is_exit_code_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "pictures", 1)
    address = f"127.0.0.1:{free_port()}"
    assert main(["add", str(folder), "-L", str(tmp_path / "lib"), "--ray", address]) == 4
    told = capsys.readouterr().err
    assert f"no Ray cluster answers at {address}" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:", ":6379", "head:port", ""])
def test_what_is_no_address_is_wrong_use(address: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"), connect(address):
        pass


def test_watching_needs_no_cluster(tmp_path: Path) -> None:
    assert main(["add", str(tmp_path), "-L", str(tmp_path / "lib"), "--ray", "local", "--watch"]) == 2


def test_an_archive_is_read_by_one_machine(tmp_path: Path) -> None:
    source = open_source(str(tmp_path / "a.tar"))
    with pytest.raises(UsageError, match="read by one machine"):
        RaySource(source, Fleet("x:1"), embedder=HistogramEmbedder(), known=np.empty(0, np.uint64))


def test_regions_are_found_on_one_machine(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pictures", 1)
    with sosie.open(tmp_path / "lib") as lib, pytest.raises(UsageError, match="leave out --ray"):
        lib.add(folder, regions=["pooled"], fleet=Fleet("none"))


def test_a_list_names_no_file_of_a_worker(tmp_path: Path) -> None:
    (tmp_path / "list").mkdir()
    (tmp_path / "secret.jpg").write_bytes(jpeg(7))
    (tmp_path / "list" / "a.csv").write_text("path\n../secret.jpg\nftp://a.example/b.jpg\n")
    source = open_source(str(tmp_path / "list" / "a.csv"))
    sent = RaySource(source, Fleet("none"), embedder=HistogramEmbedder(), known=np.empty(0, np.uint64))
    found = [outcome for _, outcome in sent.stream(lambda _: True)]
    assert [getattr(outcome, "reason", outcome) for outcome in found] == ["outside", "bad_url"]


def test_a_worker_s_error_is_ours_and_any_other_is_the_cluster_s() -> None:
    lost = RuntimeError("ray::MapWorker.__init__()\nsosie.errors.NotFound: the network x is not there\n")
    assert isinstance(explain(lost, "h:1"), NotFound)
    assert str(explain(lost, "h:1")) == "the network x is not there"
    assert isinstance(explain(RuntimeError("gcs is gone"), "h:1"), ServiceAway)
    assert "pip install" in str(explain(RuntimeError("ModuleNotFoundError: No module named 'sosie'"), "h:1"))


def test_many_places_are_read_at_once_and_none_raises(tmp_path: Path) -> None:
    folder_of(tmp_path, 40)
    uris = [path.as_uri() for path in sorted(tmp_path.rglob("*.jpg"))]
    bad = [(tmp_path / "away.jpg").as_uri(), "ftp://a/b.jpg", "http://127.0.0.1/a.jpg", "s3://nowhere-at-all/a.jpg"]
    found = dict(read_each([*uris, *bad, uris[0]], Download()))
    assert [found[uri] for uri in uris[:2]] == [jpeg(0), jpeg(2)]
    assert [getattr(found[uri], "reason", "") for uri in bad] == [
        "missing",
        "unreadable",
        "private_address",
        "unreadable",
    ]


def test_the_digests_of_what_is_embedded(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "lib", model="histogram") as lib:
        lib.add(folder_of(tmp_path / "pictures", 5))
        wanted = sorted(prefix_of(bytes.fromhex(p.sha256)) for p in lib.pictures())
        assert lib.catalogue.digests([s.id for s in lib.spaces]).tolist() == wanted
        assert lib.catalogue.digests([s.id + 99 for s in lib.spaces]).tolist() == []


class Mistaken:
    """A source that says of every picture that the library holds it, as a cluster would after a chance in 2^64."""

    def __init__(self, folder: Path) -> None:
        self._source: Any = open_source(str(folder))
        self.root: str = self._source.root

    def __iter__(self) -> Iterator[ImageRef]:
        return iter(self._source)

    def read(self, ref: ImageRef) -> bytes:
        return bytes(self._source.read(ref))

    def stream(
        self, wanted: Callable[[ImageRef], bool], known: Callable[[ImageRef], bool]
    ) -> Iterator[tuple[ImageRef, Recognised]]:
        for ref in self._source:
            assert wanted(ref)
            yield ref, Recognised(b"\0" * 32)


def test_a_picture_that_was_taken_for_known_is_embedded_here(tmp_path: Path) -> None:
    with sosie.open(tmp_path / "lib", model="histogram") as lib:
        assert lib.add(Mistaken(folder_of(tmp_path / "pictures", 5))).indexed == 5
        assert lib.stats()["pictures"] == 5
