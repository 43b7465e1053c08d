"""Lists, databases, websites, the quarantine, watch lists and followed folders, as people type them."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sosie
from sosie.cli import main
from sosie.testing.servers import Answer, PictureServer, Seen
from tests.pictures import folder_of, jpeg

MODEL = ("--model", "histogram")


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


def answer(capsys: pytest.CaptureFixture[str], *argv: object, code: int = 0) -> dict:
    capsys.readouterr()
    assert main([str(arg) for arg in [*argv, "--json"]]) == code
    return json.loads(capsys.readouterr().out)


def url_list(path: Path, server: PictureServer, n: int) -> Path:
    rows = [(f"{server.url}/{at}.jpg", "even" if at % 2 == 0 else "odd", at) for at in range(n)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("url", "kind", "n"), *rows])
    return path


def test_a_list_of_urls_with_dead_ones(
    server: PictureServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.pages.update({f"/{at}.jpg": jpeg(at) for at in range(8)})
    server.pages["/8.jpg"] = b"\xff\xd8\xff\xe0 broken"
    library = ("-L", tmp_path / "lib")
    source = url_list(tmp_path / "list.csv", server, 10)
    report = answer(capsys, "add", source, *library, *MODEL, "--allow-private")
    assert (report["seen"], report["indexed"]) == (10, 8)
    assert sum(report["quarantined"].values()) == 2
    assert report["quarantined"]["gone"] == 1
    found = (
        answer(capsys, "search", f"{tmp_path}/q.jpg", *library, "--where", "kind = 'odd' and n > 4")
        if ((tmp_path / "q.jpg").write_bytes(jpeg(1)))
        else {}
    )
    assert {hit["labels"]["n"] for hit in found["hits"]} == {5, 7}
    # Nothing is fetched twice, not even what failed.
    asked = len(server.seen)
    again = answer(capsys, "add", source, *library, *MODEL, "--allow-private")
    assert (again["unchanged"], sum(again["quarantined"].values())) == (8, 2)
    assert len(server.seen) == asked


def test_placeholders_are_shown(server: PictureServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.pages.update({f"/{at}.jpg": jpeg(min(at, 2)) for at in range(8)})
    library = ("-L", tmp_path / "lib")
    report = answer(capsys, "add", url_list(tmp_path / "a.csv", server, 8), *library, *MODEL, "--allow-private")
    assert (report["indexed"], report["known"]) == (3, 5)
    (found,) = answer(capsys, "quarantine", "placeholders", *library)["pictures"]
    assert found["addresses"] == 6


def test_originals_are_kept_only_where_asked(
    server: PictureServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.pages.update({"/0.jpg": jpeg(0), "/1.jpg": b"\xff\xd8\xff broken"})
    source = url_list(tmp_path / "a.csv", server, 2)
    for name, options in (("plain", ()), ("keeping", ("--keep-originals",))):
        answer(capsys, "add", source, "-L", tmp_path / name, *MODEL, "--allow-private", *options)
    server.pages.clear()
    with sosie.open(tmp_path / "keeping") as lib:
        assert lib.read(1) == jpeg(0)
    with sosie.open(tmp_path / "plain") as lib, pytest.raises(sosie.SosieError):
        lib.read(1)
    assert not (tmp_path / "plain" / "originals").exists()
    found = answer(capsys, "doctor", "-L", tmp_path / "keeping", "--fix")
    assert [finding["kind"] for finding in found["findings"]] == ["leftover"]


def test_without_allow_private_an_intranet_is_out_of_bounds(
    server: PictureServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = answer(capsys, "add", url_list(tmp_path / "a.csv", server, 3), "-L", tmp_path / "lib", *MODEL)
    assert report["quarantined"] == {"private_address": 3}
    assert server.seen == []


def test_a_dataset_database(server: PictureServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.pages.update({f"/{mid}.jpg": jpeg(mid) for mid in range(1, 7)})
    with sqlite3.connect(tmp_path / "bam.sqlite") as connection:
        connection.execute("CREATE TABLE modules (mid integer primary key, project_id, src, mature_content, license)")
        connection.execute(
            "CREATE TABLE automatic_labels (mid integer primary key, content_cat text, media_comic text)"
        )
        for mid in range(1, 7):
            connection.execute("INSERT INTO modules VALUES (?, 1, ?, 0, 'cc')", (mid, f"{server.url}/{mid}.jpg"))
            values = ("positive" if mid % 2 else "negative", "positive" if mid % 3 else "unsure")
            connection.execute("INSERT INTO automatic_labels VALUES (?, ?, ?)", (mid, *values))
    connection.close()
    library = ("-L", tmp_path / "lib")
    report = answer(capsys, "add", tmp_path / "bam.sqlite", "--dataset", "bam", *library, *MODEL, "--allow-private")
    assert report["indexed"] == 6
    with sosie.open(tmp_path / "lib") as lib:
        chosen = lib.pictures(where="content has 'cat' and media has 'comic'")
        assert sorted(record.uris[0][-5:] for record in chosen) == ["1.jpg", "5.jpg"]


def test_the_quarantine_is_listed_retried_and_exported(
    server: PictureServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "pictures", 3)
    (folder / "bad.jpg").write_bytes(b"=not a picture")
    (folder / "cut.jpg").write_bytes(jpeg(50)[:200])
    library = ("-L", tmp_path / "lib")
    answer(capsys, "add", folder, *library, *MODEL)
    listed = answer(capsys, "quarantine", "list", *library)
    assert listed["count"] == 2
    assert set(listed["reasons"]) == {row["reason"] for row in listed["rows"]}
    (folder / "cut.jpg").write_bytes(jpeg(50))
    retried = answer(capsys, "quarantine", "retry", *library)
    assert retried["indexed"] == 1
    assert sum(retried["quarantined"].values()) == 1
    assert main(["quarantine", "export", str(tmp_path / "q.csv"), "-L", str(tmp_path / "lib")]) == 0
    (row,) = csv.DictReader((tmp_path / "q.csv").open())
    assert row["uri"].endswith("/bad.jpg")


def page(*links: str, pictures: tuple[str, ...] = ()) -> Answer:
    text = "".join(f"<a href='{link}'>x</a>" for link in links)
    text += "".join(f"<img src='{picture}' alt='a view of {picture}'>" for picture in pictures)
    return Answer(f"<html><title>Site</title>{text}</html>".encode(), headers={"Content-Type": "text/html"})


def test_a_crawl_finds_copies_of_what_is_watched(
    server: PictureServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = jpeg(3, width=400, height=300)
    (tmp_path / "mine.jpg").write_bytes(mine)
    server.pages["/"] = page("/b", pictures=("/1.jpg",))
    server.pages["/b"] = page(pictures=("/2.jpg", "/3.jpg"))
    server.pages.update({"/1.jpg": jpeg(1), "/2.jpg": jpeg(2), "/3.jpg": mine})
    library = ("-L", tmp_path / "lib")
    assert main(["watch", "add", str(tmp_path / "mine.jpg"), "-L", str(tmp_path / "lib")]) == 0
    report = answer(capsys, "crawl", f"{server.url}/", *library, *MODEL, "--delay", "0", "--allow-private")
    assert (report["pages"], report["indexed"]) == (2, 3)
    (hit,) = report["watch"]
    assert (hit["name"], hit["verdict"], hit["uri"]) == ("mine.jpg", "identical", f"{server.url}/3.jpg")
    assert hit["page"] == f"{server.url}/b"
    assert hit["labels"]["alt"] == "a view of /3.jpg"
    # Known by now; nothing is new at the next look.
    assert answer(capsys, "watch", "look", *library, code=1) == {"hits": []}
    assert len(answer(capsys, "watch", "look", "--all", *library)["hits"]) == 1


def test_watched_pictures_are_listed_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = ("-L", str(tmp_path / "lib"))
    for seed, folder in ((1, "a"), (2, "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").write_bytes(jpeg(seed))
        assert main(["watch", "add", str(tmp_path / folder / "x.jpg"), *library]) == 0
    names = [each["name"] for each in answer(capsys, "watch", "list", *library)["pictures"]]
    assert len(set(names)) == 2
    assert main(["watch", "remove", *names, *library]) == 0
    assert answer(capsys, "watch", "list", *library) == {"pictures": []}
    assert list((tmp_path / "lib" / "watch").iterdir()) == []
    assert main(["watch", "remove", "no.jpg", *library]) == 2
    (tmp_path / "no.jpg").write_bytes(b"no picture")
    assert main(["watch", "add", str(tmp_path / "no.jpg"), *library]) == 3


# ------------------------------------------------------------------------------------------------ processes


def start(*argv: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sosie", *map(str, argv), *MODEL]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def counted(library: Path) -> int:
    try:
        with sosie.open(library, create=False, read_only=True) as lib:
            return int(lib.catalogue.counts()["pictures"])
    except sosie.SosieError:
        return 0


def wait_for(condition: object, seconds: float = 40.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def test_a_killed_download_loses_no_finished_picture_and_fetches_none_twice(
    server: PictureServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(seen: Seen) -> bytes:
        time.sleep(0.02)
        return jpeg(int(seen.path[1:-4]))

    server.pages.update({f"/{at}.jpg": slow for at in range(300)})
    source, library = url_list(tmp_path / "list.csv", server, 300), tmp_path / "lib"
    for goal in (1, 100):
        process = start("add", source, "-L", library, "--allow-private")
        assert wait_for(lambda goal=goal: counted(library) >= goal)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
    done = counted(library)
    with sosie.open(library) as lib:
        stored = {uri.rpartition("/")[2] for record in lib.pictures() for uri in record.uris}
    before = len(server.seen)
    report = answer(capsys, "add", source, "-L", library, *MODEL, "--allow-private")
    fetched = {path[1:] for path in server.paths[before:]}
    assert report["unchanged"] == done
    assert report["unchanged"] + report["indexed"] == 300
    assert fetched & stored == set()


def test_a_followed_folder_and_its_library_stay_in_step(tmp_path: Path) -> None:
    folder, library = folder_of(tmp_path / "pictures", 3), tmp_path / "lib"
    process = start("add", folder, "-L", library, "--watch")
    try:
        assert wait_for(lambda: counted(library) == 3)
        time.sleep(1.0)
        (folder / "new").mkdir()
        data = jpeg(77, width=800, height=600)
        with (folder / "new" / "slow.jpg").open("wb") as file:
            file.write(data[:2000])  # as a slow copy would
            file.flush()
            time.sleep(2.0)
            file.write(data[2000:])
        assert wait_for(lambda: counted(library) == 4)
        with sosie.open(library, read_only=True) as lib:
            assert lib.quarantine() == []
        (folder / "new" / "slow.jpg").unlink()
        assert wait_for(lambda: counted(library) == 3)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr is not None
        process.stderr.close()


def test_again_asks_servers_for_changes(
    server: PictureServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = {"/0.jpg": 0, "/1.jpg": 1}

    def answer_of(seen: Seen) -> Answer:
        tag = f'"{version[seen.path]}"'
        if seen.headers.get("If-None-Match") == tag:
            return Answer(status=304)
        return Answer(jpeg(version[seen.path]), headers={"ETag": tag})

    server.pages.update({"/0.jpg": answer_of, "/1.jpg": answer_of})
    argv = ("add", url_list(tmp_path / "a.csv", server, 2), "-L", tmp_path / "lib", *MODEL, "--allow-private")
    assert answer(capsys, *argv)["indexed"] == 2
    version["/1.jpg"] = 7
    report = answer(capsys, *argv, "--again")
    assert (report["unchanged"], report["indexed"]) == (1, 1)
    with sosie.open(tmp_path / "lib") as lib:
        places = {uri: record.sha256 for record in lib.pictures() for uri in record.uris if "#was=" not in uri}
        assert len(lib.pictures()) == 3  # the one that was replaced is not forgotten
    assert len(places) == 2
