"""Browsing a library: orders, pages from any position, and what is done to many pictures at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import sosie
from sosie.catalogue import AddContent
from sosie.library import Library
from sosie.server.epoch_cache import EpochCache
from sosie.server.schemas import MOST_SELECTED
from sosie.testing.catalogues import ROOT, row
from sosie.types import Ids, ImageRef
from tests.serving import running

API = "/api/v1"
COUNT = 500


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A library of many pictures whose files are not there: nothing of this reads one."""
    with sosie.open(tmp_path / "library") as made:
        made.catalogue.apply([_content(n) for n in range(COUNT)], root=ROOT)
        yield made


@pytest.fixture
def web(library: Library) -> Iterator[httpx.Client]:
    with running(library) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def _content(n: int, name: str = "") -> AddContent:
    ref = ImageRef(f"{ROOT}{name or f'{n:04d}.jpg'}", {"label": "odd" if n % 2 else "even"}, 1, 2, 3)
    return AddContent(row(n), ref, {}, added_at=1000.0 + n)


def pages(web: httpx.Client, **params: Any) -> list[int]:
    found: list[int] = []
    while True:
        page = web.get(f"{API}/pictures", params=params).raise_for_status().json()
        found += [each["id"] for each in page["pictures"]]
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


@pytest.mark.parametrize("order", ["added", "taken", "size", "name"])
def test_pages_of_an_order_join_into_all_of_it(web: httpx.Client, library: Library, order: str) -> None:
    where = "label = 'odd'"
    expected = library.catalogue.ordered_ids(order, library.catalogue.condition(where), descending=True)
    assert pages(web, order=order, descending="true", where=where, k=37) == expected.tolist()
    assert len(expected) == COUNT // 2


def test_a_page_starts_at_any_position(web: httpx.Client, library: Library) -> None:
    answer = web.get(f"{API}/pictures", params={"order": "added", "start": 321, "k": 3}).json()
    assert [each["uris"][0] for each in answer["pictures"]] == [f"{ROOT}{n:04d}.jpg" for n in (321, 322, 323)]
    assert answer["total"] == COUNT
    assert web.get(f"{API}/pictures", params={"order": "added", "start": 10_000}).json()["pictures"] == []


def test_who_reads_on_meets_each_picture_once_while_others_are_added(web: httpx.Client, library: Library) -> None:
    page = web.get(f"{API}/pictures", params={"order": "added", "descending": "true", "k": 10}).json()
    library.catalogue.apply([_content(COUNT), _content(COUNT + 1)], root=ROOT)
    params = {"order": "added", "descending": "true", "k": 10, "cursor": page["next_cursor"]}
    following = web.get(f"{API}/pictures", params=params).json()
    assert following["pictures"][0]["uris"][0] == f"{ROOT}{COUNT - 11:04d}.jpg"
    assert web.get(f"{API}/pictures", params={"order": "added"}).json()["total"] == COUNT + 2


def test_a_list_that_is_not_kept_any_more_is_not_gone_on_with(web: httpx.Client, library: Library) -> None:
    page = web.get(f"{API}/pictures", params={"order": "name", "k": 10}).json()
    library.catalogue.apply([_content(COUNT)], root=ROOT)
    for n in range(20):  # others push it out
        web.get(f"{API}/pictures", params={"order": "name", "where": f"width > {n}"})
    answer = web.get(f"{API}/pictures", params={"order": "name", "k": 10, "cursor": page["next_cursor"]})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


def test_an_order_is_made_once_for_each_state_of_the_library() -> None:
    import numpy as np

    made: list[int] = []

    def make() -> Ids:
        made.append(1)
        return np.arange(3)

    kept = EpochCache(most=2)
    for epoch in (1, 1, 2, 1, 3, 3):
        kept.at(epoch, "added", make)
    assert len(made) == 3
    assert kept.kept(2, "added") is None  # asked for longest ago


