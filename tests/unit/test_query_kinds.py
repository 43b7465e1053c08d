"""A query may be whatever a program holds of a picture; pixels get the vector of the file that holds them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.errors import UsageError, WrongType
from sosie.types import Text

SIDE = (60, 80)


def pixels_of(seed: int, channels: int = 3) -> np.ndarray[Any, Any]:
    """Return coarse noise (60, 80, channels), other noise for every seed."""
    found = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    if channels == 1:
        return found[:, :, :1]
    return found if channels == 3 else np.dstack([found, np.full(SIDE, 200, np.uint8)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("kinds") / "pictures"
    made.mkdir()
    for seed in range(6):
        Image.fromarray(pixels_of(seed)).save(made / f"{seed}.png")
    return made


@pytest.fixture(scope="module")
def lib(folder: Path) -> Iterator[sosie.Library]:
    with sosie.open(folder.parent / "library", model="histogram") as opened:
        opened.add(folder, workers=1)
        yield opened


class Tensor:
    """What a tensor is to NumPy: something with ``__array__``."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return self._array


HOLDINGS: dict[str, Callable[[Path], object]] = {
    "path as text": str,
    "path": lambda path: path,
    "uri": lambda path: path.as_uri(),
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "file in memory": lambda path: io.BytesIO(path.read_bytes()),
    "open file": lambda path: path.open("rb"),
    "image": Image.open,
    "array": lambda path: np.asarray(Image.open(path)),
    "float array": lambda path: np.asarray(Image.open(path)) / 255,
    "uint16 array": lambda path: np.asarray(Image.open(path)).astype(np.uint16) * 257,
    "array in another order": lambda path: np.asfortranarray(np.asarray(Image.open(path))),
    "tensor": lambda path: Tensor(np.asarray(Image.open(path))),
}


@pytest.mark.parametrize("kind", HOLDINGS)
def test_a_picture_has_one_vector_however_it_is_held(kind: str, lib: sosie.Library, folder: Path) -> None:
    path = folder / "3.png"
    np.testing.assert_array_equal(lib.embed(HOLDINGS[kind](path)), lib.embed(str(path)))
    assert lib.search(HOLDINGS[kind](path), k=1)[0].uri == path.as_uri()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_get_the_vector_of_their_png(channels: int, dtype: type, lib: sosie.Library) -> None:
    cv2 = pytest.importorskip("cv2")
    pixels = pixels_of(9, channels).astype(dtype) * (257 if dtype is np.uint16 else 1)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    data = cv2.imencode(".png", np.ascontiguousarray(pixels[:, :, order]))[1].tobytes()
    np.testing.assert_array_equal(lib.embed(pixels), lib.embed(data))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "F", "I"])
def test_an_image_of_any_mode_is_a_query(mode: str, lib: sosie.Library) -> None:
    image = Image.fromarray(pixels_of(1))
    made = image.convert(mode) if mode != "HSV" else image.convert("RGB").convert("HSV")
    assert len(lib.search(made, k=2)) == 2


def test_an_image_keeps_its_orientation(lib: sosie.Library, tmp_path: Path) -> None:
    turned, path = Image.fromarray(pixels_of(2)), tmp_path / "turned.jpg"
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(path, quality=95, exif=exif)
    assert lib.search(Image.open(path), k=1).hits == lib.search(path, k=1).hits
    assert dict(Image.open(path).getexif())[0x0112] == 6


def test_what_a_library_gave_is_a_query(lib: sosie.Library) -> None:
    hit = lib.search(2, k=1)[0]
    known = lib.picture(hit.id)
    for query in (hit, known, np.int64(hit.id)):
        assert [each.id for each in lib.search(query, k=3)] == [each.id for each in lib.search(hit.id, k=3)]


def test_a_vector_finds_the_picture_that_it_is_of(lib: sosie.Library, folder: Path) -> None:
    vector = lib.embed(folder / "4.png")
    for query in (vector, 3 * vector, vector.astype(np.float64), Tensor(vector)):
        found = lib.search(query, k=1)
        assert found[0].uri == (folder / "4.png").as_uri()
        assert found[0].score == pytest.approx(1, abs=1e-3)


def test_a_vector_may_be_part_of_a_sum(lib: sosie.Library, folder: Path) -> None:
    vector = lib.embed(folder / "4.png")
    assert lib.search(((1, folder / "4.png"), (1.0, vector)), k=1)[0].uri == (folder / "4.png").as_uri()


def test_a_list_gives_a_list(lib: sosie.Library, folder: Path) -> None:
    paths = sorted(folder.iterdir())[:3]
    images = [Image.open(path) for path in paths]
    vectors = lib.embed(paths)
    texts = np.array([str(path) for path in paths], object)
    assert vectors.shape == (3, lib.space.dim)
    for queries in (paths, images, vectors, texts, tuple(paths), [paths[0], images[1], vectors[2]]):
        assert [result[0].uri for result in lib.search(queries, k=1)] == [path.as_uri() for path in paths]
    assert lib.search([]) == [] and lib.embed([]).shape == (0, lib.space.dim)


