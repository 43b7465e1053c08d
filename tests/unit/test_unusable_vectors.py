"""A model that fails on one picture costs that picture, never the library."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie import registry
from sosie.arrays import usable
from sosie.catalogue.records import digest_of
from sosie.cli import main
from sosie.errors import BadPicture
from sosie.library import Library
from sosie.registry import Entry
from sosie.testing.fakes import ToyEmbedder
from sosie.types import FloatMatrix, Picture
from tests.pictures import jpeg


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


BLACK = png(np.zeros((64, 64, 3), np.uint8))


class Failing(ToyEmbedder):
    """Divides a black picture's nothing by its norm."""

    def embed(self, pictures: Sequence[Picture]) -> FloatMatrix:
        vectors = super().embed(pictures)
        vectors[[not picture.pixels.any() for picture in pictures]] = self.value
        return vectors

    value = np.nan


class Zero(Failing):
    value = 0.0


class Infinite(Failing):
    value = 1e6


@pytest.fixture(params=[Failing, Zero, Infinite])
def lib(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    entry = Entry(f"{__name__}:{request.param.__name__}")
    monkeypatch.setitem(registry.EMBEDDERS, "toy", entry)
    with sosie.open(tmp_path / "library", model="toy") as opened:
        yield opened


def folder(path: Path) -> Path:
    path.mkdir()
    (path / "black.png").write_bytes(BLACK)
    for n in range(4):
        (path / f"{n}.jpg").write_bytes(jpeg(n))
    return path


def poison(lib: Library, content_id: int) -> None:
    """Store what an older version would have stored."""
    blob = np.full(lib.space.dim, np.nan, np.float16).tobytes()
    with lib.catalogue.transaction() as connection:
        connection.execute(
            "UPDATE vectors SET vector = ?, digest = ? WHERE content_id = ?", (blob, digest_of(blob), content_id)
        )


def test_a_picture_that_the_model_fails_on_goes_to_the_quarantine(lib: Library, tmp_path: Path) -> None:
    report = lib.add(folder(tmp_path / "pictures"))
    assert (report.indexed, dict(report.quarantined)) == (4, {"embedding_failed": 1})
    assert len(lib.search(jpeg(0), k=10)) == 4


def test_a_query_that_the_model_fails_on_is_refused(lib: Library, tmp_path: Path) -> None:
    lib.add(folder(tmp_path / "pictures"))
    if isinstance(lib.embedder, Failing) and np.isnan(lib.embedder.value):
        with pytest.raises(BadPicture, match="embedding_failed"):
            lib.search(BLACK)


def test_a_poisoned_library_answers_and_the_doctor_names_and_mends_it(
    lib: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lib.add(folder(tmp_path / "pictures"))
    poison(lib, 2)
    poison(lib, 4)
    with sosie.open(lib.path) as again:
        assert {hit.id for hit in again.search(jpeg(0), k=10)} == {1, 3}
        assert again.stats()["pictures"] == 4
        (tmp_path / "pictures" / "new.jpg").write_bytes(jpeg(77))
        assert again.add(tmp_path / "pictures").indexed == 1
    argv = ["doctor", "-L", str(lib.path), "--json"]
    assert main(argv) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [(each["kind"], each["what"]) for each in findings] == [
        ("unusable_vector", "picture 2"),
        ("unusable_vector", "picture 4"),
    ]
    assert main([*argv, "--fix"]) == 0
    with sosie.open(lib.path) as again:
        assert {hit.id for hit in again.search(jpeg(0), k=10)} == {1, 2, 3, 4, 5}


def test_rows_are_told_apart() -> None:
    rows = np.array([[1, 0], [0, 0], [np.nan, 1], [np.inf, 0], [1e6, 0], [1e-4, 0]], np.float32)
    assert usable(rows).tolist() == [True, False, False, False, False, True]