def test_pages_by_id_read_no_more_than_the_page(library: Library) -> None:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection = library.catalogue.connection()
    connection.set_progress_handler(count, 100)
    try:
        library.pictures(limit=10, after=100)
        page, steps = steps, 0
        library.pictures(after=100)
        assert page * 5 < steps
    finally:
        connection.set_progress_handler(None, 0)


def test_ids_and_total_of_a_selection(web: httpx.Client) -> None:
    answer = web.get(f"{API}/picture-ids", params={"order": "added", "descending": "false", "start": 490, "k": 10_000})
    assert len(answer.json()["ids"]) == 10 and answer.json()["total"] == COUNT
    assert web.get(f"{API}/picture-ids", params={"k": MOST_SELECTED + 1}).status_code == 422


def test_many_pictures_are_labelled_listed_and_removed(web: httpx.Client, library: Library) -> None:
    ids = library.catalogue.live_ids().tolist()[:300]
    body = {"ids": [*ids, ids[0], 999_999], "labels": {"mood": "=calm", "label": None}}
    assert web.post(f"{API}/bulk/labels", json=body).json() == {"changed": 300}
    assert library.labels()["mood"] == {"=calm": 300}
    assert sum(library.labels()["label"].values()) == COUNT - 300
    listed = list(csv.DictReader(io.StringIO(web.post(f"{API}/bulk/csv", json={"ids": ids}).text)))
    assert [int(each["id"]) for each in listed] == ids
    assert listed[0]["labels"] == '{"mood": "=calm"}'
    assert web.post(f"{API}/bulk/remove", json={"ids": [*ids, 999_999]}).json() == {"changed": 300}
    assert len(library.catalogue.live_ids()) == COUNT - 300


def test_ten_thousand_pictures_are_taken_and_no_more(web: httpx.Client) -> None:
    body = {"ids": list(range(MOST_SELECTED)), "labels": {"mood": "calm"}}
    assert web.post(f"{API}/bulk/labels", json=body).json() == {"changed": COUNT}
    body["ids"].append(MOST_SELECTED)
    refused = web.post(f"{API}/bulk/labels", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


def test_a_list_is_safe_to_open_in_a_spreadsheet(web: httpx.Client, library: Library) -> None:
    ref = ImageRef("=cmd|' /C calc'!A0", {}, 1, 2, 3)
    library.catalogue.apply([AddContent(row(COUNT + 5), ref, {})], root=ROOT)
    (newest,) = web.get(f"{API}/picture-ids", params={"k": 1}).json()["ids"]
    line = web.post(f"{API}/bulk/csv", json={"ids": [newest]}).text.splitlines()[1]
    assert next(csv.reader([line]))[1].startswith("'=")


def test_pages_without_scripts_lead_to_each_other(web: httpx.Client) -> None:
    first = web.get("/browse").text
    assert first.count('class="tile"') == 60
    assert f"{COUNT - 1:04d}.jpg" in first  # newest first
    assert 'rel="next"' in first and 'rel="prev"' not in first
    assert web.get("/browse", params={"page": 9}).text.count('class="tile"') == 20
    assert web.get("/browse", params={"page": 9_999}).text.count('class="tile"') == 20


def test_a_range_of_days_counts_both(web: httpx.Client) -> None:
    found = web.get("/browse", params={"since": "1970-01-01", "until": "1970-01-01"}).text
    assert f'data-total="{COUNT}"' in found
    assert 'id="wall"' not in web.get("/browse", params={"since": "1970-01-02"}).text
    assert web.get("/browse", params={"since": "yesterday"}).status_code == 422


def test_a_filter_with_quotes_reaches_the_page_as_text(web: httpx.Client) -> None:
    hostile = "label = '\"><script>alert(1)</script>'"
    found = web.get("/browse", params={"where": hostile})
    assert found.status_code == 200 and "<script>alert" not in found.text
