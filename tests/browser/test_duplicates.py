"""The review of duplicates, walked in Chromium with keys and mouse over real files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

import sosie
from sosie.library import Library
from sosie.server.keys import Scope, keys_of
from tests.browser.audit import serious
from tests.pictures import jpeg, png_of
from tests.serving import running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return pictures of which one lies there twice, one was saved anew, and one is alone."""
    made = tmp_path / "pictures"
    for sub in ("a", "b"):
        (made / sub).mkdir(parents=True)
    for name, seed in (("twice", 1), ("lossless", 2), ("lonely", 4)):
        (made / "a" / f"{name}.png").write_bytes(png_of(jpeg(seed, width=320, height=240)))
    shutil.copyfile(made / "a" / "twice.png", made / "b" / "twice.png")
    Image.open(made / "a" / "lossless.png").save(made / "b" / "lossless.bmp")
    return made


@pytest.fixture
def library(folder: Path, tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library") as made:
        made.add(folder, workers=1)
        yield made


@pytest.fixture
def address(library: Library) -> Iterator[str]:
    with running(library) as made:
        yield made


def looked(page: Page) -> Locator:
    """Look for duplicates, and return the groups."""
    page.goto("/duplicates")
    page.wait_for_load_state("networkidle")
    page.click("[data-look]")
    groups = page.locator(".group")
    expect(groups).to_have_count(2, timeout=120_000)
    return groups


def group_of(groups: Locator, name: str) -> Locator:
    return groups.filter(has_text=name)


def test_a_group_of_equal_files_alone_is_shown_with_what_differs(page: Page) -> None:
    group = group_of(looked(page), "twice.png")
    expect(group.locator(".file-card")).to_have_count(2)
    expect(group).to_contain_text("Same bytes")
    expect(group.locator(".file-card").first).to_contain_text("equal files: the one that was found first")
    expect(group.locator("dd.differs").last).to_contain_text("pictures/b")
    expect(group.locator("[data-toggle]").nth(1)).to_have_attribute("aria-pressed", "true")


def test_undo_takes_back_the_last_deed_wherever_one_has_gone(page: Page, library: Library) -> None:
    groups = looked(page)
    page.keyboard.press("j")
    for key in ("a", "b"):  # the first gives up its copy, the second keeps all
        page.keyboard.press(key)
        expect(groups.locator("[data-state]:not([hidden])")).to_have_count(1 if key == "a" else 2)
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("u")
    expect(groups.nth(0)).to_have_attribute("data-state", "accepted")
    expect(groups.nth(1)).to_have_attribute("data-state", "")
    assert library.catalogue.decisions() == []
    page.keyboard.press("u")
    expect(groups.nth(0)).to_have_attribute("data-state", "")


def test_one_deed_on_all_groups_is_undone_as_one_and_outlives_a_reload(page: Page) -> None:
    groups = looked(page)
    page.click("[data-all=accept]")
    expect(page.locator("[data-tally]")).to_contain_text("2 of 2 groups reviewed; 2 files given up")
    page.reload()
    expect(groups.nth(1)).to_have_attribute("data-state", "accepted")
    page.wait_for_load_state("networkidle")
    page.locator(".group").first.locator("[data-do=keep]").click()
    expect(groups.nth(0)).to_have_attribute("data-state", "keep_both")


def test_a_group_keeps_one_file(page: Page) -> None:
    group = group_of(looked(page), "twice.png")
    group.locator("[data-toggle]").first.click()
    expect(page.locator("#said")).to_contain_text("One file of each group stays")
    expect(group.locator("[data-toggle]").first).to_have_attribute("aria-pressed", "false")


def test_the_plan_is_downloaded_applied_and_undone(page: Page, folder: Path, tmp_path: Path) -> None:
    looked(page)
    page.click("[data-all=accept]")
    page.select_option("#action", "move")
    with page.expect_download() as download:
        page.click("[data-plan=download]")
    lines = json.loads(download.value.path().read_text())
    assert {line["uri"].rsplit("/", 2)[1] for line in lines} <= {"a", "b"}
    assert len(lines) == 2
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    page.fill("#folder", str(tmp_path / "moved"))
    page.click("[data-plan=apply]")
    expect(page.locator("#sure [data-what]")).to_contain_text("2 files")
    assert not (tmp_path / "moved").exists()
    page.click("#sure [data-yes]")
    expect(page.locator(".group")).to_have_count(0, timeout=30_000)
    assert len(list((tmp_path / "moved").iterdir())) == 2
    expect(page.locator("[data-plan=undo]")).to_be_visible()
    page.click("[data-plan=undo]")
    expect(page.locator(".group")).to_have_count(2, timeout=30_000)
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before


def test_only_an_admin_is_offered_to_carry_a_plan_out(page: Page, library: Library, address: str) -> None:
    page.allowed = ("401",)  # type: ignore[attr-defined]  # of requests between the making of the key and the login
    looked(page)
    keys = keys_of(library)
    _, secret = keys.create("writer", Scope.WRITE)
    page.goto("/login?next=/duplicates")
    page.fill("#key", secret)
    page.click("main button")
    page.wait_for_url("**/duplicates")
    expect(page.locator("[data-plan=download]")).to_be_visible()
    expect(page.locator("[data-plan=apply]")).to_have_count(0)
    refused = page.request.post(f"{address}/api/v1/jobs", data={"kind": "undo"})
    assert refused.status == 403


def test_axe_finds_nothing_on_a_review(page: Page) -> None:
    looked(page)
    assert serious(page, "/duplicates") == []
