"""Adding a folder: every file ends as exactly one thing, and nothing is done twice."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import sosie
from sosie.catalogue import Change
from sosie.errors import SourceUnreachable, UsageError
from sosie.ingest import BATCH
from sosie.library import AddReport, Library, Progress
from tests.pictures import folder_of, jpeg, png_of


@pytest.fixture
def lib(tmp_path: Path) -> Library:
    with sosie.open(tmp_path / "library", model="histogram") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "pictures", 6)


def adds_up(report: AddReport) -> bool:
    outcomes = (report.indexed, report.unchanged, report.known, report.moved, report.missing)
    return report.seen == sum(outcomes) + report.quarantined.total()


def test_every_picture_of_a_folder_is_indexed(lib: Library, folder: Path) -> None:
    report = lib.add(folder)
    assert (report.seen, report.indexed) == (6, 6)
    assert lib.stats()["pictures"] == 6


def test_a_second_run_has_nothing_to_do(lib: Library, folder: Path) -> None:
    lib.add(folder)
    report = lib.add(folder)
    assert (report.unchanged, report.indexed) == (6, 0)


def test_a_touched_file_is_read_but_not_embedded_again(lib: Library, folder: Path) -> None:
    lib.add(folder)
    os.utime(folder / "even" / "00000.jpg", (1, 1))
    report = lib.add(folder)
    assert (report.known, report.indexed, report.unchanged) == (1, 0, 5)


def test_a_file_that_moved_is_found_where_it_is_now(lib: Library, folder: Path) -> None:
    lib.add(folder)
    (folder / "even" / "00000.jpg").rename(folder / "odd" / "moved.jpg")
    report = lib.add(folder)
    assert (report.moved, report.indexed) == (1, 0)
    assert [hit.uri.rsplit("/", 1)[1] for hit in lib.search(jpeg(0), k=1)] == ["moved.jpg"]


def test_two_files_with_the_same_bytes_are_one_picture(lib: Library, folder: Path) -> None:
    (folder / "twin.jpg").write_bytes(jpeg(0))
    report = lib.add(folder)
    assert (report.indexed, report.known) == (6, 1)
    assert adds_up(report)


def test_folders_become_labels_on_request(lib: Library, folder: Path) -> None:
    lib.add(folder, label_from_folders=True)
    assert lib.labels() == {"label": {"even": 3, "odd": 3}}


def test_labels_asked_for_later_are_given_to_unchanged_files(lib: Library, folder: Path) -> None:
    lib.add(folder)
    report = lib.add(folder, label_from_folders=True)
    assert report.unchanged == 6
    assert lib.labels() == {"label": {"even": 3, "odd": 3}}


def test_pictures_that_get_labels_or_regions_are_not_called_new_or_unchanged(lib: Library, folder: Path) -> None:
    assert (lib.add(folder).new, lib.add(folder).relabelled) == (6, 0)
    labelled = lib.add(folder, label_from_folders=True)
    assert (labelled.unchanged, labelled.relabelled) == (6, 6)
    assert lib.add(folder, label_from_folders=True).relabelled == 0
    copy = shutil.copytree(folder, folder.with_name("copy"))
    report = lib.add(copy, labels={"mood": "calm"})
    assert (report.known, report.relabelled) == (6, 6)


def test_known_pictures_that_get_regions_are_completed(tmp_path: Path, folder: Path) -> None:
    with sosie.open(tmp_path / "bundled") as library:
        library.add(folder)
        (folder / "late.jpg").write_bytes(jpeg(70))
        report = library.add(folder, regions=["pooled"])
    assert (report.indexed, report.completed, report.new, report.to_json()["new"]) == (7, 6, 1, 1)


def test_bad_files_are_rows_and_never_stop_a_run(lib: Library, folder: Path) -> None:
    (folder / "text.jpg").write_text("not a picture")
    (folder / "cut.jpg").write_bytes(jpeg(50)[:400])
    (folder / "empty.png").touch()
    os.mkfifo(folder / "pipe.jpg")
    report = lib.add(folder)
    assert report.indexed == 6
    assert report.quarantined.total() == 4
    assert adds_up(report)
    assert len(lib.quarantine()) == 4


def test_a_quarantined_file_is_not_tried_again_until_it_changes(lib: Library, folder: Path) -> None:
    (folder / "bad.jpg").write_text("not a picture")
    lib.add(folder)
    assert lib.add(folder).quarantined.total() == 1
    assert [row.tries for row in lib.quarantine()] == [1]
    (folder / "bad.jpg").write_bytes(jpeg(99))
    assert lib.add(folder).indexed == 1
    assert lib.quarantine() == []


def test_the_quarantine_can_be_tried_again(lib: Library, folder: Path) -> None:
    (folder / "bad.jpg").write_text("not a picture")
    lib.add(folder)
    assert lib.quarantine.retry().quarantined.total() == 1
    assert [row.tries for row in lib.quarantine()] == [2]
    stamp = (folder / "bad.jpg").stat()
    (folder / "bad.jpg").write_bytes(jpeg(99))
    os.utime(folder / "bad.jpg", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert lib.quarantine.retry(reason="truncated").seen == 0
    assert lib.quarantine.retry(reason="not_a_picture").indexed == 1
    assert lib.add(folder).unchanged == 7


def test_sync_forgets_what_is_gone_and_a_plain_run_does_not(lib: Library, folder: Path) -> None:
    lib.add(folder)
    (folder / "even" / "00000.jpg").unlink()
    assert lib.add(folder).dropped == 0
    assert lib.stats()["pictures"] == 6
    assert lib.add(folder, sync=True).dropped == 1
    assert lib.stats()["pictures"] == 5


def test_sync_with_an_unreachable_root_drops_nothing(lib: Library, folder: Path) -> None:
    lib.add(folder)
    folder.rename(folder.with_name("unmounted"))
    with pytest.raises(SourceUnreachable):
        lib.add(folder, sync=True)
    assert lib.stats()["pictures"] == 6


def test_an_empty_mount_point_is_not_taken_for_a_deletion_of_everything(lib: Library, tmp_path: Path) -> None:
    drive = folder_of(tmp_path / "drive", 60)
    lib.add(drive)
    drive.rename(tmp_path / "elsewhere")
    folder_of(drive, 2)
    with pytest.raises(UsageError, match=r"58 of the 60 pictures .* --forget-all"):
        lib.add(drive, sync=True)
    assert lib.stats()["pictures"] == 60
    assert lib.add(drive, sync=True, forget_all=True).dropped == 58
    assert lib.stats()["pictures"] == 2


def test_a_picture_that_comes_back_costs_no_embedding(lib: Library, folder: Path) -> None:
    lib.add(folder)
    (folder / "even" / "00000.jpg").rename(folder.with_name("away.jpg"))
    lib.add(folder, sync=True)
    folder.with_name("away.jpg").rename(folder / "back.jpg")
    report = lib.add(folder)
    assert (report.known + report.moved, report.indexed) == (1, 0)
    assert lib.stats()["pictures"] == 6


def test_stopping_keeps_what_was_done_and_the_next_run_goes_on(lib: Library, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "many", 200)
    stop = threading.Event()
    report = lib.add(folder, progress=lambda done: stop.set() if done.indexed else None, stop=stop)
    assert report.interrupted
    assert 0 < report.indexed < 200
    assert lib.stats()["pictures"] == report.indexed
    rest = lib.add(folder)
    assert rest.unchanged == report.indexed
    assert rest.unchanged + rest.indexed == 200


def test_progress_tells_how_far_a_run_is(lib: Library, tmp_path: Path) -> None:
    seen = []
    lib.add(folder_of(tmp_path / "many", 70), progress=lambda done: seen.append(done.indexed))
    assert seen == sorted(seen)
    assert seen[-1] == 70


def test_another_model_embeds_what_is_known_into_its_own_space(tmp_path: Path, folder: Path) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as lib:
        lib.add(folder)
    with sosie.open(tmp_path / "library", model="bundled") as lib:
        with pytest.warns(UserWarning, match="6 pictures have no vectors"):
            assert len(lib.search(jpeg(3))) == 1  # the same bytes need no vector
        report = lib.add(folder)
        assert report.indexed == 6
        assert lib.stats()["pictures"] == 6
        assert lib.search(jpeg(3), k=1)[0].score > 0.99
    with sosie.open(tmp_path / "library", model="histogram") as lib:
        assert lib.search(jpeg(3), k=1)[0].score > 0.99


def test_a_picture_stored_otherwise_is_found_by_its_pixels(lib: Library, folder: Path) -> None:
    lib.add(folder)
    assert lib.search(png_of(jpeg(2)), k=1)[0].verdict == "same_pixels"
    assert lib.search(jpeg(2), k=1)[0].verdict == "identical"
    assert lib.search(jpeg(2, quality=40), k=1)[0].verdict == "altered_copy"


def test_what_comes_during_a_commit_makes_the_next_one(lib: Library, tmp_path: Path) -> None:
    commits: list[int] = []
    embedded = threading.Event()
    apply = lib.catalogue.apply

    def slowly(changes: Sequence[Change], *, root: str) -> None:
        if not commits:
            assert embedded.wait(120)  # a cluster that takes long over the first
        commits.append(len(changes))
        apply(changes, root=root)

    def watch(done: Progress) -> None:
        if done.indexed >= 4 * BATCH:
            embedded.set()

    lib.catalogue.apply = slowly
    report = lib.add(folder_of(tmp_path / "p", 5 * BATCH), workers=1, progress=watch)
    assert report.indexed == lib.stats()["pictures"] == 5 * BATCH
    assert commits[1] >= 3 * BATCH
