"""Pages are well-formed, self-contained and escape what they are given."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.present.page import Html, asset, badge, escape, figure, page, picture, pictures, section, table
from sosie.present.text import display_path, is_plain, shorten, visible
from tests.markup import ANY_TEXT, parsed


def sample() -> str:
    body = section("one", "First <b>", table([("a", 1.23456, None)], ["name", "value", "none"]))
    body += section("two", "Second", figure(pictures([picture(b"\xff\xd8\xff", "alt", "cap", [(0, 0, 0.5, 2)])])))
    return page("A <title>", body, toc=[("one", "First"), ("two", "Second")], lead="lead & more")


def test_page_is_well_formed() -> None:
    assert "A <title>" in parsed(sample()).text


def test_page_names_no_host() -> None:
    assert not re.search(r"https?:|//[a-z]|@import|url\(", sample())


def test_page_forbids_foreign_scripts_and_requests() -> None:
    assert "default-src 'none'" in sample()
    assert "script-src 'sha256-" in sample()


def test_escape_neutralises_markup_and_keeps_html() -> None:
    assert escape("<a href='x'>&") == "&lt;a href=&#x27;x&#x27;&gt;&amp;"
    assert escape(badge("x", "good")) == '<span class="badge good">x</span>'
    assert isinstance(escape("x"), Html)


def test_table_aligns_numbers_and_dashes_none() -> None:
    shown = table([("a", 1.23456, None), ("b", None, None)], ["n", "v", "w"])
    assert '<td class="number">1.235</td>' in shown
    assert '<td class="number">–</td>' in shown
    assert "<td>–</td>" in shown


def test_picture_without_data_is_a_placeholder() -> None:
    assert "not available" in picture(None, "gone")


def test_boxes_stay_inside_the_picture() -> None:
    assert "width:100.00%" in picture(b"\xff\xd8\xff", "a", boxes=[(-1, 0, 7, 0.5)])


@given(ANY_TEXT)
def test_visible_leaves_no_hidden_character(text: str) -> None:
    assert all(is_plain(char) for char in visible(text))


@given(ANY_TEXT)
def test_escape_leaves_neither_markup_nor_hidden_character(text: str) -> None:
    shown = escape(text)
    assert all(is_plain(char) for char in shown)
    assert not set("<>\"'") & set(shown)


@given(st.binary(max_size=40))
def test_display_path_shows_any_file_name(name: bytes) -> None:
    assert all(is_plain(char) for char in display_path("file:///" + quote_from_bytes(name)))


def test_display_path_decodes_names_and_shows_bytes() -> None:
    assert display_path("file:///a%20b/%C3%A9%FF%0A.jpg") == "/a b/é\\xff\\n.jpg"


@given(st.text(max_size=50), st.integers(0, 30))
def test_shorten_never_exceeds_its_width(text: str, width: int) -> None:
    assert len(shorten(text, width)) <= max(width, 0)


def test_shorten_keeps_the_file_name() -> None:
    assert shorten("/a/very/long/folder/cat.jpg", 14).endswith("/cat.jpg")


@given(ANY_TEXT)
def test_display_path_takes_any_text(text: str) -> None:
    assert all(is_plain(char) for char in display_path("file://" + text) + display_path(text))


def colours(theme: str) -> dict[str, tuple[float, float, float]]:
    block = asset("page.css").split(theme, 1)[1].split("}", 1)[0]
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6})", block)
    return {name: tuple(int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)) for name, text in found}  # type: ignore[misc]


def luminance(colour: tuple[float, float, float]) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_text_has_contrast_aa_on_every_ground(theme: str) -> None:
    box = colours(theme)
    pairs = [(text, ground) for text in ("ink", "muted", "accent") for ground in ("paper", "card", "sunken")]
    pairs += [(tone, f"{tone}-wash") for tone in ("good", "note", "warm", "cool", "bad", "plain")]
    assert [pair for pair in pairs if contrast(box[pair[0]], box[pair[1]]) < 4.5] == []


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_chart_series_stand_out_from_the_page(theme: str) -> None:
    box = colours(theme)
    assert all(contrast(box[f"series-{n}"], box["paper"]) >= 3 for n in range(1, 7))
