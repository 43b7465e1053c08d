"""Copies in a library: found, judged, decided, grouped; and nothing found where there is nothing."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

import sosie
from sosie.alterations import alter
from sosie.analysis.features import analyse_query
from sosie.analysis.worker import analysis_params
from sosie.copies.calibrate import LEAST_PICTURES, Trial, try_alterations
from sosie.errors import BadPicture, UsageError
from sosie.types import SearchResult, Verdict
from tests.scenes import as_file, as_picture, scene

COUNT = 14


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sosie.Library]:
    folder = tmp_path_factory.mktemp("copies")
    pictures = folder / "pictures"
    pictures.mkdir()
    for seed in range(COUNT):
        (pictures / f"{seed:02d}.png").write_bytes(as_file(scene(seed)))
    (pictures / "blank.png").write_bytes(as_file(np.full((120, 160, 3), 250, np.uint8)))
    with sosie.open(folder / "library", model="histogram") as opened:
        opened.add(pictures)
        opened.copies.prepare(workers=1)
        yield opened


def ask(library: sosie.Library, data: bytes, **options: float) -> SearchResult:
    """Ask in this process: a decode worker for each of so many small questions would cost more than they do."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    analysed = analyse_query(as_picture(pixels), analysis_params(library.embedder.spec.preprocessing))
    query = library.copies.query("query", hashlib.sha256(data).hexdigest(), analysed)
    return library.copies.find_analysed(query, **options)


def found_name(result: SearchResult) -> str:
    return result[0].uri.rsplit("/", 1)[-1] if len(result) else ""


@pytest.mark.parametrize(
    "name", ["crop_25", "flip", "quarter_turn", "meme", "collage", "halftone", "blur", "scale_down"]
)
def test_an_altered_copy_is_found(library: sosie.Library, name: str) -> None:
    altered = alter(scene(3), name, 1, others=[scene(60)]).pixels
    result = ask(library, as_file(altered))
    assert found_name(result) == "03.png"
    parts = {"crop_25": Verdict.CONTAINS, "collage": Verdict.IS_PART_OF}
    assert result[0].verdict is parts.get(name, Verdict.ALTERED_COPY)
    assert result[0].probability is not None
    assert result[0].probability > 0.9


def test_the_same_bytes_and_the_same_pixels_need_no_evidence(library: sosie.Library) -> None:
    assert ask(library, as_file(scene(4)))[0].verdict is Verdict.IDENTICAL
    other_file = ask(library, as_file(scene(4), kind="BMP"))
    assert other_file[0].verdict is Verdict.SAME_PIXELS
    assert other_file[0].probability == 1.0


def test_a_quarter_of_a_picture_is_contained(library: sosie.Library) -> None:
    assert ask(library, as_file(scene(5)[:110, :150]))[0].verdict is Verdict.CONTAINS


@pytest.mark.parametrize("seed", [100, 101, 102])
def test_a_picture_that_is_not_there_is_no_copy(library: sosie.Library, seed: int) -> None:
    assert len(ask(library, as_file(scene(seed)))) == 0
    assert all(hit.verdict is Verdict.SIMILAR for hit in ask(library, as_file(scene(seed)), least=0.0))


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((100, 100, 3), 250, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((3, 700, 3), np.uint8),
        np.tile(np.linspace(0, 255, 200).astype(np.uint8)[None, :, None], (100, 1, 3)),
    ],
    ids=["blank, as one in the library", "one pixel", "a strip", "a ramp"],
)
def test_a_featureless_picture_is_never_a_copy(library: sosie.Library, pixels: np.ndarray) -> None:
    assert len(ask(library, as_file(pixels))) == 0


def test_a_text_is_no_copy_of_another(library: sosie.Library) -> None:
    page = Image.new("RGB", (300, 300), "white")
    for line in range(12):
        ImageDraw.Draw(page).text((10, 10 + 22 * line), f"line {line} of quite another text", fill=0)
    assert len(ask(library, as_file(np.asarray(page)))) == 0


