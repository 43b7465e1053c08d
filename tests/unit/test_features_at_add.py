"""Local features at adding: from the same decode, at once for what may not be there to be read again."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.analysis.embedding import Embedded, told_of
from sosie.analysis.features import GREY
from sosie.catalogue import ContentRow
from sosie.catalogue.records import LocalFeatures
from sosie.cli import main
from sosie.ingest import Progress
from sosie.library import Library
from sosie.ray.frames import pack, unpack
from sosie.sources import SourceOptions, open_source
from sosie.testing.servers import Answer, PictureServer
from sosie.verify.features import RootSift
from tests.pictures import folder_of


@pytest.fixture
def lib(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram") as made:
        yield made


def stored(lib: Library) -> dict[str, bytes]:
    """Return the packed local features of pictures by the name of their file."""
    names = {record.id: record.uris[0].rpartition("/")[2] for record in lib.pictures()}
    return {names[i]: data for i, data in lib.catalogue.features(names, version=RootSift.version).items()}


def photo(seed: int) -> Image.Image:
    """Return a picture of random shapes, which has corners to be found again."""
    rng = np.random.default_rng(seed)
    made = Image.new("RGB", (480, 360), tuple(rng.integers(0, 256, 3).tolist()))
    for _ in range(60):
        x, y, w, h = rng.integers(0, 400), rng.integers(0, 300), rng.integers(5, 90), rng.integers(5, 90)
        made.paste(tuple(rng.integers(0, 256, 3).tolist()), (int(x), int(y), int(x + w), int(y + h)))
    return made


def encoded(image: Image.Image, quality: int = 92) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def test_what_is_computed_now_is_what_a_later_pass_computes(lib: Library, tmp_path: Path) -> None:
    pictures = folder_of(tmp_path / "pictures", 3)
    report = lib.add(pictures, features="now", workers=1)
    assert report.with_features == 3 and not len(lib.copies.finder.unprepared())
    with sosie.open(tmp_path / "later", model="histogram") as later:
        assert later.add(pictures, workers=1).with_features == 0 and stored(later) == {}
        later.copies.prepare()
        assert stored(later) == stored(lib) and len(stored(lib)) == 3


def test_progress_counts_them(lib: Library, tmp_path: Path) -> None:
    seen: list[Progress] = []
    lib.add(folder_of(tmp_path / "pictures", 3), features="now", workers=1, progress=seen.append)
    assert seen[-1].with_features == 3


@pytest.mark.parametrize(("features", "expected"), [("later", 1), ("never", 0)])
def test_members_of_archives_have_theirs_unless_never(
    lib: Library, tmp_path: Path, features: str, expected: int
) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a.jpg", encoded(photo(1)))
    lib.add(tmp_path / "p.zip", features=features, workers=1)  # type: ignore[arg-type]
    assert len(stored(lib)) == expected


def test_a_list_has_them_of_its_addresses_and_not_of_its_files(lib: Library, tmp_path: Path) -> None:
    (tmp_path / "here.jpg").write_bytes(encoded(photo(1)))
    with PictureServer() as server:
        server.pages["/there.jpg"] = Answer(encoded(photo(2)), headers={"Content-Type": "image/jpeg"})
        (tmp_path / "list.txt").write_text(f"{server.url}/there.jpg\nhere.jpg\n")
        lib.add(open_source(str(tmp_path / "list.txt"), SourceOptions(allow_private=True)), workers=1)
    assert stored(lib).keys() == {"there.jpg"} and lib.catalogue.counts()["pictures"] == 2


def test_copies_of_what_was_downloaded_are_proved_when_its_server_is_gone(lib: Library, tmp_path: Path) -> None:
    with PictureServer() as server:
        for n in range(8):
            server.pages[f"/{n}.jpg"] = Answer(encoded(photo(n)), headers={"Content-Type": "image/jpeg"})
        (tmp_path / "list.txt").write_text("".join(f"{server.url}/{n}.jpg\n" for n in range(8)))
        report = lib.add(open_source(str(tmp_path / "list.txt"), SourceOptions(allow_private=True)), workers=1)
    assert report.with_features == 8
    crops = [(f"{n}", encoded(photo(n).crop((60, 40, 420, 320)).resize((300, 233)), quality=60)) for n in range(8)]
    lib.copies.prepare()
    found = list(lib.copies.find_many(crops))
    hits = [hit for result in found if isinstance(result, sosie.types.SearchResult) for hit in result]
    assert [hit.uri.rpartition("/")[2] for hit in hits] == [f"{n}.jpg" for n in range(8)]
    assert all(hit.verdict.is_copy for hit in hits)


@pytest.mark.parametrize(
    ("uri", "again"),
    [("file:///a.jpg", True), ("file:///a.zip!/b.jpg", False), ("https://a.example/b.jpg", False), ("s3://a/b", False)],
)
def test_a_file_of_this_machine_can_be_read_again(uri: str, *, again: bool) -> None:
    assert told_of(uri) == {"rereadable": again}


def test_they_travel_in_frames() -> None:
    made = (LocalFeatures(RootSift.version, b"\0packed"), LocalFeatures(GREY, b"\1packed"))
    row = ContentRow(bytes(32), 1, "JPEG", 2, 3, bytes(16), bytes(32))
    back = unpack(pack(Embedded(row, np.zeros(4, np.float32), features=made)))
    assert isinstance(back, Embedded) and back.features == made


def test_the_command_line_says_what_is_lacking_and_takes_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, library = folder_of(tmp_path / "pictures", 2), str(tmp_path / "l")
    assert main(["add", str(pictures), "-L", library, "--model", "histogram"]) == 0
    assert "2 have no local features yet" in capsys.readouterr().out
    folder_of(tmp_path / "more", 2, first=2)
    assert main(["add", str(tmp_path / "more"), "-L", library, "--features", "now"]) == 0
    assert "local features" not in capsys.readouterr().out
