"""The demo gallery is the same for the same seed, labelled as its manifest says, and every box lies in its picture."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sosie.errors import NotFound
from sosie_gallery.canvas import bounds
from sosie_gallery.compose import compose_picture
from sosie_gallery.copies import ALTERATIONS
from sosie_gallery.gallery import Gallery, draw_gallery, read_gallery
from sosie_gallery.media import MEDIA
from sosie_gallery.moods import MOODS, paint_box
from sosie_gallery.poster import poster
from sosie_gallery.subjects import SUBJECTS


def digests(gallery: Gallery) -> list[str]:
    return [hashlib.sha256((gallery.folder / item.path).read_bytes()).hexdigest() for item in gallery.items]


def small(folder: Path, *, seed: int = 0, workers: int = 1) -> Gallery:
    return draw_gallery(folder, seed=seed, workers=workers, pictures=16, copies=12, scenes=6)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return small(tmp_path_factory.mktemp("gallery"))


def test_same_seed_same_bytes_whatever_the_workers(gallery: Gallery, tmp_path: Path) -> None:
    assert digests(gallery) == digests(small(tmp_path, workers=2))


def test_another_seed_draws_other_pictures(gallery: Gallery, tmp_path: Path) -> None:
    other = draw_gallery(tmp_path, seed=1, workers=1, pictures=3, copies=0, scenes=0)
    assert not set(digests(other)) & set(digests(gallery))


def test_manifest_reads_back_as_written(gallery: Gallery) -> None:
    assert read_gallery(gallery.folder) == gallery


def test_label_table_has_one_line_a_file_and_no_boxes(gallery: Gallery) -> None:
    lines = gallery.label_table.read_text("utf-8").splitlines()
    assert lines[0] == "path,media,subject,mood,kind"
    assert len(lines) == 1 + len(gallery.items)


def test_every_file_is_in_the_manifest_and_only_once(gallery: Gallery) -> None:
    on_disk = sorted(path.relative_to(gallery.folder).as_posix() for path in gallery.folder.rglob("*.jpg"))
    assert sorted(item.path for item in gallery.items) == on_disk


def test_boxes_lie_inside_their_pictures(gallery: Gallery) -> None:
    for x, y, w, h in (box for item in gallery.items for _, box in item.boxes):
        assert x >= 0 and y >= 0 and w > 0.05 and h > 0.05
        assert x + w <= 1 + 1e-9 and y + h <= 1 + 1e-9


def test_pictures_have_one_box_scenes_several_copies_none(gallery: Gallery) -> None:
    assert {len(item.boxes) for item in gallery.of_kind("picture")} == {1}
    assert all(len(item.boxes) >= 3 for item in gallery.of_kind("scene"))
    assert all(item.boxes == () for item in gallery.of_kind("copy"))


def test_scene_names_the_subjects_of_its_boxes(gallery: Gallery) -> None:
    for item in gallery.of_kind("scene"):
        assert set(item.subject.split(";")) == {name for name, _ in item.boxes}


def test_copies_name_an_original_and_differ_from_it(gallery: Gallery) -> None:
    copies = gallery.of_kind("copy")
    assert {item.kind for item in copies} == set(ALTERATIONS)
    for item in copies:
        assert (gallery.folder / item.path).read_bytes() != (gallery.folder / item.original).read_bytes()


def test_pictures_are_rgb_jpegs_of_the_promised_size(gallery: Gallery) -> None:
    for item in gallery.of_kind("picture"):
        with Image.open(gallery.folder / item.path) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert min(image.size) >= 384 and max(image.size) <= 512


def test_full_plan_has_every_subject_in_every_medium_and_all_moods_alike() -> None:
    from sosie_gallery.gallery import _picture_jobs

    items = [job.item for job in _picture_jobs(0, 600)]
    assert len({item.path for item in items}) == 600
    assert len({(item.subject, item.media) for item in items}) == len(SUBJECTS) * len(MEDIA)
    counts = [sum(item.mood == mood for item in items) for mood in MOODS]
    assert max(counts) - min(counts) <= 15


def test_poster_is_the_grid_that_was_asked_for(gallery: Gallery) -> None:
    assert poster(gallery, columns=3, rows=2, side=40, gap=2).size == (3 * 42 + 2, 2 * 42 + 2)


def test_no_gallery_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="sosie demo"):
        read_gallery(tmp_path)


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    draw_gallery(tmp_path, workers=1, pictures=2, copies=1, scenes=0, progress=note)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_single_subjects_are_not_cut_off() -> None:
    for i, subject in enumerate(SUBJECTS):
        for seed in range(4):
            _, (x, y, w, _) = compose_picture(subject, "happy", np.random.default_rng((i, seed)), width=512, height=400)
            assert y > 0 and x >= 0 and x + w <= 1, f"{subject} {seed} touches the edge"


@pytest.mark.parametrize("name", sorted(SUBJECTS))
def test_subject_stands_on_its_foot_and_is_about_one_tall(name: str) -> None:
    for seed in range(8):
        left, top, right, bottom = bounds(SUBJECTS[name].draw(np.random.default_rng(seed)))
        assert -1.5 < top < -0.5 and -0.2 < bottom < 0.4
        assert 0.3 < right - left < 2.6


@pytest.mark.parametrize("name", sorted(MOODS))
def test_mood_colours_every_role_that_subjects_use(name: str) -> None:
    box = paint_box(MOODS[name], np.random.default_rng(0))
    drawings = [kind.draw(np.random.default_rng(seed)) for kind in SUBJECTS.values() for seed in range(8)]
    assert {shape.role for shapes in drawings for shape in shapes} <= set(box)
