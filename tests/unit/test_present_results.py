"""What people and tools read: table, JSON, CSV and contact sheet, with hostile names in them."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Callable
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sosie.errors import UsageError
from sosie.present.csv import COLUMNS, to_csv
from sosie.present.html import contact_sheet
from sosie.present.json import to_json
from sosie.present.table import print_results
from sosie.present.terminal import choose_protocol, detect, strip
from sosie.present.text import is_plain
from sosie.present.thumbnails import small_jpeg
from sosie.present.verdicts import VERDICTS
from sosie.types import Hit, SearchResult, Verdict
from tests.markup import ANY_TEXT, parsed


def jpeg(width: int = 400, height: int = 300, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "JPEG", **options)
    return buffer.getvalue()


def result(query: str = "a.jpg", *hits: Hit) -> SearchResult:
    return SearchResult(query, hits, 1.25, {"kind": "exact", "recall": 1.0})


def hit(rank: int = 1, uri: str = "file:///pictures/cat.jpg", **fields: object) -> Hit:
    return Hit(**{"rank": rank, "id": 7, "uri": uri, "score": 0.93, "verdict": Verdict.SIMILAR, **fields})  # type: ignore[arg-type]


def table(*results: SearchResult) -> str:
    out = io.StringIO()
    print_results(results, file=out)
    return out.getvalue()


def sheet(*results: SearchResult, data: bytes | None = None) -> str:
    return contact_sheet(results, thumbnail=lambda _: data, title="Sosie", notes={"index": "exact"})


HOSTILE = hit(
    uri="file:///tmp/" + quote_from_bytes(b'=1+1\x1b[31m\n\xff\xe2\x80\xae"><script>alert(1)</script>.jpg'),
    labels={"=cmd\x1b": "a\u202eb\n<b>", "many": ("x\r", "y")},
    evidence={"<i>": {"k\x07": [1, "\u2028"]}},
    region=(0.1, 0.2, 0.3, 0.4),
    verdict=Verdict.ALTERED_COPY,
    probability=0.998,
)

# ------------------------------------------------------------------------------------------------ table


def test_table_shows_rank_score_verdict_labels_and_path() -> None:
    shown = table(result("q.jpg", hit(labels={"label": "cat"}, verdict=Verdict.ALTERED_COPY, probability=0.5)))
    assert re.search(r"1 +0\.930 +altered copy 50\.0 % +label=cat +/pictures/cat\.jpg", shown)


@pytest.mark.parametrize("show", [table, sheet])
def test_how_sure_a_copy_is_is_said_of_copies_alone(show: Callable[[SearchResult], str]) -> None:
    assert "0.3%" not in show(result("a.jpg", hit(probability=0.003)))
    assert "99.8 %" in show(result("a.jpg", hit(probability=0.998, verdict=Verdict.ALTERED_COPY)))


def test_table_says_when_nothing_matches() -> None:
    assert "nothing matches" in table(result())


def test_table_never_emits_what_could_move_the_cursor() -> None:
    shown = table(result("\x1b]0;pwned\x07", HOSTILE))
    assert all(is_plain(char) or char == "\n" for char in shown)
    assert "\\x1b[31m" in shown and "\\xff" in shown


@settings(deadline=None, max_examples=50)
@given(ANY_TEXT, ANY_TEXT, st.binary(max_size=30))
def test_table_is_plain_whatever_the_names(query: str, label: str, name: bytes) -> None:
    one = hit(uri="file:///" + quote_from_bytes(name), labels={label: label})
    assert all(is_plain(char) or char == "\n" for char in table(result(query, one)))


def test_table_escapes_what_the_terminal_cannot_encode() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    print_results([result("\u732b.jpg", hit(labels={"label": "caf\u00e9"}))], file=out)
    out.flush()
    assert b"\\u732b.jpg" in raw.getvalue() and b"caf\\xe9" in raw.getvalue()


def test_table_cuts_long_labels() -> None:
    assert "x" * 40 not in table(result("q", hit(labels={"label": "x" * 90})))


# ------------------------------------------------------------------------------ pictures in the terminal


@pytest.mark.parametrize(
    ("env", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM_PROGRAM": "WezTerm"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "iTerm.app"}, None),
    ],
)
def test_terminal_is_known_by_its_environment(env: dict[str, str], protocol: str | None) -> None:
    assert detect(env) == protocol


def test_thumbnails_only_go_to_a_terminal_unless_forced() -> None:
    kitty = {"TERM": "xterm-kitty"}
    assert choose_protocol("auto", is_terminal=False, env=kitty) is None
    assert choose_protocol("auto", is_terminal=True, env=kitty) == "kitty"
    assert choose_protocol("never", is_terminal=True, env=kitty) is None
    assert choose_protocol("always", is_terminal=False, env={}) == "blocks"


def test_unknown_wish_for_thumbnails_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="auto, always or never"):
        choose_protocol("sometimes", is_terminal=True)


def test_kitty_strip_is_a_png_in_chunks() -> None:
    written = strip([jpeg(), None], "kitty", columns=80)
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", written)
    assert chunks[0][0].startswith("a=T,f=100") and chunks[-1][0].endswith("m=0")
    assert all(len(data) <= 4096 for _, data in chunks)
    image = Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in chunks))))
    assert (image.format, image.size) == ("PNG", (320, 160))


def test_iterm2_strip_is_an_inline_jpeg() -> None:
    written = strip([jpeg()], "iterm2")
    payload = re.fullmatch(r"\x1b\]1337;File=inline=1;[^:]*:(.*)\x07\n", written)
    assert payload is not None and base64.b64decode(payload[1])[:2] == b"\xff\xd8"


def test_blocks_strip_resets_its_colours() -> None:
    lines = strip([jpeg()], "blocks").splitlines()
    assert lines and all(line.endswith("\x1b[0m") and line.count("▀") == 12 for line in lines)


# ------------------------------------------------------------------------------------------------ JSON and CSV


def test_json_is_one_document_or_a_list() -> None:
    assert json.loads(to_json([result()]))["query"] == "a.jpg"
    assert [one["query"] for one in json.loads(to_json([result("a"), result("b")]))] == ["a", "b"]


def test_json_is_ascii_and_reads_back() -> None:
    text = to_json([result("\udcff\x1b", HOSTILE)])
    assert text.isascii() and "\x1b" not in text
    assert json.loads(text)["query"] == "\udcff\x1b"


def test_csv_has_one_line_a_hit() -> None:
    rows = list(csv.reader(io.StringIO(to_csv([result("q", hit(), hit(2)), result("r", hit())]))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row[0], row[1]) for row in rows[1:]] == [("q", "1"), ("q", "2"), ("r", "1")]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_csv_defuses_formulas(name: str) -> None:
    row = list(csv.reader(io.StringIO(to_csv([result(name, hit(uri=name))]))))[1]
    assert (row[0], row[6]) == ("'" + name, "'" + name)


@given(ANY_TEXT, ANY_TEXT)
def test_csv_reads_back_cell_by_cell(query: str, label: str) -> None:
    rows = list(csv.reader(io.StringIO(to_csv([result(query, hit(labels={label: label}))]))))
    assert len(rows) == 2 and len(rows[1]) == len(COLUMNS)
    assert json.loads(rows[1][7]) == {label: label}
    assert not rows[1][0].startswith(("=", "+", "-", "@")) and all(map(is_plain, rows[1][0]))


# ------------------------------------------------------------------------------------------------ contact sheet


def test_sheet_is_well_formed_and_names_no_host() -> None:
    page = sheet(result("a.jpg", HOSTILE), result("b.jpg"), data=jpeg())
    parsed(page)
    assert not re.search(r"https?://", page)
    assert all(source.startswith("data:") for source in re.findall(r'\bsrc="([^"]*)"', page))


def test_sheet_escapes_hostile_names() -> None:
    page = sheet(result("<script>alert(2)</script>", HOSTILE))
    assert page.count("<script>") == 1  # our own
    assert all(is_plain(char) or char == "\n" for char in page)


@settings(deadline=None, max_examples=50)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_sheet_is_plain_whatever_the_names(query: str, label: str, uri: str) -> None:
    page = sheet(result(query, hit(uri=uri, labels={label: label}, evidence={label: [label]})))
    parsed(page)
    assert all(is_plain(char) or char == "\n" for char in page)


def test_sheet_links_files_and_nothing_else() -> None:
    page = sheet(result("q", hit(uri="file:///a%20b.jpg"), hit(2, uri="javascript:alert(1)")))
    assert 'href="file:///a%20b.jpg"' in page
    assert 'href="javascript:' not in page


def test_sheet_draws_the_region_and_tells_every_verdict() -> None:
    hits = [hit(i, verdict=verdict, region=(0.1, 0.2, 0.3, 0.4)) for i, verdict in enumerate(Verdict, 1)]
    page = sheet(result("q", *hits), data=jpeg())
    assert page.count('style="left:10.00%;top:20.00%;width:30.00%;height:40.00%"') == len(Verdict)
    assert all(VERDICTS[verdict].name in page for verdict in Verdict)


def test_sheet_has_a_placeholder_where_the_file_is_gone_or_no_picture() -> None:
    assert sheet(result("q", hit())).count("picture not available") == 2
    assert sheet(result("q", hit()), data=b"no picture").count("picture not available") == 2


def test_sheet_indexes_many_queries() -> None:
    page = sheet(result("a.jpg", hit()), result("b.jpg", hit()))
    assert '<a href="#q2">b.jpg</a>' in page and 'id="q2"' in page


def test_sheet_of_fifty_noisy_hits_stays_below_three_megabytes() -> None:
    noisy = io.BytesIO()
    Image.effect_noise((320, 320), 90).convert("RGB").save(noisy, "JPEG", quality=95)
    hits = [hit(i, uri=f"file:///{i}.jpg") for i in range(1, 51)]
    assert len(sheet(result("q", *hits), data=noisy.getvalue())) < 3_000_000


def test_thumbnails_carry_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    data = jpeg(exif=exif, comment=b"another secret")
    small = small_jpeg(data)
    assert b"secret" in data and small is not None and b"secret" not in small
    with Image.open(io.BytesIO(small)) as image:
        assert max(image.size) == 240


def test_distances_are_of_the_kind_that_was_asked_for() -> None:
    near = hit(score=0.875)
    assert near.distance() == near.distance(kind="cosine") == pytest.approx(0.125)
    assert near.distance(kind="l2") == near.distance(kind="angular") == pytest.approx(0.5)
    assert hit(score=-3.5).distance("manhattan") == 3.5
    for verdict in (Verdict.IDENTICAL, Verdict.SAME_PIXELS):  # stored vectors are rounded
        assert hit(score=0.9995, verdict=verdict).distance(kind="l2") == 0
    with pytest.raises(UsageError, match="of the metric manhattan"):
        near.distance("manhattan", "l2")
    with pytest.raises(UsageError, match="cosine, l2, angular"):
        near.distance(kind="euclidean")  # type: ignore[arg-type]


def test_a_column_of_distances_stands_in_every_form() -> None:
    answer = result("q", hit(score=0.875))
    out = io.StringIO()
    print_results([answer], distance="l2", file=out)
    assert "l2" in out.getvalue() and "0.5000" in out.getvalue()
    row = next(csv.DictReader(io.StringIO(to_csv([answer], distance="l2"))))
    assert float(row["distance"]) == 0.5
    assert answer.to_json("l2")["hits"][0]["distances"] == {"l2": 0.5}
    assert answer.to_json()["hits"][0]["distance"] == 0.125
    page = contact_sheet([answer], thumbnail=lambda _: None, title="Sosie", distance="l2")
    assert 'title="distance (l2)">0.5000<' in page


def test_copies_that_are_ordered_by_odds_have_no_distance() -> None:
    answer = SearchResult("q", (hit(),), 1.0, {"kind": "copies", "recall": None})
    assert answer.to_json()["hits"][0]["distance"] is None
    assert next(csv.DictReader(io.StringIO(to_csv([answer]))))["distance"] == ""


def test_a_tile_whose_picture_is_away_shows_its_address() -> None:
    page = sheet(result("q", hit(uri="https://a.example/b.jpg")))
    assert '<a href="https://a.example/b.jpg" rel="noreferrer">https://a.example/b.jpg</a>' in page
