"""What programs expect of HTTP: HEAD, entity tags, ranges, gzip, and a picture in any form."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import sosie
from sosie.library import Library
from sosie.server.app import create_app
from sosie.server.compression import takes_gzip
from sosie.server.keys import KeyStore, Scope
from sosie.server.ranges import Unsatisfiable, byte_range
from tests.pictures import folder_of, jpeg
from tests.serving import running

API = "/api/v1"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("http")
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(folder_of(folder / "pictures", 12), workers=1)
        yield made


@pytest.fixture(scope="module")
def web(library: Library) -> Iterator[httpx.Client]:
    with running(library) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


# ------------------------------------------------------------------------------------------- HEAD and OPTIONS


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/static/app.js",
        "/healthz",
        "/metrics",
        f"{API}/search?id=1",
        f"{API}/pictures/1",
        f"{API}/pictures/1/thumbnail",
        f"{API}/pictures/1/original",
        f"{API}/openapi.json",
        f"{API}/pictures/999",
    ],
)
def test_head_gives_the_headers_of_get_and_no_body(web: httpx.Client, path: str) -> None:
    got, head = web.get(path, headers={"Accept-Encoding": "identity"}), web.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    if path not in ("/metrics", f"{API}/search?id=1"):  # whose length is another each time
        plain = web.head(path, headers={"Accept-Encoding": "identity"})
        assert plain.headers["content-length"] == str(len(got.content))


def test_head_of_a_stream_of_events_ends(web: httpx.Client) -> None:
    job = web.post(f"{API}/jobs", json={"kind": "duplicates"}).json()["id"]
    answer = web.head(f"{API}/jobs/{job}/events")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")


def test_head_is_counted_by_its_route(web: httpx.Client) -> None:
    web.head(f"{API}/pictures/1")
    counted = web.get("/metrics").text
    assert 'sosie_requests_total{method="HEAD",route="/api/v1/pictures/{id}",status="200"}' in counted


def test_the_route_is_counted_behind_a_public_name(library: Library) -> None:
    with running(library, public_url="https://pictures.example") as address:
        httpx.get(f"{address}/healthz", headers={"Host": "pictures.example"})
        assert 'route="/healthz"' in httpx.get(f"{address}/metrics").text


def test_options_and_a_wrong_method_say_what_is_allowed(web: httpx.Client) -> None:
    allowed = web.options(f"{API}/pictures")
    assert (allowed.status_code, allowed.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    wrong = web.delete(f"{API}/search")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert "GET, HEAD" in wrong.json()["detail"]


def test_what_is_not_there_is_told_in_a_sentence(web: httpx.Client) -> None:
    assert (
        web.get(f"{API}/serach").json()["detail"] == "there is nothing at /api/v1/serach; did you mean /api/v1/search?"
    )
    assert "/api lists" in web.get("/zzz", headers={"Accept": "application/json"}).json()["detail"]


def test_a_date_says_when_it_was_answered(web: httpx.Client) -> None:
    assert web.get("/healthz").headers["date"].endswith("GMT")


# ------------------------------------------------------------------------------------------- entity tags


@pytest.mark.parametrize("path", ["pictures/1", "pictures/1/thumbnail", "pictures/1/preview", "pictures/1/original"])
def test_who_has_it_is_told_so(web: httpx.Client, path: str) -> None:
    first = web.get(f"{API}/{path}")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag.removeprefix('W/')}", f'"other", {tag}', "*"):
        again = web.get(f"{API}/{path}", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert web.get(f"{API}/{path}", headers={"If-None-Match": '"other"'}).content == first.content


def test_a_record_that_changed_has_another_tag(web: httpx.Client) -> None:
    tag = web.get(f"{API}/pictures/2").headers["etag"]
    web.put(f"{API}/pictures/2/labels", json={"labels": {"mood": "calm"}})
    assert web.get(f"{API}/pictures/2", headers={"If-None-Match": tag}).status_code == 200


# ------------------------------------------------------------------------------------------- ranges


@pytest.mark.parametrize(
    ("asked", "cut"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=5-", slice(5, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=3-3", slice(3, 4)),
    ],
)
def test_a_part_of_an_original_is_sent(web: httpx.Client, library: Library, asked: str, cut: slice) -> None:
    data = library.read(1)
    answer = web.get(f"{API}/pictures/1/original", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, data[cut])
    start = cut.indices(len(data))[0]
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(answer.content) - 1}/{len(data)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "items=0-1", "bytes=9-2", "bytes=-", "bytes", "bytes=a-b"])
def test_what_is_no_single_range_gets_the_whole(web: httpx.Client, library: Library, asked: str) -> None:
    answer = web.get(f"{API}/pictures/1/original", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, library.read(1))


@pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=999999999-999999999999", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(web: httpx.Client, library: Library, asked: str) -> None:
    answer = web.get(f"{API}/pictures/1/original", headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(library.read(1))}"


def test_a_part_of_another_version_is_the_whole_of_this_one(web: httpx.Client, library: Library) -> None:
    part = {"Range": "bytes=0-1"}
    tag = web.head(f"{API}/pictures/1/original").headers["etag"]
    assert web.get(f"{API}/pictures/1/original", headers={**part, "If-Range": tag}).status_code == 206
    assert web.get(f"{API}/pictures/1/original", headers={**part, "If-Range": '"old"'}).content == library.read(1)


@given(st.text(max_size=40), st.integers(0, 10_000))
def test_a_range_lies_inside_the_file(header: str, size: int) -> None:
    for asked in (header, f"bytes={header}"):
        try:
            found = byte_range(asked, size)
        except Unsatisfiable:
            continue
        assert found is None or 0 <= found[0] <= found[1] < size


# ------------------------------------------------------------------------------------------- gzip


def test_json_is_compressed_for_those_who_take_it(web: httpx.Client) -> None:
    request = web.build_request("GET", f"{API}/pictures", headers={"Accept-Encoding": "gzip"})
    answer = web.send(request, stream=True)
    raw = b"".join(answer.iter_raw())
    plain = web.get(f"{API}/pictures", headers={"Accept-Encoding": "identity"})
    assert (answer.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert gzip.decompress(raw) == plain.content
    assert len(raw) == int(answer.headers["content-length"]) < len(plain.content) / 2
    assert "Accept-Encoding" in answer.headers["vary"] and "Accept-Encoding" in plain.headers["vary"]


@pytest.mark.parametrize("path", [f"{API}/pictures/1/thumbnail", f"{API}/pictures/1/original", "/"])
def test_pictures_and_pages_are_not_compressed(web: httpx.Client, path: str) -> None:
    assert "content-encoding" not in web.get(path, headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        *[(accepted, True) for accepted in ("gzip", "br, gzip;q=0.5", "*", "GZIP")],
        *[(refused, False) for refused in ("gzip;q=0", "*;q=0", "", "identity", "gzip;q=", "gzip;q=0, *", ";,;=")],
    ],
)
def test_gzip_is_sent_where_it_is_accepted(accepted: str, taken: bool) -> None:
    assert takes_gzip(accepted) is taken


# ------------------------------------------------------------------------------------------- a picture in any form


def asked(data: bytes, form: str) -> dict[str, Any]:
    """Return the arguments of a request that sends a picture in one of the forms."""
    text = base64.b64encode(data).decode()
    return {
        "form": {"files": {"picture": ("a.jpg", data)}, "data": {"k": 3}},
        "raw": {"content": data, "headers": {"Content-Type": "image/jpeg"}, "params": {"k": 3}},
        "untyped": {"content": data, "params": {"k": 3}},
        "base64": {"json": {"base64": text, "k": 3}},
        "data address": {"json": {"base64": f"data:image/jpeg;base64,{text}"}, "params": {"k": 3}},
    }[form]


FORMS = ["form", "raw", "untyped", "base64", "data address"]


@pytest.mark.parametrize("form", FORMS)
def test_a_search_takes_a_picture_in_any_form(web: httpx.Client, library: Library, form: str) -> None:
    answer = web.post(f"{API}/search", **asked(library.read(3), form))
    found = answer.json()["hits"]
    assert (answer.status_code, len(found), found[0]["id"], found[0]["verdict"]) == (200, 3, 3, "identical")


@pytest.mark.parametrize("form", FORMS)
def test_a_question_for_copies_takes_a_picture_in_any_form(web: httpx.Client, library: Library, form: str) -> None:
    assert web.post(f"{API}/copies", **asked(library.read(4), form)).json()["hits"][0]["id"] == 4


@pytest.mark.parametrize("subject", ["id", "query"])
def test_a_search_takes_what_is_there_already(web: httpx.Client, library: Library, subject: str) -> None:
    kept = web.post(f"{API}/queries", content=library.read(5)).json()["query"]
    body = {"id": 5} if subject == "id" else {"query": kept}
    by_address = web.get(f"{API}/search", params={**body, "k": 4}).json()["hits"]
    assert web.post(f"{API}/search", json={**body, "k": 4}).json()["hits"] == by_address


def test_a_picture_is_added_as_json_with_its_labels(web: httpx.Client) -> None:
    labels = {"mood": ["calm", "grey"], "year": 1906}
    added = web.post(f"{API}/pictures", json={"base64": base64.b64encode(jpeg(500)).decode(), "labels": labels})
    assert added.status_code == 201
    assert web.get(f"{API}/pictures/{added.json()['id']}").json()["labels"] == labels


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"content": b"a=b", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 415, None),
        ({"content": b"a", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"json": {"url": "https://a.example/a.jpg", "id": 3}}, 400, "bad_request"),
        ({"json": {}}, 400, "bad_request"),
        ({"json": {"base64": "not base64!"}}, 422, "bad_picture"),
        ({"json": {"base64": "data:;base64,"}}, 422, "bad_picture"),
        ({"json": {"id": "3"}}, 422, "invalid_request"),
        ({"json": {"id": 3, "k": "3"}}, 422, "invalid_request"),
        ({"json": {"id": 3, "kk": 3}}, 422, "invalid_request"),
        ({"json": {"id": 3, "k": 3}, "params": {"k": 4}}, 422, "repeated_parameter"),
        ({"json": [1]}, 422, "invalid_request"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, "invalid_request"),
        ({"content": b"[" * 9000, "headers": {"Content-Type": "application/json"}}, 422, "invalid_request"),
        ({"content": b"", "headers": {"Content-Type": "image/png"}}, 422, "bad_picture"),
        ({"data": {"k": "3"}, "files": {"picture": (None, b"text")}}, 422, "invalid_request"),
        ({"data": {"kk": "3"}, "files": {"picture": b"text"}}, 422, "unknown_parameter"),
    ],
)
def test_a_body_that_cannot_be_taken_says_what_to_send(
    web: httpx.Client, sent: dict[str, Any], status: int, code: str | None
) -> None:
    answer = web.post(f"{API}/search", **sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code or answer.json()["code"]), answer.text
    assert answer.json()["detail"] != "Field required"


def test_an_operation_that_takes_json_says_so(web: httpx.Client) -> None:
    answer = web.post(f"{API}/jobs", content=b"kind=retry", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.headers["accept"]) == (415, "application/json")


def test_an_address_that_leads_nowhere_is_no_bad_picture(web: httpx.Client) -> None:
    for path in ("fetch", "search"):
        answer = web.post(f"{API}/{path}", json={"url": "http://127.0.0.1/a.jpg"}).json()
        assert (answer["code"], answer["reason"]) == ("bad_address", "private_address")


def test_without_addresses_none_is_fetched(library: Library) -> None:
    with running(library, urls=False) as address:
        answer = httpx.post(f"{address}{API}/search", json={"url": "https://example.org/a.jpg"}).json()
    assert answer["code"] == "urls_forbidden"


# ------------------------------------------------------------------------------------------- places of the server


SHOWN = (f"{API}/search?id=1", f"{API}/pictures", f"{API}/pictures/2", f"{API}/log", "/picture/2", "/log.csv")


@pytest.mark.parametrize("scope", Scope)
def test_who_may_only_look_is_told_no_place_of_the_server(tmp_path: Path, scope: Scope) -> None:
    with sosie.open(tmp_path / "library", model="histogram") as library:
        library.add(folder_of(tmp_path / "pictures", 4), workers=1)
        library.remove([4])
        key = KeyStore(library.path / "keys.json").create("one", scope)[1]
        with running(library) as address, httpx.Client(base_url=address, timeout=60) as client:
            client.post("/login", data={"key": key})
            answers = [client.get(path) for path in SHOWN]
            answers.append(client.post(f"{API}/bulk/csv", json={"ids": [1]}))
    assert [each.status_code for each in answers] == [200] * len(answers)
    assert [str(tmp_path) in each.text for each in answers] == [scope is not Scope.READ] * len(answers)
    assert "00000.jpg" in answers[1].text


# ------------------------------------------------------------------------------------------- the document


def test_examples_fit_their_schemas_and_every_operation_is_whole(library: Library) -> None:
    document = json.loads(json.dumps(create_app(library).openapi()))
    assert document["servers"] == [{"url": "/"}]
    for name, schema in document["components"]["schemas"].items():
        if "example" in schema:
            whole = {**schema, "components": document["components"]}
            assert not [error.message for error in Draft202012Validator(whole).iter_errors(schema["example"])], name
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert (("security" in operation) and "405" in operation["responses"]) or path in ("/healthz", "/livez")
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    assert "schema" in content, path
