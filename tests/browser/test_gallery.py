"""The demo gallery walked in Chromium, with a text tower, a detector, a segmenter and an evaluation report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

import sosie
from sosie.cli import main
from sosie.library import Library
from sosie_gallery.gallery import Gallery, draw_gallery
from sosie_gallery.source import GallerySource
from tests.browser.audit import serious
from tests.detectors import write_network
from tests.networks import two_towers
from tests.serving import running

CLASSES = ["background", "person"]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return draw_gallery(tmp_path_factory.mktemp("demo") / "gallery", pictures=40, copies=4, scenes=4)


@pytest.fixture(scope="module")
def library(gallery: Gallery) -> Iterator[Library]:
    """The gallery in a library whose small networks see two bags in every picture, and a person on its left."""
    folder = gallery.folder.parent
    described = two_towers(folder / "model") / "wordy.json"
    (folder / "detector").mkdir()
    (folder / "segmenter").mkdir()
    boxes = np.array([(16, 32, 24, 40, 0.9), (46, 32, 24, 40, 0.7)], np.float32).T[None]
    left = np.zeros((1, 2, 64, 64), np.float32)
    left[0, 0, :, 32:] = left[0, 1, :, :32] = 8
    with sosie.open(folder / "library", model=str(described)) as made:
        made.extractor.use(
            detector=str(write_network(folder / "detector", {"output0": boxes}, like="yolov8", classes=["bag"])),
            segmenter=str(
                write_network(
                    folder / "segmenter",
                    {"logits": left},
                    task="segment",
                    layout="classes",
                    input={"name": "images"},
                    outputs=["logits"],
                    classes=CLASSES,
                )
            ),
        )
        made.add(GallerySource(gallery), regions=["objects"], workers=1)
        yield made


@pytest.fixture(scope="module")
def runs(library: Library) -> Path:
    folder = library.path.parent / "runs"
    run = str(folder / "by-subject")
    assert main(["evaluate", "labels", "-L", str(library.path), "--label", "subject", "--run", run]) == 0
    return folder


@pytest.fixture(scope="module")
def address(library: Library, runs: Path) -> Iterator[str]:
    with running(library, runs=runs) as made:
        yield made


def test_words_find_pictures_and_the_address_keeps_them(page: Page) -> None:
    page.goto("/")
    page.fill("#words", "red")
    page.click(".words button")
    page.wait_for_url(re.compile(r"\?text=red$"))
    expect(page.locator("#hits .card")).to_have_count(24)
    expect(page.locator("#words")).to_have_value("red")


def test_words_are_added_to_a_picture(page: Page) -> None:
    page.goto("/?id=1")
    page.wait_for_selector("#hits[data-copies]")
    page.fill("#words", "blue")
    page.press("#words", "Enter")
    page.wait_for_url(re.compile(r"id=1.*text=blue|text=blue.*id=1"))
    expect(page.locator(".canvas img")).to_be_visible()
    expect(page.locator("#hits .card").first).to_be_visible()


def test_an_object_is_chosen_by_its_chip_and_given_up_again(page: Page) -> None:
    page.goto("/?id=1")
    page.wait_for_selector("#hits[data-copies]")
    page.get_by_role("link", name=re.compile("bag")).first.click()
    page.wait_for_url(re.compile("object=1"))
    expect(page.locator(".parts .chip[aria-current]")).to_contain_text("bag")
    expect(page.locator("#hits .card .region").first).to_be_attached()
    page.click("text=Whole picture")
    page.wait_for_url(lambda url: "object=" not in url)
    expect(page.locator(".parts .chip[aria-current]")).to_have_count(0)


def test_a_mask_is_drawn_on_the_query(page: Page) -> None:
    page.goto("/?id=1")
    page.wait_for_selector("#hits[data-copies]")
    page.get_by_role("link", name="Without person").click()
    page.wait_for_url(re.compile("mask="))
    expect(page.locator(".canvas .masked")).to_be_attached()
    expect(page.locator("#hits .card").first).to_be_visible()


def test_the_gallery_is_filtered_by_its_labels(page: Page, gallery: Gallery) -> None:
    page.goto("/?id=1")
    page.wait_for_selector("#hits[data-copies]")
    page.locator(".facet .chip").first.click()
    page.wait_for_url(re.compile("f="))
    chosen = page.locator(".facet .chip[aria-current] span").first.inner_text()
    assert chosen in {value for item in gallery.items for value in item.labels.values()}


def test_the_map_is_coloured_by_subject(page: Page) -> None:
    page.goto("/map?label=subject")
    expect(page.locator("canvas[data-ready]")).to_be_visible()
    expect(page.locator(".legend li").first).to_be_visible()


def test_a_report_is_found_and_read(page: Page) -> None:
    page.goto("/")
    page.wait_for_load_state("networkidle")
    page.get_by_role("navigation").get_by_role("link", name="Reports").click()
    page.wait_for_url(re.compile("/reports$"))
    expect(page.locator("tbody tr")).to_contain_text(["mAP"])
    page.get_by_role("link", name="by-subject").click()
    expect(page.locator("h1")).to_have_text("Likeness by labels")
    page.click("#theme")  # its own script runs in the sandbox …
    expect(page.locator("html")).to_have_attribute("data-theme", re.compile("dark|light"))
    assert page.evaluate("origin") == "null"  # … which is of no origin
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(1)


@pytest.mark.parametrize(
    "context",
    [{"viewport": {"width": 1280, "height": 900}}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}],
    indirect=True,
    ids=["light desktop", "dark phone"],
)
def test_axe_finds_nothing_serious_on_what_the_gallery_shows(page: Page) -> None:
    screens = ["/", "/?id=1&object=1", "/?id=1&mask=person", "/?text=red", "/reports"]
    assert {screen: serious(page, screen) for screen in screens} == {screen: [] for screen in screens}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
