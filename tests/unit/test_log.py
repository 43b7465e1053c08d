"""Who did what: each deed is in the log with its actor, from Python, the command line and the server."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import sosie
from sosie.catalogue.deeds import ACTOR, DEEDS, actor
from sosie.catalogue.log import LogFilter, day, entries
from sosie.catalogue.records import LogEntry
from sosie.cli import main
from sosie.errors import UsageError
from sosie.library import Library
from sosie.present.csv import log_csv
from sosie.present.log import sentence
from sosie.server.keys import Scope
from tests.pictures import jpeg
from tests.serving import running


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library") as made:
        for seed in range(3):
            made.add_bytes(jpeg(seed))
        yield made


@pytest.fixture
def ann() -> Iterator[str]:
    token = ACTOR.set("ann")
    yield "ann"
    ACTOR.reset(token)


def deeds(library: Library) -> list[tuple[str, str, str]]:
    return [(one.actor, one.deed, sentence(one)) for one in entries(library.catalogue, LogFilter(), limit=100)]


def test_what_people_do_is_written_down(library: Library, ann: str) -> None:
    first, second = (library.picture(i).sha256 for i in (1, 2))
    library.set_labels(1, {"mood": "calm", "old": None})
    library.catalogue.put_decision(first, second, "not_a_copy", note="two seas")
    library.catalogue.drop_decision(first, second)
    place = library.picture(3).uris[0]
    library.remove([3])
    low, high = (each[:12] for each in sorted((first, second)))
    assert deeds(library) == [
        ("ann", "remove", f"1 picture removed: {place}"),
        ("ann", "undecide", f"decision taken back: {low} and {high}"),
        ("ann", "decide", f"not_a_copy: {low} and {high} (two seas)"),
        ("ann", "label", "mood=calm, old= on picture 1"),
    ]


def test_what_was_not_done_is_not_written_down(library: Library) -> None:
    library.remove([99])
    library.catalogue.drop_decision("01" * 32, "02" * 32)
    with pytest.raises(UsageError):
        library.catalogue.put_decision("01" * 32, "01" * 32, "not_a_copy")
    assert deeds(library) == []


def test_who_acts_is_the_systems_user_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "bea")
    assert actor() == "bea"


def test_the_log_is_read_page_by_page_and_filtered(library: Library) -> None:
    for n in range(1200):
        library.catalogue.append_log("ann" if n % 2 else "bea", "label", {"pictures": n})
    found = entries(library.catalogue, LogFilter(actor="ann"), limit=601)
    assert [one.detail["pictures"] for one in found] == list(range(1199, 0, -2))
    assert entries(library.catalogue, LogFilter(deed="remove"), limit=5) == []
    assert entries(library.catalogue, LogFilter(until=found[0].at), limit=1)[0].at < found[0].at


def test_days_begin_and_end_in_utc() -> None:
    assert day("1970-01-02") == 86400.0 and day("1970-01-02", end=True) == 2 * 86400.0
    with pytest.raises(UsageError, match="2026-11-30"):
        day("yesterday")


def test_a_line_of_the_list_is_safe_to_open_in_a_spreadsheet() -> None:
    entry = LogEntry(1, 0.0, "=cmd|' /C calc'!A0", "label", {"pictures": 1, "labels": {"@x": "y"}})
    (line,) = csv.DictReader(io.StringIO(log_csv([entry])))
    assert line["actor"].startswith("'=") and line["what"].startswith("'@")
    assert json.loads(line["detail"]) == dict(entry.detail)


def test_the_command_shows_and_filters(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    library.set_labels(1, {"mood": "calm"})
    folder = ["-L", str(library.path)]
    assert main(["log", *folder, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["deed"], entry["detail"]["labels"]) == ("label", {"mood": "calm"})
    assert main(["log", *folder, "--csv", "--deed", "label"]) == 0
    assert capsys.readouterr().out.startswith("id,at,actor,deed,what,detail\n")
    assert main(["log", *folder, "--deed", "remove"]) == 1
    assert main(["log", *folder, "--deed", "lable"]) == 2
    assert "label" in capsys.readouterr().err


def test_the_server_names_the_key(library: Library) -> None:
    from sosie.server.keys import keys_of

    key = keys_of(library).create("front desk", Scope.ADMIN)
    secret = key[1] if isinstance(key, tuple) else key
    with running(library) as address, httpx.Client(base_url=address, timeout=60) as web:
        web.headers["Authorization"] = f"Bearer {secret}"
        web.put("/api/v1/pictures/1/labels", json={"labels": {"mood": "calm"}}).raise_for_status()
        web.post("/api/v1/bulk/csv", json={"ids": [1, 2]}).raise_for_status()
        web.post("/api/v1/decisions", json={"a": 1, "b": 2, "decision": "not_a_copy"}).raise_for_status()
        web.delete("/api/v1/pictures/3").raise_for_status()
        page = web.get("/api/v1/log", params={"k": 3}).json()
        more = web.get("/api/v1/log", params={"k": 3, "cursor": page["next_cursor"]}).json()
        found = [*page["entries"], *more["entries"]]
        assert [each["deed"] for each in found] == ["remove", "decide", "export", "label"]
        assert {each["actor"] for each in found} == {"key front desk"}
        assert web.get("/api/v1/log", params={"deed": "lable"}).status_code == 400


def test_the_page_filters_and_gives_a_list(library: Library) -> None:
    library.set_labels(1, {"<b>mood</b>": "calm"})
    library.remove([2])
    with running(library) as address, httpx.Client(base_url=address, timeout=60) as web:
        html = web.get("/log").text
        assert "&lt;b&gt;mood&lt;/b&gt;=calm" in html and "<b>mood" not in html and html.count("<tr>") == 3
        assert web.get("/log", params={"deed": "remove"}).text.count("<tr>") == 2
        assert "1 image" in web.get("/log", params={"lang": "fr"}).text
        listed = web.get("/log.csv", params={"deed": "label"})
        assert [each["deed"] for each in csv.DictReader(io.StringIO(listed.text))] == ["label"]
        assert set(DEEDS) >= {"label", "remove"}
