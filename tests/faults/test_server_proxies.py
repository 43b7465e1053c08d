"""A server behind a proxy: who is believed, who is told apart, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import sosie
from sosie.errors import SettingsError
from sosie.library import Library
from sosie.server.config import ServerSettings
from sosie.server.keys import KeyStore, Scope
from tests.pictures import folder_of
from tests.serving import running

NAME, URL = "pictures.example.org", "https://pictures.example.org"
PROXIED = {"Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "Origin": URL}
ELSEWHERE = ("198.51.100.0/24",)  # a proxy that is not on this machine


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("proxied")
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(folder_of(folder / "pictures", 2), workers=1)
        yield made


@pytest.fixture
def token(library: Library) -> Iterator[str]:
    store = KeyStore(library.path / "keys.json")
    key, token = store.create("shop", Scope.ADMIN)
    yield token
    store.revoke(key.id)


def log_in(address: str, token: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{address}/login", data={"key": token}, headers=headers, timeout=60)


def test_without_a_key_nobody_is_let_in_by_a_public_name_or_through_a_proxy(tmp_path: Path) -> None:
    with (
        sosie.open(tmp_path / "library", model="histogram") as empty,
        running(empty, hosts=(NAME,), public_url="https://other.example.org") as address,
    ):

        def status(**headers: str) -> int:
            return httpx.get(f"{address}/api/v1/labels", headers=headers, timeout=60).status_code

        assert status() == 200
        assert (status(Host=NAME), status(Host="other.example.org")) == (401, 401)
        assert status(**{"X-Forwarded-For": "203.0.113.9"}) == 401


@pytest.mark.parametrize("settings", [{"hosts": (NAME,)}, {"public_url": URL}])
def test_a_browser_logs_in_through_https_and_its_cookie_is_secure(
    library: Library, token: str, settings: dict[str, object]
) -> None:
    with running(library, **settings) as address:
        answer = log_in(address, token, PROXIED)
    assert answer.status_code == 303 and "Secure" in answer.headers["set-cookie"]


def test_the_public_address_holds_where_the_proxy_does_not_tell_its_scheme(library: Library, token: str) -> None:
    with running(library, public_url=URL, trusted_proxies=ELSEWHERE) as address:
        answer = log_in(address, token, {"Host": NAME, "Origin": URL})
    assert answer.status_code == 303 and "Secure" in answer.headers["set-cookie"]


def test_a_proxy_that_is_not_trusted_is_not_believed(library: Library, token: str) -> None:
    with running(library, hosts=(NAME,), trusted_proxies=ELSEWHERE) as address:
        assert log_in(address, token, PROXIED).status_code == 403  # to us it came by http, from another origin


@pytest.mark.parametrize(("proxies", "served"), [((), 20), (ELSEWHERE, 5)])
def test_callers_behind_a_proxy_are_told_apart(library: Library, proxies: tuple[str, ...], served: int) -> None:
    with running(library, rate=0.1, burst=5, trusted_proxies=proxies) as address, httpx.Client() as client:
        codes = [
            client.get(f"{address}/healthz", headers={"X-Forwarded-For": f"203.0.113.{at}"}).status_code
            for at in range(20)
        ]
    assert codes.count(200) == served


def test_a_proxy_on_this_machine_may_leave_out_the_port(library: Library, token: str) -> None:
    page = {"Host": "localhost", "Origin": "http://localhost:6868"}
    with running(library) as address:
        assert log_in(address, token, page).status_code == 303
        assert log_in(address, token, {**page, "Sec-Fetch-Site": "same-site"}).status_code == 403
        assert log_in(address, token, {**page, "Origin": "http://localhost.evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "settings",
    [
        {"public_url": "pictures.example.org"},
        {"public_url": "https://a.example/b"},
        {"trusted_proxies": ("*",)},
        {"trusted_proxies": ("nginx",)},
        *[{"origins": (origin,)} for origin in ("shop.example", "https://shop.example/", "*", "https://*.example")],
        *[{"origins": (origin,)} for origin in ("HTTPS://shop.example", "ftp://shop.example", "null", "https://")],
    ],
)
def test_what_is_no_address_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        ServerSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("origin", ["https://shop.example", "http://localhost:3000", "https://[::1]:8443"])
def test_an_origin_is_taken_as_browsers_send_it(origin: str) -> None:
    assert ServerSettings(origins=(origin,)).origins == (origin,)
