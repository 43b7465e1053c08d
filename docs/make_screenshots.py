"""Draw the pictures of the page in docs/images.

    sosie demo && export SOSIE_LIBRARY=sosie-demo/library
    sosie copies sosie-demo/gallery/copies > copies.txt && sosie evaluate labels --label subject && sosie serve &
    python docs/make_screenshots.py --copy 288 --of 69      # once "Look for duplicates" was pressed and is done

Needs Chromium, and a library that holds the demo gallery: its pictures are the project's own.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parent / "images"
FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}


def draw(browser: Browser, url: str, name: str, *, dark: bool = False, phone: bool = False, wait: str = "main") -> None:
    """Open a page, wait for a part of it, save what is seen."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light",
        viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
        has_touch=phone,
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(wait, timeout=90_000)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)
    page.screenshot(path=IMAGES / f"page-{name}.jpg", type="jpeg", quality=82)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="http://localhost:6868")
    parser.add_argument("--duplicates", default=None, help="another address, where duplicates were looked for")
    parser.add_argument("--copy", type=int, required=True, help="the id of an altered copy")
    parser.add_argument("--of", type=int, required=True, help="the id of its original")
    given = parser.parse_args()
    base, copy = given.address, given.copy
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        draw(browser, f"{base}/", "home")
        draw(browser, f"{base}/?id={copy}", "search", wait="#hits[data-copies]")
        draw(browser, f"{base}/?id={copy}", "search-dark", dark=True, wait="#hits[data-copies]")
        draw(browser, f"{base}/compare?a={copy}&b={given.of}", "compare", wait="[data-verdict]")
        draw(browser, f"{base}/map?label=subject", "map", dark=True, wait="canvas[data-ready]")
        draw(browser, f"{base}/picture/{given.of}", "picture")
        draw(browser, f"{base}/add", "add")
        draw(browser, f"{base}/reports", "reports", wait="tbody tr")
        draw(browser, f"{base}/?id={copy}", "phone", dark=True, phone=True, wait="#hits[data-copies]")
        draw(browser, f"{base}/", "phone-home", phone=True)
        draw(browser, f"{given.duplicates or base}/duplicates", "duplicates", wait=".group")
        browser.close()


if __name__ == "__main__":
    main()
