"""Pages of one answer are cut from one list: no hit comes twice and none is left out, whatever the index finds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import sosie
from sosie.library import Library
from sosie.server.lists import HitList, KeptLists
from sosie.testing.fakes import fill_with_vectors
from sosie.testing.indexes import clustered
from sosie.types import Hit, SearchResult, Verdict
from tests.serving import running

VECTORS = clustered(3_000, 320)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with sosie.open(tmp_path_factory.mktemp("library"), model="histogram") as made:
        fill_with_vectors(made, VECTORS[:2_400])
        made.indexes.build("symqg", {"ef": 16})  # a narrow search, which finds others when it is asked for more
        yield made


@pytest.fixture(scope="module")
def web(library: Library) -> Iterator[httpx.Client]:
    with running(library) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def pages(web: httpx.Client, count: int, **asked: Any) -> list[dict[str, Any]]:
    found, cursor = [], ""
    for _ in range(count):
        page = web.get("/api/v1/search", params={**asked, "verify": False, "cursor": cursor}).json()
        found.append(page)
        cursor = page["next_cursor"] or ""
        if not cursor:
            break
    return found


def test_pages_repeat_and_skip_nothing_while_pictures_are_added(web: httpx.Client, library: Library) -> None:
    def add() -> None:
        for end in range(2_450, 2_900, 50):
            fill_with_vectors(library, VECTORS[:end])

    adding = threading.Thread(target=add)
    adding.start()
    for query in range(1, 41):
        made = pages(web, 10, id=query, k=10)
        ids = [hit["id"] for page in made for hit in page["hits"]]
        assert len(ids) == len(set(ids)) == 100
        assert [hit["rank"] for page in made for hit in page["hits"]] == list(range(1, 101))
        assert query not in ids
    adding.join()


def test_pages_are_the_long_list_behind_the_first_page(web: httpx.Client, library: Library) -> None:
    for query in range(50, 60):
        made = pages(web, 10, id=query, k=10)
        ids = [hit["id"] for page in made for hit in page["hits"]]
        first = [hit.id for hit in library.search(query, k=10, verify=False)]
        deep = [hit.id for hit in library.search(query, k=200, verify=False)]
        assert ids == (first + [i for i in deep if i not in first])[:100]


def test_the_end_of_what_is_kept_is_said(web: httpx.Client) -> None:
    made = pages(web, 6, id=7, k=200)
    assert [len(page["hits"]) for page in made] == [200] * 5
    assert (made[-1]["next_cursor"], made[-1]["ends_at"], made[0]["ends_at"]) == (None, 1_000, None)


def hit(number: int) -> Hit:
    return Hit(1, number, "", 1.0, Verdict.SIMILAR)


def test_a_list_is_forgotten_when_its_time_is_over_or_there_is_no_room() -> None:
    lists = KeptLists(seconds=0.0)
    lists.keep("a", HitList([hit(1)], ended=True)).until -= 1
    assert lists.get("a") is None
    small = KeptLists(most_hits=3)
    for name in "abc":
        small.keep(name, HitList([hit(1), hit(2)], ended=True))
    assert small.get("a") is None and small.get("b") is None and small.get("c") is not None


def test_a_list_grows_by_what_it_has_not() -> None:
    made = HitList([hit(3), hit(1)], ended=False)
    made.extend(SearchResult("", tuple(map(hit, (1, 2, 3, 4))), 0.0, {}), depth=4, most=10)
    assert [each.id for each in made.hits] == [3, 1, 2, 4] and not made.ended
    made.extend(SearchResult("", tuple(map(hit, (1, 2, 3, 4, 5))), 0.0, {}), depth=9, most=10)
    assert [(each.id, each.rank) for each in made.page(3, 9)] == [(4, 4), (5, 5)] and made.ended


def test_a_cursor_of_a_list_that_is_gone_is_refused_once_the_library_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sosie.open(tmp_path, model="histogram") as made:
        fill_with_vectors(made, VECTORS[:100])
        with running(made) as address, httpx.Client(base_url=address, timeout=60) as web:
            first = web.get("/api/v1/search", params={"id": 1, "k": 5}).json()
            monkeypatch.setattr(KeptLists, "get", lambda *_: None)
            asked = {"id": 1, "k": 5, "cursor": first["next_cursor"]}
            again = web.get("/api/v1/search", params=asked).json()
            assert {each["id"] for each in again["hits"]}.isdisjoint(each["id"] for each in first["hits"])
            fill_with_vectors(made, VECTORS[:110])
            gone = web.get("/api/v1/search", params=asked)
    assert (gone.status_code, gone.json()["code"]) == (400, "bad_cursor")
