"""The contract of a source, as checks that any kind can be put through.

A third party runs them on its own kind, with a function that plants pictures and opens them:

    @pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check, tmp_path):
        check(lambda pictures: MySource(plant(tmp_path, pictures)))

A package that names such a function, of a folder and pictures, as an entry point ``sosie.testing.sources``, called as
its source's scheme, lets ``planted_sources`` find it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from sosie.contracts import Source, Streams
from sosie.errors import BadPicture
from sosie.types import ImageRef

__all__ = ["PICTURES", "SOURCE_CHECKS", "Make", "Plant", "planted_sources"]

Make = Callable[[Mapping[str, bytes]], Source]  # gets names and bytes, gives a source of exactly those
Plant = Callable[[Path, Mapping[str, bytes]], Source]  # as that, in a folder

PICTURES: Mapping[str, bytes] = {
    "a.jpg": b"\xff\xd8 first",
    "b ü.png": b"\x89PNG second",
    "folder/c#1?.jpg": b"\xff\xd8 third",
    "folder/d%20.jpg": b"\xff\xd8 fourth",
}


def planted_sources() -> dict[str, Plant]:
    """Return what plants pictures for the sources of installed packages, by name."""
    return {point.name: point.load() for point in entry_points(group="sosie.testing.sources")}


def check_yields_every_picture_once(make: Make) -> None:
    assert sorted(_name(ref) for ref in make(PICTURES)) == sorted(map(_last, PICTURES))


def check_reads_the_bytes_of_each(make: Make) -> None:
    source = make(PICTURES)
    assert {_name(ref): source.read(ref) for ref in source} == {_last(k): v for k, v in PICTURES.items()}


def check_order_is_stable_and_iterating_may_be_repeated(make: Make) -> None:
    source = make(PICTURES)
    first = list(source)
    assert list(source) == first


def check_an_unfinished_iteration_does_no_harm(make: Make) -> None:
    source = make(PICTURES)
    list(islice(source, 1))
    gc.collect()
    assert len(list(source)) == len(PICTURES)


def check_references_are_ascii_uris_and_unique(make: Make) -> None:
    uris = [ref.uri for ref in make(PICTURES)]
    assert all(uri.isascii() and "://" in uri and " " not in uri for uri in uris)
    assert len(set(uris)) == len(uris)


def check_an_empty_source_is_no_error(make: Make) -> None:
    assert list(make({})) == []


def check_a_picture_that_is_not_there_is_a_bad_picture(make: Make) -> None:
    source = make(PICTURES)
    some = next(iter(source))
    absent = ImageRef(some.uri.rpartition("/")[0] + "/absent.jpg")
    try:
        source.read(absent)
    except BadPicture as error:
        assert error.reason
    else:
        raise AssertionError("reading a picture that is not there must raise BadPicture")


def check_stream_gives_what_read_gives(make: Make) -> None:
    """``stream(wanted, known)`` is optional: one pass that gives references with their bytes, in any order."""
    source = make(PICTURES)
    if not isinstance(source, Streams):
        return
    streamed = {ref.uri: data for ref, data in source.stream(lambda _: True)}
    assert streamed == {ref.uri: source.read(ref) for ref in source}
    assert {data for _, data in source.stream(wanted=lambda _: False, known=lambda _: False)} == {None}


def _name(ref: ImageRef) -> str:
    return unquote(ref.uri.rpartition("/")[2])


def _last(name: str) -> str:
    return name.rpartition("/")[2]


SOURCE_CHECKS: tuple[Callable[[Make], None], ...] = tuple(
    check for name, check in sorted(globals().items()) if name.startswith("check_")
)
