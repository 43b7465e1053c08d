"""The parts of the server that need no server."""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import threading
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.catalogue.where import matches, parse
from sosie.errors import FilterError, SettingsError
from sosie.server.config import ServerSettings, is_loopback
from sosie.server.cursors import decode_cursor, encode_cursor
from sosie.server.i18n import LANGUAGES, choose_language, words
from sosie.server.jobs import Job, Jobs, JobState
from sosie.server.limits import RateLimit
from sosie.server.metrics import Metrics, Sample
from sosie.server.params import parse_box
from sosie.server.problems import Problem
from sosie.server.projection import project
from sosie.server.queries import KeptQueries
from sosie.server.rendering import _environment
from sosie.server.run import listen
from sosie.server.views import Card, where_of
from sosie.types import Hit, Verdict
from sosie.verify.certificate import _SAID


@given(st.integers(0, 10_000), st.text(), st.integers())
def test_a_cursor_comes_back_for_its_own_question_alone(at: int, text: str, number: int) -> None:
    cursor = encode_cursor(at, text, number)
    assert decode_cursor(cursor, text, number) == at
    with pytest.raises(Problem):
        decode_cursor(cursor, text, number + 1)


@given(st.text(max_size=60))
def test_no_text_is_a_cursor_by_accident_or_breaks_anything(text: str) -> None:
    try:
        assert decode_cursor(text, "q") == 0
    except Problem as problem:
        assert problem.code == "bad_cursor"


@given(st.text(max_size=40))
def test_a_box_is_inside_the_picture_or_refused(text: str) -> None:
    try:
        box = parse_box(text)
    except Problem as problem:
        assert problem.code == "bad_box"
        return
    assert box is None or (box[2] > 0 and box[3] > 0 and box[0] + box[2] <= 1.0001 and box[1] + box[3] <= 1.0001)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=12)


@given(TEXT.filter(lambda name: ":" not in name), TEXT, TEXT)
def test_chosen_facets_filter_by_exactly_their_value(name: str, value: str, other: str) -> None:
    expression = parse(where_of(None, [f"{name}:{value}"]) or "")
    assert matches(expression, {name: value})
    assert matches(expression, {name: other}) is (other == value)


def test_a_wrong_filter_is_told_of_as_it_was_written() -> None:
    with pytest.raises(FilterError, match="filter, column 8: expected a 'quoted text' or a number, found the end"):
        where_of("label =", ["mood:happy"])


def test_facets_of_one_label_are_alternatives_and_of_two_are_joined() -> None:
    expression = parse(where_of("year > 1900", ["a:x", "a:y", "b:z"]) or "")
    assert matches(expression, {"year": 1950.0, "a": "y", "b": "z"})
    assert not matches(expression, {"year": 1950.0, "a": "y"})
    assert not matches(expression, {"year": 1800.0, "a": "y", "b": "z"})


def test_every_language_has_the_same_words_and_gaps() -> None:
    texts = {
        lang: json.loads(resources.files("sosie.server").joinpath("strings", f"{lang}.json").read_text("utf-8"))
        for lang in LANGUAGES
    }
    gaps = {lang: {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in of.items()} for lang, of in texts.items()}
    assert gaps["fr"] == gaps["en"]
    assert all(text.strip() for of in texts.values() for text in of.values())


def test_the_language_is_asked_for_kept_or_accepted() -> None:
    assert choose_language("fr", "en", "en") == "fr"
    assert choose_language(None, "fr", "en") == "fr"
    assert choose_language("xx", None, "de-DE,fr;q=0.9,en;q=0.8") == "fr"
    assert choose_language(None, None, "") == "en"


def test_nought_is_plural_in_english_and_singular_in_french() -> None:
    assert words("en")("results.count", n=0) == "0 results"
    assert words("fr")("results.count", n=0) == "0 résultat"


def test_a_card_says_how_sure_a_copy_is_and_how_near_what_is_only_alike() -> None:
    def caption(verdict: Verdict, probability: float) -> str:
        hit = Hit(1, 7, "file:///a.jpg", 0.87, verdict, probability)
        card = Card(7, "a.jpg", "/a.jpg", 4, 3, (), hit)
        return re.sub(
            "<.*?>", "", _environment().get_template("_macros.html").make_module({"lang": "en"}).card(card, words("en"))
        )  # type: ignore[attr-defined]

    assert "99.8 % sure" in caption(Verdict.ALTERED_COPY, 0.998)
    assert "sure" not in caption(Verdict.SIMILAR, 0.003) and "0.87" in caption(Verdict.SIMILAR, 0.003)


