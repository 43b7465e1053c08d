"""A real browser on a real server over real pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from sosie.library import Library
from tests.serving import running, small_library

# Quiet: a test never asks any host but its own server.
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


expect.set_options(timeout=20_000)  # a busy machine is slow, not wrong


def chromium() -> str:
    """Return the installed Chromium; its absence fails in CI and leaves the test out elsewhere."""
    found = os.environ.get("SOSIE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        message = "no chromium here: apt-get install chromium, or set SOSIE_CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="package")  # its event loop must be gone when other tests start theirs
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def library(sosie_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("browser")
    with small_library(folder, sosie_shared, classes=5, each=5) as made:
        copies = folder / "copies"
        copies.mkdir()
        _edit(sorted((folder / "pictures").rglob("*.jpg"))[0], copies / "edited.jpg")
        (copies / "broken.jpg").write_bytes(b"not a picture")
        made.add(copies, workers=1)
        made.copies.prepare(workers=1)
        yield made


@pytest.fixture(scope="module")
def address(library: Library) -> Iterator[str]:
    with running(library) as made:
        yield made


@pytest.fixture
def context(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    options: dict[str, Any] = getattr(request, "param", {})
    made = browser.new_context(base_url=address, locale="en-GB", **options)
    made.set_default_timeout(30_000)
    made.grant_permissions(["camera", "clipboard-read", "clipboard-write"], origin=address)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    """A page on which any script error, console error, refused resource or foreign request fails the test."""
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    opened.on("console", lambda line: wrong.append(f"console: {line.text}") if line.type == "error" else None)
    opened.on(
        "request",
        lambda asked: None if asked.url.startswith((address, "blob:", "data:")) else wrong.append(f"asked {asked.url}"),
    )
    yield opened
    allowed = getattr(opened, "allowed", ())
    assert [line for line in wrong if not any(part in line for part in allowed)] == []


def _edit(source: Path, target: Path) -> None:
    """Make an altered copy: cropped, brighter, smaller."""
    from PIL import Image, ImageEnhance

    image = Image.open(source).convert("RGB")
    width, height = image.size
    cut = image.crop((width // 12, height // 12, width - width // 12, height - height // 12))
    ImageEnhance.Brightness(cut).enhance(1.15).resize((cut.width * 4 // 5, cut.height * 4 // 5)).save(
        target, quality=80
    )
