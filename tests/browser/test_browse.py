"""All pictures on one wall, walked in Chromium: scrolling, keys, selection, one picture large."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from sosie.catalogue import AddContent
from sosie.library import Library
from sosie.testing.catalogues import row
from sosie.types import ImageRef
from tests.browser.audit import SERIOUS
from tests.pictures import jpeg
from tests.serving import running, small_library

MANY = 3000


@pytest.fixture(scope="module")
def library(sosie_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Some real pictures, and, older than these, very many of which the library has thumbnails alone."""
    folder = tmp_path_factory.mktemp("wall")
    with small_library(folder, sosie_shared, classes=3, each=4) as made:
        rows = [row(n) for n in range(MANY)]
        changes = [
            AddContent(each, ImageRef(f"file:///gone/{n:05d}.jpg", {}, 1, 2, 3), {}, added_at=1e9 + n)
            for n, each in enumerate(rows)
        ]
        made.catalogue.apply(changes, root="file:///gone/")
        picture = jpeg(1)
        for each in rows:
            place = folder / "library" / "thumbnails" / each.sha256.hex()[:2] / f"{each.sha256.hex()}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture)
        yield made


@pytest.fixture(scope="module")
def address(library: Library) -> Iterator[str]:
    with running(library) as made:
        yield made


def opened(page: Page, where: str = "/browse") -> None:
    page.goto(where, wait_until="domcontentloaded")
    expect(page.locator(".tile[aria-posinset]").first).to_be_visible()  # laid out by the script, which takes clicks


def test_the_wall_holds_what_is_in_sight_alone_and_leads_to_the_end(page: Page, library: Library) -> None:
    opened(page)
    ids = library.catalogue.ordered_ids("added", descending=True).tolist()
    total = len(ids)
    expect(page.locator(".found .facts")).to_have_text(f"{total:,} pictures")
    expect(page.locator(".tile[aria-posinset='1']")).to_have_attribute("data-id", str(ids[0]))
    page.focus(".wall")
    page.keyboard.press("End")
    expect(page.locator(f".tile[aria-posinset='{total}']")).to_have_attribute("data-id", str(ids[-1]))
    assert page.locator(".tile").count() < 300
    page.keyboard.press("Home")
    expect(page.locator(".tile[aria-posinset='1']")).to_have_attribute("data-id", str(ids[0]))


def test_thumbnails_are_asked_for_when_they_come_into_sight(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if each.url.endswith("/thumbnail") else None)
    opened(page)
    page.wait_for_load_state("networkidle")
    assert 0 < len(asked) < 300


def test_orders_and_filters_are_addresses(page: Page, library: Library) -> None:
    opened(page)
    page.get_by_role("link", name="Name").click()
    page.wait_for_url(re.compile("order=name"))
    first = library.catalogue.ordered_ids("name")[0]
    expect(page.locator(".tile[aria-posinset='1']")).to_have_attribute("data-id", str(first))
    page.locator(".facet .chip").first.click()
    page.wait_for_url(re.compile("f=label"))
    expect(page.locator(".found .facts")).to_have_text("4 pictures")
    page.fill("#since", "2001-01-01")
    page.fill("#until", "2001-12-31")
    page.click(".where button")
    expect(page.locator(".empty")).to_contain_text("Nothing fits these filters.")