def test_files_are_answered_in_order_the_corrupt_and_the_animated_too(library: sosie.Library) -> None:
    frames = [Image.fromarray(scene(seed)) for seed in (7, 90, 91)]
    animated = io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:], duration=100)
    files = [("good", as_file(scene(6)[10:, 10:])), ("bad", b"no picture"), ("animated", animated.getvalue())]
    answers = list(library.copies.find_many(iter(files)))
    assert isinstance(answers[1], BadPicture)
    assert [found_name(a) for a in answers if isinstance(a, SearchResult)] == ["06.png", "07.png"]


def test_a_false_rate_moves_the_cut_off(library: sosie.Library) -> None:
    data = as_file(scene(8)[:, ::-1])
    strict, loose = (ask(library, data, max_false_rate=rate).index["cut_off"] for rate in (1e-4, 1e-1))
    assert strict > loose
    with pytest.raises(UsageError, match="false-match rate"):
        ask(library, data, max_false_rate=0.0)


def test_stages_say_what_they_cost_and_named(library: sosie.Library) -> None:
    stages = ask(library, as_file(scene(9)[:, ::-1])).index["stages"]
    assert {"fingerprint", "words", "vectors", "verify"} <= set(stages)
    assert stages["words"]["candidates"] >= 1


def test_decisions_outweigh_the_evidence_and_can_be_undone(library: sosie.Library) -> None:
    data = as_file(scene(10)[5:, 5:])
    before = ask(library, data)
    query, reference = library.picture(before[0].id).sha256, before[0]
    mine = hashlib.sha256(data).hexdigest()
    library.catalogue.put_decision(mine, query, "not_a_copy")
    assert len(ask(library, data)) == 0
    shown = {hit.id: hit for hit in ask(library, data, least=0.0)}[reference.id]
    assert shown.verdict is Verdict.SIMILAR
    assert shown.probability == 0.0
    library.catalogue.put_decision(mine, query, "same_picture")
    assert ask(library, data)[0].probability == 1.0
    library.catalogue.drop_decision(mine, query)
    assert ask(library, data)[0].probability == before[0].probability


def test_a_small_library_keeps_the_shipped_calibration(library: sosie.Library) -> None:
    with pytest.raises(UsageError, match=str(LEAST_PICTURES)):
        library.copies.calibrate()


# ------------------------------------------------------------------------------------------------ libraries that change


def library_of(tmp_path: Path, files: dict[str, bytes]) -> sosie.Library:
    pictures = tmp_path / "pictures"
    pictures.mkdir(exist_ok=True)
    for name, data in files.items():
        (pictures / name).write_bytes(data)
    library = sosie.open(tmp_path / "library", model="histogram")
    library.add(pictures)
    library.copies.prepare(workers=1)
    return library


def test_duplicates_group_around_the_largest(tmp_path: Path) -> None:
    files = {f"{seed}.png": as_file(scene(seed)) for seed in range(20, 24)}
    files["small.jpg"] = as_file(scene(20)[::2, ::2], kind="JPEG")
    files["flip.png"] = as_file(scene(20)[:, ::-1])
    files["again.bmp"] = as_file(scene(21), kind="BMP")
    with library_of(tmp_path, files) as library:
        report = library.copies.duplicates()
        names = [
            {group.best.uris[0].rsplit("/", 1)[-1], *(record.uris[0].rsplit("/", 1)[-1] for record, _ in group.others)}
            for group in report.groups
        ]
        assert {"20.png", "small.jpg", "flip.png"} in names
        assert {"21.png", "again.bmp"} in names
        assert len(names) == 2
        assert all(m.probability >= report.cut_off for group in report.groups for _, m in group.others)
        assert "small.jpg" not in [group.best.uris[0].rsplit("/", 1)[-1] for group in report.groups]


def test_a_query_equal_to_many_references_gets_as_many_as_asked(tmp_path: Path) -> None:
    files = {}
    for number in range(40):
        out = io.BytesIO()
        note = PngInfo()
        note.add_text("number", str(number))
        Image.fromarray(scene(50)).save(out, "PNG", pnginfo=note)
        files[f"{number:02d}.png"] = out.getvalue()
    with library_of(tmp_path, files) as library:
        same = ask(library, files["07.png"], k=10)
        assert same[0].verdict is Verdict.IDENTICAL
        assert [hit.verdict for hit in same[1:]] == [Verdict.SAME_PIXELS] * 9
        cropped = ask(library, as_file(scene(50)[20:, 20:]), k=10)
        assert len(cropped) == 10
        assert len({hit.id for hit in cropped}) == 10


