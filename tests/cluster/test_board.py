"""The board that servers share is one board, be it in memory or on the cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sosie.catalogue import PictureRecord
from sosie.copies.duplicates import DuplicateGroup, DuplicateReport, Match
from sosie.server import job_board
from sosie.server.board import Board, MemoryBoard
from sosie.server.copying import CopyDesk
from sosie.server.job import Job, JobState
from sosie.server.jobs import Jobs
from sosie.server.keys import Key, KeyStore, Scope
from sosie.server.problems import Problem
from sosie.server.queries import KeptQueries
from sosie.server.sessions import Sessions
from tests.cluster.conftest import Open


@pytest.fixture(params=["memory", "cluster"])
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    if request.param == "memory":
        yield MemoryBoard()
    else:
        opened: Open = request.getfixturevalue("opened")
        yield opened().catalogue


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def test_notes_are_left_read_listed_and_taken_down(board: Board) -> None:
    for name in ("b", "a", "c", "b"):  # one in the place of another is the newest
        board.post("job", name, {"name": name, "odd": ["é", None, 1.5]})
        time.sleep(0.002)  # the clock that orders them is no finer
    board.post("session", "a", {})
    assert list(board.posted("job")) == ["a", "c", "b"]
    assert board.read("job", ["c", "none"]) == {"c": {"name": "c", "odd": ["é", None, 1.5]}}
    board.take_down("job", ["c", "none"])
    board.take_down("job", [])
    assert (list(board.posted("job")), board.read("job", ["c"])) == (["a", "b"], {})
    assert list(board.posted("session")) == ["a"]


def test_notes_are_no_part_of_what_a_library_knows(opened: Open) -> None:
    lib = opened()
    epoch, records = lib.catalogue.epoch(), lib.catalogue.records()
    lib.catalogue.post("job", "a", {})
    assert (lib.catalogue.epoch(), lib.catalogue.records()) == (epoch, records)


def test_sessions_and_uploads_of_one_server_are_those_of_all(
    board: Board, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keys = KeyStore(tmp_path_factory.mktemp("keys") / "keys.json")
    key, _ = keys.create("me", Scope.READ)
    one, other = Sessions(board), Sessions(board)
    token = one.start(key)
    assert other.key(token, keys) == one.key(token, keys) == key
    assert token not in board.posted("session")  # whoever reads the board cannot use what is there
    one.end(token)
    assert one.key(token, keys) is None
    until(lambda: other.key(token, keys) is None)
    assert Sessions(board, clock=lambda: time.time() + Sessions.LIFETIME + 1).key(one.start(key), keys) is None

    first, second = KeptQueries(2, board), KeptQueries(2, board)
    kept = first.keep(b"1")
    assert second.get(kept.token).data == b"1"
    for data in (b"2", b"3"):
        first.keep(data)
    assert len(board.posted("query")) == 2
    with pytest.raises(Problem, match="upload it again"):
        KeptQueries(2, board).get(kept.token)


def test_only_so_many_sessions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sessions, "_MOST", 3)
    board, key = MemoryBoard(), Key("id", "me", Scope.READ, "0" * 64, 0.0)
    for _ in range(5):
        Sessions(board).start(key)
    assert len(board.posted("session")) == 3


def test_the_duplicates_that_one_server_found_are_shown_by_all(opened: Open) -> None:
    def record(n: int) -> PictureRecord:
        return PictureRecord(
            n, f"{n:064x}", 9, "JPEG", 3, 2, (f"file:///{n}.jpg",), {"a": "x", "b": ("y", "z"), "c": 1.5}, 7.0
        )

    report = DuplicateReport(
        (DuplicateGroup(record(1), ((record(2), Match(1, 2, 0.99, "altered_copy")),), {1: (), 2: ()}),), (), 0.5, 2
    )
    lib = opened()
    one, other = CopyDesk(lib, lib.catalogue), CopyDesk(lib, lib.catalogue)
    assert other.report() is None
    one.show(report)
    assert other.report() == report


# ------------------------------------------------------------------------------------------- jobs


def test_a_job_is_followed_and_stopped_from_afar(board: Board) -> None:
    one, other = Jobs(board=board), Jobs(board=board)
    go_on = threading.Event()

    def work(job: Job) -> dict[str, int]:
        job.report({"done": 1})
        assert job.stop.wait(60) and go_on.wait(60)
        return {"kept": 1}

    job = one.start("add", "x", work)
    until(lambda: other.get(job.id).progress == {"done": 1})
    far = other.get(job.id)
    assert (far.far, far.state, [each.id for each in other.list()]) == (True, JobState.RUNNING, [job.id])
    assert (one.open, other.open) == (1, 0)
    other.stop(job.id)
    until(job.stop.is_set)
    go_on.set()
    until(lambda: other.get(job.id).state is JobState.STOPPED)
    assert other.get(job.id).to_json() == one.get(job.id).to_json()
    assert one.list()[0].result == {"kept": 1}
    until(lambda: not board.posted("stop"))
    one.close()
    other.close()


def test_closing_tells_of_the_jobs_that_never_ran(board: Board) -> None:
    one, other = Jobs(board=board), Jobs(board=board)
    running = one.start("a", "", lambda job: {"waited": job.stop.wait(60)})
    waiting = one.start("b", "", lambda job: {})
    one.close()
    assert [other.get(job.id).state for job in (running, waiting)] == [JobState.STOPPED] * 2
    other.close()


def test_a_job_whose_server_went_away_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_board, "LOST", 0.5)
    board = MemoryBoard()
    told = {**Job("0" * 16, "add", "x", JobState.RUNNING).to_json(), "version": 3, "beat": time.time()}
    board.post("job", "0" * 16, {**told, "beat": time.time() + 60})
    jobs = Jobs(board=board)
    assert jobs.get("0" * 16).state is JobState.RUNNING
    board.post("job", "0" * 16, {**told, "beat": time.time() - 1})
    lost = jobs.get("0" * 16)
    assert (lost.state, lost.error and lost.error["code"]) == (JobState.FAILED, "server_lost")
    assert lost.ended_at is not None
    jobs.close()


def test_a_job_without_news_shows_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_board, "_TELL", 0.02)
    monkeypatch.setattr(job_board, "_BEAT", 0.05)
    board = MemoryBoard()
    jobs = Jobs(board=board)
    job = jobs.start("add", "x", lambda job: {"waited": job.stop.wait(60)})
    first = board.read("job", [job.id])[job.id]["beat"]
    until(lambda: board.read("job", [job.id])[job.id]["beat"] > first + 0.2)
    jobs.close()


def test_only_the_latest_jobs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jobs, "_KEPT", 3)
    board = MemoryBoard()
    for n in range(3):
        jobs = Jobs(board=board)
        for _ in range(2):
            jobs.start("add", str(n), lambda job: {})
        jobs.close()
    assert len(board.posted("job")) == 3
