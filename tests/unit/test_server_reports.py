"""Evaluation reports on the page: listed, shown in a sandbox, and nothing but them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import sosie
from sosie.cli import main
from sosie.library import Library
from sosie.server.config import Guard
from tests.networks import coloured_folder
from tests.serving import running

ALL = frozenset(Guard)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("reported")
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(coloured_folder(folder / "pictures"), label_from_folders=True, workers=1)
        yield made


@pytest.fixture(scope="module")
def runs(library: Library) -> Path:
    folder = library.path.parent / "runs"
    for name in ("first", "together/labels"):
        assert main(["evaluate", "labels", "-L", str(library.path), "--run", str(folder / name)]) == 0
    (folder / "half").mkdir()
    (folder / "half" / "report.html").write_text("no run at all")
    (folder / "<b>").mkdir()
    for name in ("config.json", "score.json", "report.html"):
        (folder / "<b>" / name).write_bytes((folder / "first" / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def web(library: Library, runs: Path) -> Iterator[httpx.Client]:
    with running(library, runs=runs) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def test_runs_are_listed_with_their_figures_and_lead_to_their_report(web: httpx.Client, runs: Path) -> None:
    page = web.get("/reports").text
    for name in ("first", "together/labels"):
        assert f'href="/reports/{name}"' in page
        assert web.get(f"/reports/{name}").text == (runs / name / "report.html").read_text()
    assert "recall@1" in page
    assert "half" not in page
    assert "Likeness by labels" in page
    assert "Ressemblance selon les étiquettes" in web.get("/reports", headers={"Accept-Language": "fr"}).text


def test_a_hostile_name_stays_text(web: httpx.Client) -> None:
    page = web.get("/reports").text
    assert '<a href="/reports/%3Cb%3E">&lt;b&gt;</a>' in page
    assert web.get("/reports/%3Cb%3E").status_code == 200


def test_a_report_is_of_no_origin_and_runs_no_script_but_its_own(web: httpx.Client) -> None:
    rules = web.get("/reports/first").headers["content-security-policy"].split("; ")
    assert rules[0] == "sandbox allow-scripts"
    assert "default-src 'none'" in rules
    [scripts] = [rule for rule in rules if rule.startswith("script-src")]
    assert scripts.startswith("script-src 'sha256-")
    assert "frame-ancestors 'none'" in rules


@pytest.mark.parametrize(("guards", "status"), [(ALL, 404), (ALL - {Guard.REPORTS}, 200)])
def test_nothing_outside_the_folder_is_shown(
    library: Library, tmp_path: Path, guards: frozenset[Guard], status: int
) -> None:
    runs, beside = tmp_path / "runs", tmp_path / "beside"
    for folder in (runs, beside):
        folder.mkdir()
    for folder in (tmp_path, beside):
        (folder / "report.html").write_text("secret")
    os.symlink(beside, runs / "linked")
    with running(library, runs=runs, guards=guards) as address, httpx.Client(base_url=address, timeout=60) as web:
        for name in ("%2e%2e", "%2e%2e/beside", "%2e%2e%2fbeside", str(beside).replace("/", "%2f"), "linked"):
            assert web.get(f"/reports/{name}").status_code == status, name


@pytest.mark.parametrize("name", ["no-such-run", "%00", "a" * 400, "a" * 900, "half%ff", "%5c..", "first/report.html"])
def test_a_report_that_is_not_there_is_not_found(web: httpx.Client, name: str) -> None:
    assert web.get(f"/reports/{name}").status_code in (404, 422)


def test_without_reports_the_page_says_how_to_make_one(library: Library, tmp_path: Path) -> None:
    for settings in ({}, {"runs": tmp_path / "none"}):
        with running(library, **settings) as address:
            page = httpx.get(f"{address}/reports", timeout=60)
            assert page.status_code == 200
            assert "<code>sosie evaluate labels</code>" in page.text
            assert httpx.get(f"{address}/reports/first", timeout=60).status_code == 404