def test_a_selection_is_made_and_used_by_the_keyboard_alone(page: Page, library: Library) -> None:
    opened(page)
    page.focus(".wall")
    for key in ("ArrowRight", "Space", "Shift+ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    expect(page.locator("[data-picked]")).to_have_text("3 selected")
    expect(page.locator(".tile[aria-selected='true']")).to_have_count(3)
    page.focus("[data-do=label]")
    page.keyboard.press("Enter")
    page.keyboard.type("mood")
    page.keyboard.press("Tab")
    page.keyboard.type("<i>calm</i>")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Label changed on 3 pictures")
    assert library.labels()["mood"] == {"<i>calm</i>": 3}
    expect(page.locator(".facet .chip", has_text="<i>calm</i>")).to_be_visible()


def test_everything_is_selected_and_let_go(page: Page, library: Library) -> None:
    opened(page)
    page.focus(".wall")
    page.keyboard.press("Control+a")
    expect(page.locator("[data-picked]")).to_have_text(f"{len(library.catalogue.live_ids()):,} selected")
    expect(page.locator("[data-do=compare]")).to_be_disabled()
    with page.expect_download() as download:
        page.click("[data-do=export]")
    assert len(Path(download.value.path()).read_text("utf-8").splitlines()) == len(library.catalogue.live_ids()) + 1
    page.focus(".wall")
    page.keyboard.press("Escape")
    expect(page.locator(".picked")).to_be_hidden()


def test_clicks_select_two_that_are_compared_or_searched_by(page: Page) -> None:
    opened(page)
    tiles = page.locator(".tile[data-id]")
    chosen = [tiles.nth(0).get_attribute("data-id"), tiles.nth(1).get_attribute("data-id")]
    tiles.nth(0).locator(".tick").click()
    tiles.nth(1).click()  # with something selected, a click selects
    expect(page.locator("[data-picked]")).to_have_text("2 selected")
    page.click("[data-do=search]")
    page.wait_for_url(re.compile(f"ids={chosen[0]}%2C{chosen[1]}|ids={chosen[0]},{chosen[1]}"))
    expect(page.locator(".several img")).to_have_count(2)
    expect(page.locator("#hits .card").first).to_be_visible()
    page.go_back()
    tiles.nth(0).click(modifiers=["Control"])
    tiles.nth(1).click(modifiers=["Shift"])
    page.click("[data-do=compare]")
    page.wait_for_url(re.compile(f"a={chosen[0]}&b={chosen[1]}"))


def test_pictures_are_removed_after_a_question(page: Page, library: Library) -> None:
    content_id, _ = library.add_bytes(jpeg(77))
    opened(page)
    page.locator(f".tile[data-id='{content_id}'] .tick").click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("[data-do=remove]")
    expect(page.locator("#said")).to_contain_text("1 picture removed")
    assert content_id not in library.catalogue.live_ids().tolist()


def test_one_picture_is_shown_large_with_what_is_known_of_it(page: Page, library: Library) -> None:
    ids = library.catalogue.ordered_ids("added", descending=True).tolist()
    opened(page)
    page.locator(".tile[data-id]").first.click()
    box = page.locator("#lightbox")
    expect(box.locator(".sheet").first).to_contain_text(library.picture(ids[0]).sha256)
    page.keyboard.press("ArrowRight")
    expect(box.locator(".sheet").first).to_contain_text(library.picture(ids[1]).sha256)
    page.keyboard.press("+")
    expect(box.locator(".stage img")).to_have_css("transform", re.compile(r"matrix\(1\.5"))
    page.keyboard.press("0")
    box.locator("#label-name").fill("seen")
    box.locator("#label-value").fill("yes")
    box.locator("[data-label] button").click()
    expect(box.locator(".chip.set")).to_contain_text(["seen yes"])
    near = box.locator(".grid .card").first
    other = near.get_attribute("data-id")
    near.locator(".shot").click()
    expect(box).to_have_attribute("data-id", str(other))
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    expect(page.locator(".wall")).to_be_focused()


def test_pages_lead_on_without_scripts(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/browse", wait_until="domcontentloaded")
    expect(page.locator(".tile")).to_have_count(60)
    first = page.locator(".tile").first.get_attribute("data-id")
    page.locator("[rel=next]").click()
    expect(page.locator(".tile").first).not_to_have_attribute("data-id", str(first))
    page.locator(".tile").first.click()
    expect(page.locator(".sheet")).to_be_visible()
    context.close()


@pytest.mark.parametrize(
    "context",
    [{"viewport": {"width": 1280, "height": 900}}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}],
    indirect=True,
    ids=["light desktop", "dark phone"],
)
def test_axe_finds_nothing_serious_on_a_selection_and_a_large_picture(page: Page) -> None:
    opened(page)
    page.locator(".tile .tick").first.click()
    expect(page.locator(".picked")).to_be_visible()
    found = _serious(page)
    page.focus(".wall")
    page.keyboard.press("Enter")
    expect(page.locator("#lightbox h1")).to_be_visible()
    assert found + _serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def _serious(page: Page) -> list[object]:
    violations = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["target"]) for one in violations if one["impact"] in SERIOUS]