def test_many_are_embedded_in_blocks(lib: sosie.Library, folder: Path) -> None:
    path = folder / "1.png"
    assert (lib.embed([path] * 150) == lib.embed(path)).all()


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "nothing of the kind": (object(), TypeError, "object is no query: a query is a path, a URL, bytes, an open file"),
    "float": (1.5, TypeError, "float is no query"),
    "bool": (True, TypeError, "bool is no query"),
    "mapping": ({"a": 1}, TypeError, "dict is no query"),
    "grey without a channel": (np.zeros((60, 80), np.uint8), TypeError, r"array\[:, :, None\]"),
    "two channels": (np.zeros((60, 80, 2), np.uint8), TypeError, r"\(60, 80, 2\) is no picture"),
    "channels first": (np.zeros((3, 60, 80), np.uint8), TypeError, r"transpose\(1, 2, 0\)"),
    "a batch": (np.zeros((2, 60, 80, 3), np.uint8), TypeError, r"several pictures: list\(array\)"),
    "no pixels": (np.zeros((0, 80, 3), np.uint8), TypeError, r"\(0, 80, 3\) is no picture"),
    "int64 pixels": (np.zeros((60, 80, 3), np.int64), TypeError, "not int64"),
    "floats up to 255": (np.full((60, 80, 3), 200.0), ValueError, "from 0 to 1, not from 200 to 200"),
    "NaN pixels": (np.full((60, 80, 3), np.nan), ValueError, "from 0 to 1, not from nan"),
    "vector of another length": (np.ones(7, np.float32), ValueError, r"has shape \(7,\), and those of histogram"),
    "vector of whole numbers": (np.ones(512, np.int32), TypeError, "a vector is of floats, not of int32"),
    "text file": (io.StringIO("a"), TypeError, "binary mode"),
    "file at its end": (io.BytesIO(), ValueError, "nothing is left to read"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_query_is_refused_in_one_line(what: str, lib: sosie.Library) -> None:
    query, kind, says = WRONG[what]
    with pytest.raises(kind, match=says) as refused:
        lib.search(query)
    assert isinstance(refused.value, sosie.SosieError) and "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_vectors_of_no_use_are_refused(value: float, lib: sosie.Library) -> None:
    vector = lib.embed(1)
    bad = vector * 0 if value == 0 else np.where(np.arange(len(vector)) == 3, value, vector)
    with pytest.raises(UsageError, match=r"1 of the .* NaN or infinite|all zeros"):
        lib.search(bad)


def test_a_vector_has_no_parts_and_no_class(lib: sosie.Library) -> None:
    with pytest.raises(UsageError, match="give one along with the words or the vector"):
        lib.search(lib.embed(1), box=(0, 0, 0.5, 0.5))


def test_where_one_picture_is_taken_several_are_refused(lib: sosie.Library) -> None:
    with pytest.raises(UsageError, match="several queries at once"):
        lib.search([[1], [2]])
    with pytest.raises(WrongType):
        lib.search([1, object()])


def test_words_and_what_is_decoded_ahead_stay_queries(lib: sosie.Library, folder: Path) -> None:
    assert lib.search(lib.decode_ahead((folder / "2.png").read_bytes()), k=1)[0].uri == (folder / "2.png").as_uri()
    with pytest.raises(UsageError, match="knows no words"):
        lib.search(Text("a dog"))


def test_a_torch_tensor_is_a_query(lib: sosie.Library, folder: Path) -> None:
    torch = pytest.importorskip("torch")
    array = np.array(Image.open(folder / "5.png"))
    np.testing.assert_array_equal(lib.embed(torch.from_numpy(array)), lib.embed(array))
    assert lib.search(torch.from_numpy(lib.embed(array)), k=1)[0].uri == (folder / "5.png").as_uri()
    with pytest.raises(WrongType, match="grad"):
        lib.search(torch.ones(4, requires_grad=True))


def test_labels_are_checked_before_they_are_written(lib: sosie.Library) -> None:
    lib.set_labels(1, {"x": ["b", "a", "a"], "n": np.float32(2.5), "good": True})
    assert lib.picture(1).labels == {"x": ("a", "b"), "n": 2.5, "good": "true"}
    lib.set_labels(1, {"x": [], "n": None, "good": None})
    assert lib.picture(1).labels == {}
    for wrong, says in (
        ({"x": {"a": 1}}, "'x' is a text, a number or a list of texts, not dict"),
        ({"x": [1, 2]}, "not list"),
        ({"x": float("nan")}, "which is no number"),
        ({3: "a"}, "name of a label is a text"),
        ({" ": "a"}, "empty"),
    ):
        with pytest.raises(UsageError, match=says):
            lib.set_labels(1, wrong)  # type: ignore[arg-type]
    assert lib.picture(1).labels == {}