def test_a_map_keeps_neighbours_near_and_is_the_same_twice() -> None:
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((2, 16)) * 5
    vectors = np.vstack([centre + generator.standard_normal((50, 16)) * 0.1 for centre in centres]).astype(np.float32)
    ids = np.arange(100)
    first, second = project(ids, vectors), project(ids, vectors)
    np.testing.assert_array_equal(first.positions, second.positions)
    left, right = first.positions[:50], first.positions[50:]
    assert np.abs(left.mean(0) - right.mean(0)).max() > 10 * max(left.std(), right[:, 1].std()) / 10
    assert first.explained > 0.9
    assert np.abs(first.positions).max() <= 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_map_of_hardly_anything_is_drawn(count: int) -> None:
    points = project(np.arange(count), np.eye(8, dtype=np.float32)[:count])
    assert points.positions.shape == (count, 2)
    assert np.isfinite(points.positions).all()


def test_a_large_library_is_sampled() -> None:
    points = project(np.arange(500), np.random.default_rng(0).standard_normal((500, 4)).astype(np.float32), most=100)
    assert (len(points.ids), points.total) == (100, 500)


def test_kept_queries_forget_the_one_used_longest_ago() -> None:
    kept = KeptQueries(2)
    first, second = kept.keep(b"1"), kept.keep(b"2")
    kept.get(first.token)
    kept.keep(b"3")
    assert kept.get(first.token).data == b"1"
    with pytest.raises(Problem):
        kept.get(second.token)


def test_a_bucket_refills_with_time() -> None:
    now = [0.0]
    limit = RateLimit(None, rate=2.0, burst=3, clock=lambda: now[0])  # type: ignore[arg-type]
    assert [limit.take("a") == 0 for _ in range(4)] == [True, True, True, False]
    assert limit.take("b") == 0
    now[0] = 0.5
    assert limit.take("a") == 0


def test_metrics_are_cumulative_and_quoted() -> None:
    metrics = Metrics()
    metrics.observe("sosie_search_seconds", {"by": 'a"b\\'}, 0.003)
    metrics.observe("sosie_search_seconds", {"by": 'a"b\\'}, 99.0)
    text = metrics.text([Sample("sosie_pictures", 2), Sample("sosie_index_recall", math.nan)])
    assert 'sosie_search_seconds_bucket{by="a\\"b\\\\",le="0.0025"} 0' in text
    assert 'sosie_search_seconds_bucket{by="a\\"b\\\\",le="0.005"} 1' in text
    assert 'sosie_search_seconds_bucket{by="a\\"b\\\\",le="+Inf"} 2' in text
    assert "# TYPE sosie_pictures gauge\nsosie_pictures 2\n" in text and "\nsosie_index_recall NaN\n" in text


def test_a_failing_job_leaves_the_thread_to_the_next() -> None:
    jobs = Jobs()
    failed = jobs.start("a", "", lambda job: 1 / 0)  # type: ignore[arg-type,return-value]
    done = jobs.start("b", "", lambda job: {"n": 1})
    _wait(done)
    assert failed.state is JobState.FAILED
    assert (done.state, done.result) == (JobState.DONE, {"n": 1})
    jobs.close()


def test_closing_stops_the_job_that_runs_and_those_that_wait() -> None:
    jobs = Jobs()
    started = threading.Event()

    def work(job: Job) -> dict[str, int]:
        started.set()
        assert job.stop.wait(10)
        return {"kept": 1}

    running = jobs.start("a", "", work)
    waiting = jobs.start("b", "", lambda job: {})
    assert started.wait(10)
    jobs.close()
    assert (running.state, running.result) == (JobState.STOPPED, {"kept": 1})
    assert waiting.state is not JobState.DONE


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback_is_recognised(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SettingsError):
        ServerSettings(workers=0)
    with pytest.raises(SettingsError):
        ServerSettings(port=70_000)


def _wait(job: Job) -> None:
    for _ in range(1000):
        if job.state.over:
            return
        threading.Event().wait(0.01)


def test_answers_are_sent_at_once() -> None:
    """Nagle's algorithm is off: with it, an answer's second packet waits for an acknowledgement."""

    async def accepted() -> int:
        got: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        with listen(ServerSettings(port=0)) as listener:
            async with await asyncio.start_server(lambda _reader, writer: got.put(writer), sock=listener):
                _, mine = await asyncio.open_connection(*listener.getsockname())
                theirs = await got.get()
                option: int = theirs.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                mine.close()
                theirs.close()
                return option

    assert asyncio.run(accepted()) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_a_certificate_finds_has_words(language: str) -> None:
    said = words(language)
    for name, english in _SAID.items():
        values = dict.fromkeys(re.findall(r"{(\w+)}", english), "7")
        assert said(f"done.{name}", **values).count("7") == len(values)
        assert language != "en" or said(f"done.{name}", **values) == english.format(**values)
