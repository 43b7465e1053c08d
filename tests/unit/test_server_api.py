"""The API over a real library, through a real server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.library import Library
from sosie.server.app import create_app
from sosie.server.routes import copies, jobs, maps, pictures, quarantine, search
from sosie.server.strict import known_names
from tests.serving import running, small_library

API = "/api/v1"
VIEW = ("thumbnail_url", "width", "height")  # what a hit of the server says besides


@pytest.fixture(scope="module")
def library(sosie_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with small_library(tmp_path_factory.mktemp("serve"), sosie_shared) as made:
        yield made


@pytest.fixture(scope="module")
def web(library: Library) -> Iterator[httpx.Client]:
    with running(library) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def jpeg(seed: int, side: int = 96) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((side, side)).save(file, "JPEG")
    return file.getvalue()


def upload(data: bytes, name: str = "a.jpg") -> dict[str, Any]:
    return {"picture": (name, data, "image/jpeg")}


def test_search_by_id_gives_what_the_library_gives(web: httpx.Client, library: Library) -> None:
    hits = web.get(f"{API}/search", params={"id": 1, "k": 5}).json()["hits"]
    shown = [{name: hit.pop(name) for name in VIEW} for hit in hits]
    assert hits == library.search(1, k=5).to_json()["hits"]
    for hit, view in zip(hits, shown, strict=True):
        record = library.picture(hit["id"])
        assert (view["width"], view["height"]) == (record.width, record.height)
        assert web.get(view["thumbnail_url"]).content == library.thumbnail(hit["id"])


def test_search_by_upload_finds_the_very_file(web: httpx.Client, library: Library) -> None:
    answer = web.post(f"{API}/search", files=upload(library.read(3))).json()
    assert (answer["hits"][0]["id"], answer["hits"][0]["verdict"]) == (3, "identical")


def test_a_kept_query_can_be_searched_by_box(web: httpx.Client, library: Library) -> None:
    query = web.post(f"{API}/queries", files=upload(library.read(2))).json()["query"]
    answer = web.get(f"{API}/search", params={"query": query, "box": "0.2,0.2,0.5,0.5", "k": 3})
    expected = library.search(library.read(2), k=3, box=(0.2, 0.2, 0.5, 0.5))
    assert [hit["id"] for hit in answer.json()["hits"]] == [hit.id for hit in expected]


def test_pages_by_cursor_join_into_the_whole_answer(web: httpx.Client, library: Library) -> None:
    found: list[int] = []
    params: dict[str, Any] = {"id": 1, "k": 7}
    while True:
        page = web.get(f"{API}/search", params=params).json()
        found += [hit["id"] for hit in page["hits"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert found == [hit.id for hit in library.search(1, k=100)]


def test_the_page_says_how_many_of_how_many_it_shows(web: httpx.Client, library: Library) -> None:
    count = library.stats()["pictures"]
    shown = web.get("/", params={"id": 1}).text
    assert f"24 of {count - 1}<" in shown
    for value, number in library.labels()["label"].items():
        few = [each.id for each in library.pictures(where=f"label = '{value}'")]
        page = web.get("/", params={"id": 1, "where": f"label = '{value}'"}).text
        assert len(few) == number and f"{number - (1 in few)} result" in page  # the query is no answer to itself


def test_a_cursor_of_another_question_is_refused(web: httpx.Client) -> None:
    cursor = web.get(f"{API}/search", params={"id": 1, "k": 2}).json()["next_cursor"]
    answer = web.get(f"{API}/search", params={"id": 2, "k": 2, "cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


def test_a_filter_comes_before_the_top_k(web: httpx.Client, library: Library) -> None:
    value = next(iter(library.labels()["label"]))
    answer = web.get(f"{API}/search", params={"id": 1, "k": 6, "where": f"label = '{value}'"})
    assert {hit["labels"]["label"] for hit in answer.json()["hits"]} == {value}


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({}, 400, "bad_request"),
        ({"id": 1, "query": "0" * 64}, 400, "bad_request"),
        ({"id": 99_999}, 404, "unknown_name"),
        ({"id": -1}, 422, "invalid_request"),
        ({"id": 1 << 80}, 422, "invalid_request"),
        ({"id": 1, "k": 0}, 422, "invalid_request"),
        ({"id": 1, "k": "NaN"}, 422, "invalid_request"),
        ({"id": 1, "k": 10**9}, 422, "invalid_request"),
        ({"id": 1, "box": "nan,0,1,1"}, 400, "bad_box"),
        ({"id": 1, "box": "0.9,0,0.5,1"}, 400, "bad_box"),
        ({"id": 1, "box": "0,0,0,0"}, 400, "bad_box"),
        ({"id": 1, "where": "label = "}, 400, "bad_filter"),
        ({"id": 1, "where": "(" * 1500}, 400, "bad_filter"),
        ({"id": 1, "cursor": "%00"}, 400, "bad_cursor"),
        ({"id": 1, "cursor": "W1tbW1tbW1tb"}, 400, "bad_cursor"),
        ({"query": "f" * 64}, 404, "query_forgotten"),
    ],
)
def test_a_bad_question_is_a_problem_document(
    web: httpx.Client, params: dict[str, Any], status: int, code: str
) -> None:
    answer = web.get(f"{API}/search", params=params)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"just text", "not_a_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
        (jpeg(1)[:200], "truncated"),
    ],
)
def test_an_upload_that_is_no_picture_says_why(web: httpx.Client, data: bytes, reason: str) -> None:
    for path in ("search", "queries", "pictures"):
        answer = web.post(f"{API}/{path}", files=upload(data))
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_picture")
        assert answer.json()["reason"] == reason
        assert answer.json()["detail"].startswith(f"a.jpg: {reason}")


def test_the_name_of_a_bad_upload_is_shown_and_does_nothing_else(web: httpx.Client) -> None:
    head = 'Content-Disposition: form-data; name="picture"; filename="\u202egpj.\x1b[2J<b>' + "n" * 3000 + '"'
    body = f"--x\r\n{head}\r\n\r\nno picture\r\n--x--\r\n".encode()  # by hand: clients escape such names
    answer = web.post(f"{API}/search", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    detail = answer.json()["detail"]
    assert answer.status_code == 422
    assert detail.isprintable()
    assert detail.startswith(r"\u202egpj.\x1b[2J<b>n")
    assert detail.endswith("not_a_picture: begins with b'no pictu'")
    assert len(detail) < 200


def test_an_option_stands_in_the_address_or_in_the_form(web: httpx.Client) -> None:
    for sent in ({"params": {"k": 3}}, {"data": {"k": 3}}):
        assert len(web.post(f"{API}/search", files=upload(jpeg(1)), **sent).json()["hits"]) == 3
    twice = web.post(f"{API}/search", params={"k": 3}, data={"k": 3}, files=upload(jpeg(1)))
    assert (twice.status_code, twice.json()["code"]) == (422, "repeated_parameter")


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("GET", "search", {"params": {"id": 1, "were": "label = 'x'"}}),
        ("GET", "pictures", {"params": {"limit": 3}}),
        ("GET", "info", {"params": {"x": ""}}),
        ("GET", "jobs", {"params": {"\x1b[2J": 1}}),
        ("POST", "search", {"files": upload(b"anything"), "data": {"kk": "3"}}),
        ("POST", "decisions", {"params": {"a": 1}, "json": {"a": 1, "b": 2, "decision": None}}),
    ],
)
def test_what_an_operation_does_not_know_is_refused(
    web: httpx.Client, method: str, path: str, sent: dict[str, Any]
) -> None:
    answer = web.request(method, f"{API}/{path}", **sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_parameter")
    assert answer.json()["detail"].isprintable()


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("GET", "search?id=1&k=2&k=3", {}),
        ("GET", "pictures?k=2&k=2", {}),
        ("POST", "search", {"files": [("picture", b"a"), ("k", (None, b"3")), ("k", (None, b"4"))]}),
        ("POST", "search", {"files": [("picture", (None, b"a")), ("picture", ("a.jpg", b"b"))]}),
    ],
)
def test_what_is_given_twice_is_refused(web: httpx.Client, method: str, path: str, sent: dict[str, Any]) -> None:
    answer = web.request(method, f"{API}/{path}", **sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "repeated_parameter")
    assert "2 times" in answer.json()["detail"]


def test_a_misspelt_parameter_is_told_the_right_name(web: httpx.Client) -> None:
    answer = web.get(f"{API}/search", params={"id": 1, "wheer": "label = 'x'"})
    assert answer.json()["detail"] == "there is no parameter 'wheer' here; did you mean 'where'?"


def test_the_names_that_are_known_are_those_of_the_document(library: Library) -> None:
    document = create_app(library).openapi()
    routes: list[Any] = [
        route for module in (copies, jobs, maps, pictures, quarantine, search) for route in module.router.routes
    ]
    assert len(routes) > 20
    for route in routes:
        operation = document["paths"][route.path][min(route.methods).lower()]
        query = known_names(route.endpoint)
        assert query == {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {}).get("schema", {})
        schema = document["components"]["schemas"][form["$ref"].rpartition("/")[2]] if form else {}
        assert not form or schema["properties"].keys() == query | {"picture"}
        assert schema.get("additionalProperties", False) is False


def test_an_added_picture_is_found_at_once_and_known_the_second_time(web: httpx.Client) -> None:
    data = jpeg(2)
    added = web.post(f"{API}/pictures", files=upload(data), data={"labels": '{"label": "made up"}'})
    again = web.post(f"{API}/pictures", files=upload(data))
    assert (added.status_code, added.json()["status"]) == (201, "indexed")
    assert (again.status_code, again.json()["status"]) == (200, "known")
    found = web.post(f"{API}/search", files=upload(data)).json()["hits"][0]
    assert (found["id"], found["labels"]) == (added.json()["id"], {"label": "made up"})


def test_a_deleted_picture_is_gone(web: httpx.Client) -> None:
    data = jpeg(3)
    own = f"{API}/pictures/{web.post(f'{API}/pictures', files=upload(data)).json()['id']}"
    assert web.delete(own).status_code == 204
    assert web.get(own).status_code == 404
    assert web.post(f"{API}/search", files=upload(data)).json()["hits"][0]["verdict"] == "similar"


def test_labels_are_set_and_removed_one_by_one(web: httpx.Client) -> None:
    own = f"{API}/pictures/{web.post(f'{API}/pictures', files=upload(jpeg(4))).json()['id']}"
    web.put(f"{own}/labels", json={"labels": {"mood": ["calm", "grey"], "year": 1906}})
    answer = web.put(f"{own}/labels", json={"labels": {"year": None, "label": "dune"}})
    assert answer.json()["labels"] == {"mood": ["calm", "grey"], "label": "dune"}


@pytest.mark.parametrize("body", ['{"labels": {"a": NaN}}', '{"labels": {"a": {"b": 1}}}', "{}", ""])
def test_labels_that_are_none_are_refused(web: httpx.Client, body: str) -> None:
    answer = web.put(f"{API}/pictures/1/labels", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_json_that_is_nested_too_deep_is_refused(web: httpx.Client) -> None:
    answer = web.put(f"{API}/pictures/1/labels", content="[" * 50_000, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_pictures_are_listed_page_by_page(web: httpx.Client, library: Library) -> None:
    first = web.get(f"{API}/pictures", params={"k": 20}).json()
    second = web.get(f"{API}/pictures", params={"k": 20, "cursor": first["next_cursor"]}).json()
    ids = [picture["id"] for picture in first["pictures"] + second["pictures"]]
    assert ids == [record.id for record in library.pictures(limit=40)]


def test_thumbnails_and_previews_carry_no_metadata(web: httpx.Client) -> None:
    image = Image.open(io.BytesIO(jpeg(5, side=400)))
    image.getexif()[0x010E] = "a secret place"
    file = io.BytesIO()
    image.save(file, "JPEG", exif=image.getexif())
    own = f"{API}/pictures/{web.post(f'{API}/pictures', files=upload(file.getvalue())).json()['id']}"
    for kind in ("thumbnail", "preview"):
        answer = web.get(f"{own}/{kind}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert b"secret" in file.getvalue()
        assert b"secret" not in answer.content


def test_an_original_is_a_download_and_never_a_page(web: httpx.Client, library: Library) -> None:
    answer = web.get(f"{API}/pictures/1/original")
    assert answer.content == library.read(1)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_map_has_a_point_for_each_picture(web: httpx.Client, library: Library) -> None:
    drawn = web.get(f"{API}/map", params={"label": "label"}).json()
    assert drawn["ids"] == library.vectors()[0].tolist()
    assert len(drawn["x"]) == len(drawn["y"]) == len(drawn["colours"]) == len(drawn["ids"])
    assert max(map(abs, drawn["x"] + drawn["y"])) <= 1


def test_a_job_reports_its_progress_and_its_end(web: httpx.Client, tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / f"{seed}.jpg").write_bytes(jpeg(100 + seed))
    (tmp_path / "no.jpg").write_bytes(b"text")
    job = web.post(f"{API}/jobs", json={"kind": "add", "source": str(tmp_path)}).json()
    with web.stream("GET", f"{API}/jobs/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [line for line in stream.iter_lines() if line.startswith("data: ")]
    assert '"state": "done"' in events[-1]
    result = web.get(f"{API}/jobs/{job['id']}").json()["result"]
    assert (result["indexed"], result["quarantined"]) == (3, {"not_a_picture": 1})
    assert web.get(f"{API}/quarantine").json()["reasons"] == {"not_a_picture": 1}


@pytest.mark.parametrize("source", ["/nowhere/at/all", "0" * 4000, "a\0b"])
def test_a_folder_that_is_not_there_is_no_job(web: httpx.Client, source: str) -> None:
    answer = web.post(f"{API}/jobs", json={"kind": "add", "source": source})
    assert (answer.status_code, answer.json()["code"]) == (404, "source_unreachable")


def test_a_job_that_fails_says_so(web: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "notes.docx").write_bytes(b"no list of anything")
    job = web.post(f"{API}/jobs", json={"kind": "add", "source": str(tmp_path / "notes.docx")}).json()
    with web.stream("GET", f"{API}/jobs/{job['id']}/events") as stream:
        stream.read()
    ended = web.get(f"{API}/jobs/{job['id']}").json()
    assert (ended["state"], ended["error"]["code"]) == ("failed", "bad_request")


def test_metrics_count_requests_by_route_and_never_by_path(web: httpx.Client) -> None:
    web.get(f"{API}/pictures/1")
    web.get("/a-path-that-nobody-serves")
    text = web.get("/metrics").text
    assert 'sosie_requests_total{method="GET",route="/api/v1/pictures/{id}",status="200"}' in text
    assert "a-path-that-nobody-serves" not in text
    assert "sosie_queue_depth 0" in text


def test_unknown_paths_and_methods_are_problems(web: httpx.Client) -> None:
    assert web.get("/api/v1/nothing").json()["code"] == "not_found"
    refused = web.delete("/api/v1/search")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert refused.headers["allow"]


def test_a_model_that_is_swapped_in_elsewhere_answers_at_once(web: httpx.Client, library: Library) -> None:
    picture = library.read(3)
    with sosie.open(library.path) as elsewhere:
        elsewhere.models.use("histogram", force=True)
        by_colour = elsewhere.search(picture, k=5).to_json()["hits"]
        answer = web.post(f"{API}/search", files=upload(picture), data={"k": "5"}).json()
        elsewhere.models.use("bundled")
    found = [{name: value for name, value in hit.items() if name not in VIEW} for hit in answer["hits"]]
    assert found == by_colour
    again = web.post(f"{API}/search", files=upload(picture), data={"k": "5"}).json()["hits"]
    assert [hit["score"] for hit in again] != [hit["score"] for hit in by_colour]
    assert web.get(f"{API}/copies", params={"id": 3}).status_code == 200
