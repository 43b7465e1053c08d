"""What pictures say of themselves in EXIF, XMP and IPTC becomes facts: filtered by, shown, and never trusted."""

from __future__ import annotations

import csv
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import sosie
from sosie.analysis.embedding import Embedded
from sosie.catalogue import ContentRow
from sosie.catalogue.where import matches, parse
from sosie.decode.metadata import GPS, USUAL, check_metadata
from sosie.decode.pixels import decode
from sosie.errors import FilterError
from sosie.library import Library
from sosie.present.csv import pictures_csv
from sosie.ray.frames import pack, unpack
from tests.serving import running

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 photoshop:DateCreated="2018-05-04T03:02:01+02:00">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Évening light</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>harbour</rdf:li><rdf:li>night</rdf:li></rdf:Bag></dc:subject>
<dc:creator><rdf:Seq><rdf:li>Ada Painter</rdf:li></rdf:Seq></dc:creator>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def camera(taken: str = "2019:07:21 10:20:30") -> Image.Exif:
    """Return what a camera writes."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Nikon Corporation", "NIKON D90", 6
    exif.get_ifd(0x8769).update({0x9003: taken, 0xA434: "18-105 mm"})
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 30.0, 36.0), 3: "E", 4: (151.0, 12.0, 0.0)})
    return exif


def saved(kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def facts(data: bytes, what: str = USUAL) -> dict[str, Any]:
    return dict(decode(data, metadata=what).metadata)


def with_iptc(data: bytes, *fields: tuple[int, bytes]) -> bytes:
    """Return a JPEG with an IPTC record in the resource block that Photoshop writes."""
    record = b"".join(b"\x1c\x02" + bytes([tag]) + struct.pack(">H", len(value)) + value for tag, value in fields)
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(record)) + record + b"\0" * (len(record) % 2)
    segment = b"Photoshop 3.0\0" + block
    return data[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_date_camera_lens_and_orientation_are_read_and_not_the_place(kind: str) -> None:
    assert facts(saved(kind, exif=camera().tobytes())) == {
        "exif.date": ["2019-07-21T10:20:30"],
        "exif.camera": ["NIKON D90"],
        "exif.lens": ["18-105 mm"],
        "exif.orientation": [6.0],
    }


def test_the_place_is_read_where_it_is_asked_for() -> None:
    found = facts(saved(exif=camera()), GPS)
    assert (found["exif.latitude"], found["exif.longitude"]) == ([-33.51], [151.2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_xmp_gives_title_keywords_and_creator(kind: str) -> None:
    pytest.importorskip("defusedxml")
    data = saved(kind, xmp=XMP.encode()) if kind != "PNG" else saved(kind, pnginfo=_with_text(XMP))
    found = facts(data)
    assert found["exif.title"] == ["Évening light"] and found["exif.keywords"] == ["harbour", "night"]
    assert found["exif.creator"] == ["Ada Painter"] and found["exif.date"] == ["2018-05-04T03:02:01"]


def _with_text(text: str) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", text)
    return info


def test_iptc_gives_what_archives_write() -> None:
    told = (5, "Grüße".encode()), (25, b"caf\xe9"), (25, b"street"), (55, b"20010203"), (60, b"040506+0000")
    found = facts(with_iptc(saved(), *told, (80, b"A. Archivist"), (116, b"(c) them")))
    assert found["exif.title"] == ["Grüße"] and found["exif.keywords"] == ["café", "street"]
    assert found["exif.date"] == ["2001-02-03T04:05:06"]
    assert found["exif.creator"] == ["A. Archivist"] and found["exif.rights"] == ["(c) them"]


@pytest.mark.parametrize("bad", ["0000:00:00 00:00:00", "2019:13:41 10:00:00", "yesterday", "", "\0\0"])
def test_a_bad_date_is_left_out_and_the_rest_stays(bad: str) -> None:
    found = facts(saved(exif=camera(bad)))
    assert "exif.date" not in found and found["exif.lens"] == ["18-105 mm"]


def test_a_date_is_as_exact_as_it_is_given() -> None:
    assert facts(saved(exif=camera("1998:06:  :  :  ")))["exif.date"] == ["1998-06"]


def test_vast_and_nested_xmp_is_left_alone() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>' + XMP.replace("night", "&c;")
    deep = XMP.replace("<rdf:li>night</rdf:li>", "<a>" * 9000 + "</a>" * 9000)
    for packet in (bomb, deep):
        assert "exif.keywords" not in facts(with_xmp(packet.encode()))
    assert facts(saved("PNG", pnginfo=_with_text(XMP.replace("night", "n" * 300_000)))) == {}


def with_xmp(packet: bytes) -> bytes:
    """Return a WebP, whose XMP may be longer than a segment of JPEG."""
    return saved("WEBP", xmp=packet)


def test_texts_are_one_line_that_can_be_shown_and_bounded() -> None:
    exif = Image.Exif()
    exif[0x013B] = "two\nlines\x1b[31m" + "é" * 2000
    (creator,) = facts(saved(exif=exif))["exif.creator"]
    assert creator.isprintable() and creator.startswith("two lines [31m") and len(creator) == 500


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=12))
def test_whatever_stands_in_exif_the_picture_is_read(junk: bytes, changes: list[tuple[int, int]]) -> None:
    exif = bytearray(camera().tobytes())
    for at, byte in changes:
        exif[at % len(exif)] = byte
    for data in (saved(exif=bytes(exif)), saved(exif=b"Exif\0\0" + junk), with_iptc(saved(), (25, junk))):
        picture = decode(data, metadata=GPS)
        assert picture.pixels.size and check_metadata(dict(picture.metadata)).keys() == picture.metadata.keys()


IMPOSSIBLE = [
    None,
    [],
    {"tag": ["dog"]},
    {"exif.date": "2019"},
    {"exif.date": [1.0, None, {}]},
    {"exif.camera": ["a\0b", "a\ud800", "x" * 501, ""]},
    {"exif.latitude": ["1", float("inf"), True]},
]


@pytest.mark.parametrize("told", IMPOSSIBLE)
def test_what_a_worker_cannot_have_read_is_not_taken_from_it(told: object) -> None:
    assert check_metadata(told) == {}


def test_facts_travel_in_frames() -> None:
    row = ContentRow(bytes(32), 1, "JPEG", 2, 3, bytes(16), bytes(32))
    made = Embedded(row, np.zeros(4, np.float32), facts={"exif.camera": ("A", "B")})
    back = unpack(pack(made))
    assert isinstance(back, Embedded) and back.facts == made.facts


# ------------------------------------------------------------------------------------------------ in a library


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, day in (("old", "1999:12:31 23:59:59"), ("mid", "2019:07:21 10:20:30"), ("new", "2020:01:01 00:00:00")):
        (folder / f"{name}.jpg").write_bytes(saved(exif=camera(day)))
    (folder / "plain.png").write_bytes(saved("PNG"))
    return folder


@pytest.fixture
def lib(photos: Path, tmp_path: Path) -> Iterator[Library]:
    with sosie.open(tmp_path / "library", model="histogram") as made:
        made.add(photos, workers=1)
        yield made


def names(lib: Library, where: str) -> set[str]:
    return {record.uris[0].rpartition("/")[2].partition(".")[0] for record in lib.pictures(where=where)}


def test_pictures_are_filtered_by_when_they_were_taken(lib: Library) -> None:
    assert names(lib, "exif.date >= '2020-01-01'") == {"new"}
    assert names(lib, "exif.date = '2019-07'") == {"mid"}
    assert names(lib, "exif.date <= '2019-07-21'") == {"old", "mid"}
    assert names(lib, "exif.date > '1999' and exif.camera ~ 'nikon'") == {"mid", "new"}
    assert names(lib, "not exif.date") == {"plain"} and names(lib, "exif.orientation = 6") == {"old", "mid", "new"}


def test_a_date_that_is_none_is_refused(lib: Library) -> None:
    for where in ("exif.date >= '01/05/2020'", "exif.date = 2020"):
        with pytest.raises(FilterError, match="a date in quotes"):
            names(lib, where)


def test_facts_are_no_labels_and_a_label_of_that_name_stays_its_owners(lib: Library) -> None:
    assert lib.labels() == {}
    plain = next(record for record in lib.pictures() if not record.facts)
    lib.set_labels(plain.id, {"exif.date": "2001"})
    assert names(lib, "exif.date = '2001'") == {"plain"} == names(lib, "'exif.date'")
    assert not lib.picture(plain.id).facts


def test_the_same_is_said_without_a_store() -> None:
    taken = {"exif.date": ("2019-07-21T10:20:30",)}
    assert matches(parse("exif.date <= '2019-07'"), {}, taken) and not matches(parse("exif.date > '2019'"), {}, taken)


def test_hits_and_csv_have_them_and_the_place_only_with_gps(lib: Library, photos: Path, tmp_path: Path) -> None:
    hit = lib.search(photos / "mid.jpg", k=1)[0].to_json()
    assert hit["facts"]["exif.date"] == ["2019-07-21T10:20:30"] and "exif.latitude" not in hit["facts"]
    rows = list(csv.DictReader(io.StringIO(pictures_csv(lib.pictures()))))
    assert [bool(row["facts"]) for row in rows] == [True, True, True, False]
    with sosie.open(tmp_path / "placed", model="histogram") as placed:
        placed.add(photos, gps=True, workers=1)
        assert names(placed, "exif.latitude < -33") == {"old", "mid", "new"}


def test_uploads_have_facts_too(lib: Library) -> None:
    content_id, _ = lib.add_bytes(with_iptc(saved(exif=camera()), (5, b"A title")))
    assert lib.picture(content_id).facts["exif.title"] == ("A title",)


def test_the_page_shows_them_and_browses_by_when_pictures_were_taken(lib: Library) -> None:
    mid = next(record for record in lib.pictures(where="exif.date = '2019'"))
    with running(lib) as url:
        page = httpx.get(f"{url}/picture/{mid.id}", timeout=60).text
        assert "2019-07-21T10:20:30" in page and "NIKON D90" in page
        wall = httpx.get(
            f"{url}/browse", params={"dates": "taken", "since": "2019-01-01", "until": "2019-12-31"}, timeout=60
        ).text
        assert 'data-total="1"' in wall and f'href="/picture/{mid.id}"' in wall
        found = httpx.get(f"{url}/browse", params={"f": "exif.camera:NIKON D90"}, timeout=60).text
        assert 'data-total="3"' in found
