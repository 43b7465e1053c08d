"""Each screen and flow of the page, walked in Chromium."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from sosie.library import Library
from sosie.server.sections import SECTIONS
from tests.pictures import jpeg

TOKEN = re.compile(r"\?query=[0-9a-f]{64}$")


def a_file(library: Library, content_id: int = 3) -> dict[str, object]:
    return {"name": "asked.jpg", "mimeType": "image/jpeg", "buffer": library.read(content_id)}


def ready(page: Page) -> None:
    """Wait until the copies have come: what is on the page then stays."""
    page.wait_for_selector("#hits[data-copies]")


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that the page only shows it has asked for."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------- asking


def test_choosing_a_file_shows_what_looks_like_it(page: Page, library: Library) -> None:
    page.goto("/")
    page.set_input_files("input[data-query]", a_file(library))
    page.wait_for_url(TOKEN)
    ready(page)
    first = page.locator("#hits .card").first
    expect(first.locator(".badge").first).to_have_text("Identical")
    expect(page.locator("#hits .card")).to_have_count(24)


DROP = """async ([data, type]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
  const common = { bubbles: true, cancelable: true };
  const event = type === "paste" ? new ClipboardEvent("paste", { ...common, clipboardData: transfer })
    : new DragEvent("drop", { ...common, dataTransfer: transfer });
  document.querySelector("main").dispatchEvent(event);
}"""


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_picture_can_be_dropped_or_pasted(page: Page, library: Library, how: str) -> None:
    import base64

    page.goto("/")
    page.wait_for_load_state("networkidle")
    page.evaluate(DROP, [base64.b64encode(library.read(5)).decode(), how])
    page.wait_for_url(TOKEN)
    expect(page.locator("#hits .badge").first).to_have_text("Identical")


def test_the_camera_takes_a_picture(page: Page) -> None:
    page.goto("/")
    page.wait_for_load_state("networkidle")
    page.click("[data-camera]")
    expect(page.locator("#camera video")).to_have_js_property("readyState", 4)
    page.click("#camera [data-take]")
    page.wait_for_url(TOKEN)
    expect(page.locator("#hits .card").first).to_be_visible()


def test_a_private_address_is_not_fetched(page: Page, address: str) -> None:
    page.allowed = ("422",)  # type: ignore[attr-defined]
    page.goto("/")
    page.wait_for_load_state("networkidle")
    page.fill("#url", f"{address}/static/icon.svg")
    page.click("[data-url] button")
    expect(page.locator("#said")).to_contain_text("private network")


def test_a_file_that_is_no_picture_is_explained(page: Page) -> None:
    page.allowed = ("422",)  # type: ignore[attr-defined]
    page.goto("/")
    page.set_input_files("input[data-query]", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"text"})
    expect(page.locator("#said")).to_contain_text("it is not a picture. Try another file")


def test_a_picture_of_the_library_starts_a_search(page: Page) -> None:
    page.goto("/")
    page.locator(".picks .shot").first.click()
    page.wait_for_url(re.compile(r"\?id=\d+$"))
    expect(page.locator("#hits .card")).to_have_count(24)


# ------------------------------------------------------------------------------------------- results


def test_a_box_is_drawn_with_the_mouse(page: Page) -> None:
    page.goto("/?id=2")
    ready(page)
    frame = page.locator(".canvas").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 0.2 * frame["width"], frame["y"] + 0.2 * frame["height"])
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.8 * frame["width"], frame["y"] + 0.7 * frame["height"], steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("box="))
    expect(page.locator("#hits .card").first).to_be_visible()
    page.click("text=Whole picture")
    page.wait_for_url(lambda url: "box=" not in url)


def test_a_box_is_drawn_with_the_keyboard(page: Page) -> None:
    page.goto("/?id=2")
    ready(page)
    page.focus(".canvas")
    for key in ("Enter", "ArrowRight", "Shift+ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url(re.compile(r"box=0\.28%2C0\.25%2C0\.5%2C0\.53"))


def test_filters_narrow_and_the_back_button_widens(page: Page, library: Library) -> None:
    page.goto("/?id=1")
    ready(page)
    page.locator(".facet .chip").first.click()
    page.wait_for_url(re.compile("f=label"))
    chosen = page.locator(".facet .chip[aria-current]")
    expect(chosen).to_have_count(1)
    value = chosen.locator("span").first.inner_text()
    alike = [record.id for record in library.pictures(where=f"label = '{value}'")]
    expect(page.locator("#hits .card")).to_have_count(len(alike) - (1 in alike))
    page.go_back()
    page.wait_for_url(re.compile(r"\?id=1$"))
    expect(page.locator(".facet .chip[aria-current]")).to_have_count(0)


def test_a_filter_that_does_not_parse_is_explained(page: Page) -> None:
    page.allowed = ("400",)  # type: ignore[attr-defined]
    page.goto("/?id=1")
    ready(page)
    page.fill("#where", "label = ")
    page.click(".where button")
    expect(page.locator("main")).to_contain_text("The filter cannot be understood.")
    page.fill("#where", "nolabel = 'x'")
    page.click("text=Correct the filter")
    expect(page.locator(".empty")).to_contain_text("No picture has the label “nolabel”. Labels here: label, tag.")


def test_more_results_come_without_losing_the_first(page: Page, library: Library) -> None:
    page.goto("/?id=1")
    ready(page)
    before = page.locator("#hits .card").count()
    page.click("[data-more]")
    expect(page.locator("[data-more]")).to_have_count(0)
    shown = [int(each.get_attribute("data-id") or 0) for each in page.locator("#hits .card").all()]
    assert len(shown) > before
    assert sorted(set(shown)) == [record.id for record in library.pictures() if record.id != 1]


def test_a_copy_comes_first_with_its_proof(page: Page, library: Library) -> None:
    copy = next(record.id for record in library.pictures() if "edited" in record.uris[0])
    page.goto(f"/?id={copy}")
    ready(page)
    first = page.locator("#hits .card").first
    expect(first.locator(".badge").first).to_have_text(re.compile("Altered copy|Contains it"))
    first.locator(".why").click()
    panel = page.locator("#why")
    expect(panel).to_contain_text("Probability")
    expect(panel).not_to_contain_text("cosine")
    expect(panel.locator(".both img")).to_have_count(2)
    expect(panel.locator(".both .region")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(first.locator(".why")).to_be_focused()


def test_hits_stand_in_sections_by_what_they_mean(page: Page, library: Library) -> None:
    copy = next(record.id for record in library.pictures() if "edited" in record.uris[0])
    page.goto(f"/?id={copy}")
    ready(page)
    names = page.locator("#hits > .part").evaluate_all("(parts) => parts.map((part) => part.dataset.section)")
    assert names[0] == "copies"
    assert names == [name for name in SECTIONS if name in names]
    shown = [int(each.get_attribute("data-id") or 0) for each in page.locator("#hits .card").all()]
    assert len(shown) == len(set(shown))  # a copy that was among the similar ones has moved
    counts = page.locator("#hits .part .count").all_inner_texts()
    assert sum(map(int, counts)) == len(shown)


def test_why_is_said_of_a_hit_of_a_later_page_and_without_scripts(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/?id=1")
    page.click("[data-more]")
    name = page.locator("#hits .card .name").first.inner_text()
    page.locator("#hits .why").first.click()
    expect(page.locator(".because")).to_contain_text(name)
    page.locator("[data-back]").click()
    expect(page.locator("#hits .card")).to_have_count(24)
    context.close()


def test_a_click_on_a_hit_shows_it_large(page: Page) -> None:
    page.goto("/?id=1")
    ready(page)
    first, second = (page.locator("#hits .card").nth(at).get_attribute("data-id") for at in (0, 1))
    page.locator("#hits .shot").first.click()
    expect(page.locator("#lightbox")).to_have_attribute("data-id", str(first))
    expect(page.locator("#lightbox h1")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#lightbox")).to_have_attribute("data-id", str(second))
    page.locator("#lightbox").get_by_role("link", name="More like this", exact=True).first.click()
    page.wait_for_url(re.compile(rf"\?id={second}$"))


def test_the_heading_says_how_many_of_all_are_shown(page: Page, library: Library) -> None:
    total = len(library.pictures()) - 1
    page.goto("/?id=1")
    ready(page)
    expect(page.locator("#results")).to_have_text(f"24 of {total}")
    page.click("[data-more]")
    expect(page.locator("#results")).to_have_text(f"{total} of {total}")


@pytest.mark.parametrize("context", [{"has_touch": True, "is_mobile": True}], indirect=True)
def test_a_finger_scrolls_until_drawing_is_turned_on(page: Page) -> None:
    page.goto("/?id=2")
    ready(page)
    canvas = page.locator(".canvas")
    expect(canvas).to_have_css("touch-action", "auto")
    page.click("[data-draw]")
    expect(canvas).to_have_css("touch-action", "none")


def test_an_address_shows_the_same_results_to_somebody_else(page: Page, context: BrowserContext) -> None:
    page.goto("/?id=4")
    ready(page)
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_selector("#hits[data-copies]")
    ids = "[...document.querySelectorAll('#hits .card')].map((card) => card.dataset.id)"
    assert other.evaluate(ids) == page.evaluate(ids)


# ------------------------------------------------------------------------------------------- comparing


def test_two_pictures_are_laid_over_each_other(page: Page, library: Library) -> None:
    copy = next(record.id for record in library.pictures() if "edited" in record.uris[0])
    page.goto(f"/?id={copy}")
    ready(page)
    page.locator("#hits .card").first.hover()
    page.locator("#hits .card .tool").first.click()
    page.wait_for_url(re.compile("/compare"))
    expect(page.locator("[data-verdict]")).to_have_text(re.compile("Altered copy|Contains it"))
    assert page.locator(".second").evaluate("(image) => image.style.transform").startswith("matrix3d")
    page.fill("#cut", "20")
    assert "20%" in page.locator(".over").evaluate("(part) => part.style.clipPath")
    page.click("[data-mode=blink]")
    expect(page.locator(".over")).to_have_css("visibility", "hidden")
    page.click("[data-mode=side]")
    assert page.locator(".points").first.locator("path").count() >= 8


# ------------------------------------------------------------------------------------------- the other screens


def test_pictures_are_added_and_found_at_once(page: Page, tmp_path: Path) -> None:
    page.goto("/add")
    page.wait_for_load_state("networkidle")
    page.fill("#add-label", "fresh")
    files = [{"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": jpeg(500 + n)} for n in range(3)]
    page.allowed = ("422",)  # type: ignore[attr-defined]
    page.set_input_files(
        "input[data-files][multiple]", [*files, {"name": "no.jpg", "mimeType": "image/jpeg", "buffer": b"no"}]
    )
    expect(page.locator("[data-summary]")).to_have_text(
        "4 of 4 done: 3 added, 0 already here, 1 refused", timeout=30_000
    )
    page.locator(".sent a[href]").first.click()
    page.wait_for_url(re.compile("/picture/"))
    expect(page.locator(".facts .chips")).to_contain_text("fresh")


def test_a_folder_of_the_server_is_added_with_live_progress(page: Page, tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg(900))
    page.goto("/add")
    page.wait_for_load_state("networkidle")
    page.fill("#path", str(tmp_path))
    page.click("[data-path] button")
    line = page.locator(".jobs > *").first
    expect(line).to_contain_text("done", timeout=120_000)
    expect(line).to_contain_text("1 seen, 1 added, 0 refused")


def test_labels_are_edited_and_a_picture_is_removed(page: Page, library: Library) -> None:
    content_id, _ = library.add_bytes(jpeg(901))
    page.goto(f"/picture/{content_id}")
    page.wait_for_load_state("networkidle")
    page.fill("#label-name", "mood")
    page.fill("#label-value", "<b>calm</b>")
    page.click("[data-label] button")
    expect(page.locator(".facts .chip")).to_contain_text("<b>calm</b>")
    page.click("[data-unlabel=mood]")
    expect(page.locator(".facts .chip")).to_have_count(0)
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("[data-delete]")
    page.wait_for_url(re.compile("/$"))
    assert content_id not in [record.id for record in library.pictures()]


def test_the_map_is_zoomed_and_opens_a_picture(page: Page) -> None:
    page.goto("/map")
    canvas = page.locator("canvas[data-ready]")
    expect(canvas).to_be_visible()
    expect(page.locator(".legend li").first).to_be_visible()
    page.click("[data-zoom=in]")
    canvas.focus()
    for key in ("ArrowLeft", "ArrowRight", "-", "0", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft"):
        if page.locator(".peek").is_visible():
            break  # something lies near the middle
        page.keyboard.press(key)
    expect(page.locator(".peek")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/picture/"))


def test_the_quarantine_says_why(page: Page) -> None:
    page.goto("/quarantine")
    expect(page.locator("tbody tr")).to_contain_text(["it is not a picture"])


def test_the_api_page_has_a_curl_line_for_each_operation(page: Page, address: str) -> None:
    page.goto("/api")
    operations = page.locator(".operation")
    assert operations.count() > 20
    operations.nth(8).locator("summary").click()
    expect(operations.nth(8).locator("pre")).to_contain_text("curl")


def test_the_page_speaks_french_and_remembers(page: Page) -> None:
    page.goto("/?lang=fr")
    expect(page.locator("h1")).to_have_text("Déposez une image, voyez ses sosies")
    page.goto("/map")
    expect(page.locator("h1")).to_have_text("Carte de la collection")
    expect(page.locator("html")).to_have_attribute("lang", "fr")


def test_dark_is_chosen_and_kept(page: Page) -> None:
    page.goto("/")
    page.wait_for_load_state("networkidle")
    page.click("#theme")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("context", [{"java_script_enabled": False}], indirect=True)
def test_searching_works_without_scripts(page: Page) -> None:
    page.goto("/")
    page.locator(".picks .shot").first.click()
    expect(page.locator("#hits .card")).to_have_count(24)
    page.locator("#hits .shot").last.click()
    expect(page.locator(".sheet")).to_be_visible()