def test_what_is_added_is_found_and_what_is_removed_is_not(tmp_path: Path) -> None:
    with library_of(tmp_path, {f"{seed}.png": as_file(scene(seed)) for seed in range(30, 33)}) as library:
        data = as_file(scene(33)[10:200, 10:300])
        assert len(ask(library, data)) == 0
        (tmp_path / "pictures" / "33.png").write_bytes(as_file(scene(33)))
        library.add(tmp_path / "pictures")
        library.copies.prepare()
        hit = ask(library, data)[0]
        library.remove([hit.id])
        assert len(ask(library, data)) == 0


def test_a_damaged_inverted_file_is_built_anew(tmp_path: Path) -> None:
    files = {f"{seed}.png": as_file(scene(seed)) for seed in range(40, 43)}
    with library_of(tmp_path, files):
        pass
    for column in (tmp_path / "library" / "indexes" / "copies").rglob("signatures.npy"):
        data = bytearray(column.read_bytes())
        data[-1] ^= 1
        column.write_bytes(data)
    with sosie.open(tmp_path / "library", model="histogram") as library:
        assert found_name(ask(library, as_file(scene(41)[:120, :160]))) == "41.png"


def test_saving_the_inverted_file_touches_nothing_else(tmp_path: Path) -> None:
    with library_of(tmp_path, {"1.png": as_file(scene(1))}) as library:
        kept = library.path / "indexes" / "copies" / "notes"
        kept.mkdir()
        (tmp_path / "pictures" / "2.png").write_bytes(as_file(scene(2)))
        library.add(tmp_path / "pictures")
        library.copies.prepare()
        assert kept.exists()
        assert (library.path / "catalogue.sqlite").exists()


def test_a_library_is_calibrated_on_its_own_copies_and_decisions(tmp_path: Path) -> None:
    files = {f"{seed:03d}.png": as_file(scene(seed, width=160, height=120)) for seed in range(200, 252)}
    with library_of(tmp_path, files) as library:
        assert not library.copies.calibration_is_due()  # too few to do it unasked
        first, second = library.pictures(limit=2)
        library.catalogue.put_decision(first.sha256, second.sha256, "not_a_copy")
        fitted, measured = library.copies.calibrate(sample=20, per_picture=1)
        assert measured["ece_held_out"] < 0.1
        assert library.copies.finder.calibration.weights == pytest.approx(fitted.weights, abs=1e-5)
        assert fitted.about["pictures"] == 52
        again, _ = library.copies.calibrate(sample=20, per_picture=1, store=False)
        assert again.weights == pytest.approx(fitted.weights, rel=0.1, abs=0.1)


def test_a_library_that_holds_edits_of_a_picture_does_not_learn_that_edits_are_no_copies(tmp_path: Path) -> None:
    files = {f"{seed}.png": as_file(scene(seed)) for seed in range(300, 304)}
    edits = {f"300-{name}.png": as_file(alter(scene(300), name, 2, others=[]).pixels) for name in ("crop_50", "meme")}
    with library_of(tmp_path, files | edits) as library:
        finder = library.copies.finder
        named = {record.uris[0].rsplit("/", 1)[-1]: record.id for record in library.pictures()}
        source = named["300.png"]
        pictures = list(library.copies.pictures([source]))
        trial = Trial(library.copies.query_of_picture, finder.pairs, finder.features)
        rows = try_alterations(pictures, trial, others={}, per_picture=2)
        seen = {i for i, _ in finder.pairs(library.copies.query_of_picture("source", as_picture(scene(300))))}
        assert seen >= {named[edit] for edit in edits}  # they are candidates, and would be taken for non-copies
        assert not {row.reference for row in rows if not row.truth} & {named[edit] for edit in edits}
