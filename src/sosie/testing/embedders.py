"""The contract of an embedder, as checks that any can be put through.

A third party runs them on its own, with what makes one:

    @pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(MyEmbedder)
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from sosie.contracts import Embedder
from sosie.types import FloatMatrix, Picture

__all__ = ["EMBEDDER_CHECKS", "Make"]

Make = Callable[[], Embedder]

_CLOSE = 1e-3  # of a unit vector's numbers: runs of another size sum in another order
_SIZES = ((64, 64), (1, 1), (7, 300), (300, 7))


def check_the_spec_says_what_it_is(make: Make) -> None:
    spec = make().spec
    assert spec.name and spec.version and spec.licence, "a spec has a name, a version and a licence"
    assert spec.heads and all(head.name and head.dim > 0 for head in spec.heads)
    assert len({head.name for head in spec.heads}) == len(spec.heads)
    assert hash(spec) == hash(make().spec) and spec == make().spec


def check_making_one_reads_no_weights(make: Make) -> None:
    """What describes a network, a small file of JSON, may be read for its ``spec``."""
    make()  # which may import
    with _watched() as opened:
        make()
    others = [name for name in opened if not name.endswith(".json")]
    assert not others, f"weights are read at the first `embed`: {others}"


def check_vectors_are_of_unit_length_by_head(make: Make) -> None:
    embedder = make()
    vectors = embedder.embed(_pictures())
    assert vectors.dtype == np.float32 and vectors.shape == (len(_SIZES), embedder.spec.dim)
    assert np.isfinite(vectors).all()
    edges = np.cumsum([head.dim for head in embedder.spec.heads])[:-1]
    for part in np.split(vectors, edges, axis=1):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=_CLOSE)


def check_no_pictures_give_no_vectors(make: Make) -> None:
    embedder = make()
    assert embedder.embed([]).shape == (0, embedder.spec.dim)


def check_the_same_pictures_give_the_same_vectors(make: Make) -> None:
    np.testing.assert_array_equal(make().embed(_pictures()), make().embed(_pictures()))


def check_a_batch_gives_what_its_pictures_give_one_by_one(make: Make) -> None:
    embedder, pictures = make(), _pictures()
    singly = np.concatenate([embedder.embed([picture]) for picture in pictures])
    np.testing.assert_allclose(embedder.embed(pictures), singly, atol=_CLOSE)
    np.testing.assert_allclose(embedder.embed(pictures[::-1]), singly[::-1], atol=_CLOSE)


def check_pictures_of_two_colours_differ(make: Make) -> None:
    red, blue = (_picture(np.full((64, 64, 3), colour, np.uint8)) for colour in ((200, 20, 20), (20, 20, 200)))
    first, second = make().embed([red, blue])
    assert not np.allclose(first, second, atol=_CLOSE)


def check_pixels_are_left_as_they_are(make: Make) -> None:
    """Pixels come read-only from the decoder, and others use them after this."""
    pictures = _pictures()
    before = [picture.pixels.copy() for picture in pictures]
    make().embed(pictures)
    for picture, pixels in zip(pictures, before, strict=True):
        np.testing.assert_array_equal(picture.pixels, pixels)


def check_two_threads_get_what_one_gets(make: Make) -> None:
    embedder, pictures = make(), _pictures()
    alone = embedder.embed(pictures)
    with ThreadPoolExecutor(2) as pool:
        beside: Sequence[FloatMatrix] = list(pool.map(lambda _: embedder.embed(pictures), range(8)))
    for each in beside:
        np.testing.assert_allclose(each, alone, atol=_CLOSE)


EMBEDDER_CHECKS: tuple[Callable[[Make], None], ...] = tuple(
    value for name, value in sorted(globals().items()) if name.startswith("check_")
)


def _pictures() -> list[Picture]:
    rng = np.random.default_rng(0)
    return [_picture(rng.integers(0, 256, (*size, 3), np.uint8)) for size in _SIZES]


def _picture(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Picture:
    pixels.flags.writeable = False
    return Picture(pixels, pixels.shape[1], pixels.shape[0], "PNG")


class _Opened(threading.local):
    """The names of files and the addresses that this thread opens, while somebody collects them."""

    names: list[str] | None = None

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if self.names is not None and event in ("open", "socket.connect"):
            self.names.append(str(args[0] if event == "open" else args[1]))


@functools.cache
def _audit() -> _Opened:
    hook = _Opened()
    sys.addaudithook(hook)  # which nothing takes away
    return hook


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Collect what is opened within the block."""
    hook = _audit()
    hook.names = found = list[str]()
    try:
        yield found
    finally:
        hook.names = None
