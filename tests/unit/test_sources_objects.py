"""Object stores, tried on fsspec's in-memory one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sosie.errors import BadPicture, MissingExtra, SourceUnreachable
from sosie.sources import open_source
from sosie.sources.objects import ObjectStoreSource
from sosie.types import ImageRef

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def store() -> Iterator[object]:
    memory = fsspec.filesystem("memory")
    for name, data in {"b/cat/2.jpg": b"two", "b/cat/1 ü.jpg": b"one", "b/top.png": b"top", "b/n.txt": b"no"}.items():
        memory.pipe(f"/{name}", data)
    yield memory
    memory.rm("/b", recursive=True)


def test_pictures_below_a_prefix(store: object) -> None:
    source = ObjectStoreSource("memory://b", label_from_folders=True)
    found = {ref.uri: (source.read(ref), ref.labels, ref.size) for ref in source}
    assert found == {
        "memory://b/top.png": (b"top", {}, 3),
        "memory://b/cat/1%20%C3%BC.jpg": (b"one", {"label": "cat"}, 3),
        "memory://b/cat/2.jpg": (b"two", {"label": "cat"}, 3),
    }
    assert sum(each.count for each in source.left_out) == 1
    assert all(uri.startswith(source.root) for uri in found)
    assert list(source) == list(source)


def test_patterns(store: object) -> None:
    assert [ref.uri[-5:] for ref in ObjectStoreSource("memory://b", exclude=["cat"])] == ["p.png"]


def test_what_is_not_there(store: object) -> None:
    with pytest.raises(SourceUnreachable, match="check bucket and prefix"):
        list(ObjectStoreSource("memory://elsewhere"))
    with pytest.raises(BadPicture, match="missing"):
        ObjectStoreSource("memory://b").read(ImageRef("memory://b/no.jpg"))


def test_limits(store: object) -> None:
    with pytest.raises(BadPicture, match="too_large"):
        ObjectStoreSource("memory://b", max_bytes=2).read(ImageRef("memory://b/top.png"))


def test_a_store_that_is_not_installed_names_its_extra() -> None:
    pytest.importorskip("fsspec")
    try:
        import s3fs  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"sosie\[s3\]"):
            list(open_source("s3://bucket/pictures"))
