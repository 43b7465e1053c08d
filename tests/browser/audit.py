"""What axe finds on a screen."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SERIOUS = ("serious", "critical")


def serious(page: Page, screen: str) -> list[tuple[str, list[Any]]]:
    """Open a screen; return the rules that it breaks seriously, each with some of the places."""
    page.goto(screen)
    page.wait_for_load_state("networkidle")
    violations = Axe().run(page).response["violations"]
    return [
        (each["id"], [node["target"] for node in each["nodes"][:3]]) for each in violations if each["impact"] in SERIOUS
    ]
