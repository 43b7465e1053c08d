"""Accessibility, weight and width of every screen."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

from tests.browser.audit import SERIOUS, serious

SCREENS = [
    "/",
    "/?id=1",
    "/browse",
    "/why?id=1&hit=2",
    "/picture/1",
    "/compare?a=1&b=2",
    "/duplicates",
    "/add",
    "/map",
    "/quarantine",
    "/reports",
    "/api",
    "/login",
]
LOOKS = [
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
]


@pytest.mark.parametrize("context", LOOKS, indirect=True, ids=["light desktop", "dark phone"])
def test_axe_finds_nothing_serious_on_any_screen(page: Page) -> None:
    assert {screen: serious(page, screen) for screen in SCREENS} == {screen: [] for screen in SCREENS}


def test_axe_does_find_what_is_wrong(page: Page) -> None:
    page.goto("/")
    page.evaluate("document.querySelector('.picks img').removeAttribute('alt')")
    impacts = {each["impact"] for each in Axe().run(page).response["violations"]}
    assert impacts & set(SERIOUS)


@pytest.mark.parametrize("context", [{"viewport": {"width": 390, "height": 844}, "has_touch": True}], indirect=True)
def test_nothing_is_wider_than_a_phone(page: Page) -> None:
    for screen in SCREENS:
        page.goto(screen)
        page.wait_for_load_state("networkidle")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{screen} is {width} wide"


def test_a_first_view_weighs_less_than_100_kilobytes_besides_thumbnails(context: BrowserContext) -> None:
    for screen in SCREENS:
        page = context.new_page()
        sizes: dict[str, int] = {}
        page.on(
            "response",
            lambda answer, sizes=sizes: (
                sizes.update({answer.url: len(answer.body())})
                if not answer.url.endswith(("/thumbnail", "/preview")) and "/api/v1/map" not in answer.url
                else None
            ),
        )
        page.goto(screen)
        page.wait_for_load_state("networkidle")
        page.close()
        assert sum(sizes.values()) < 100_000, (screen, sizes)
