"""The client gives and raises what the library does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import sosie
from sosie.client import Client
from sosie.errors import BadPicture, FilterError, NotFound, ServiceAway, UsageError
from sosie.library import Library
from tests.pictures import folder_of, jpeg
from tests.serving import running


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("client")
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(folder_of(folder / "pictures", 6), label_from_folders=True, workers=1)
        yield made


@pytest.fixture(scope="module")
def client(library: Library) -> Iterator[Client]:
    with running(library) as address, Client(address) as made:
        yield made


def test_a_search_is_the_same_from_afar(client: Client, library: Library, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(library.read(2))
    here = library.search(path, k=3, where="label = 'odd'", box=(0.1, 0.1, 0.5, 0.5))
    there = client.search(path, k=3, where="label = 'odd'", box=(0.1, 0.1, 0.5, 0.5))
    assert [hit.to_json() for hit in there] == [hit.to_json() for hit in here]
    assert [hit.to_json() for hit in client.search(1, k=4)] == [hit.to_json() for hit in library.search(1, k=4)]


def test_a_picture_is_added_labelled_listed_and_removed(client: Client, library: Library) -> None:
    added = client.add(jpeg(77), labels={"tags": ("a", "b"), "year": 1999.0})
    assert client.picture(added)["labels"] == {"tags": ["a", "b"], "year": 1999.0}
    client.set_labels(added, {"tags": None})
    assert [picture["id"] for picture in client.pictures(where="year = 1999")] == [added]
    assert client.thumbnail(added).startswith(b"\xff\xd8")
    client.remove(added)
    assert added not in [record.id for record in library.pictures()]


def test_errors_are_those_of_the_library(client: Client) -> None:
    with pytest.raises(BadPicture) as refused:
        client.search(b"text")
    assert refused.value.reason == "not_a_picture"
    assert str(refused.value).startswith("upload: not_a_picture: ")
    with pytest.raises(FilterError):
        client.search(1, where="label =")
    with pytest.raises(NotFound):
        client.picture(10_000)
    with pytest.raises(NotFound):
        client.search("no-such-file.jpg")
    with pytest.raises(UsageError):
        client.search(1, k=0)


def test_a_server_that_is_not_there_is_away() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ServiceAway, match="sosie serve"):
        client.search(1)
