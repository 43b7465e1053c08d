"""Lists of URLs and manifests: columns guessed and named, labels typed, bad rows counted."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.errors import BadPicture, DamagedError, SourceUnreachable, UsageError
from sosie.sources import SourceOptions, kind_of, open_source
from sosie.sources.columns import guess_kinds, guess_place, label_of
from sosie.sources.folder import FolderSource
from sosie.sources.url_list import UrlListSource
from sosie.types import ImageRef, LabelValue

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def listed(path: Path, text: str | bytes, **options: object) -> list[ImageRef]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(UrlListSource(path, **options))  # type: ignore[arg-type]


def test_csv_with_guessed_url_and_typed_labels(tmp_path: Path) -> None:
    text = "id,image_url,style,year,tags\n1,http://a.example/1.jpg,cubism,1907,red;blue\n2,http://a.example/2.jpg,,,x\n"
    first, second = listed(tmp_path / "a.csv", text)
    assert first == ImageRef(
        "http://a.example/1.jpg", {"id": 1.0, "style": "cubism", "year": 1907.0, "tags": ("blue", "red")}
    )
    assert second.labels == {"id": 2.0, "tags": ("x",)}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_seen(tmp_path: Path, mark: str) -> None:
    (ref,) = listed(tmp_path / "a.csv", f"style{mark}url\nx{mark}http://a.example/1.jpg\n")
    assert ref == ImageRef("http://a.example/1.jpg", {"style": "x"})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    (ref,) = listed(tmp_path / "a.tsv", "url\ttitle\nhttp://a.example/ü 1.jpg\tBlüte\n".encode(encoding))
    assert ref == ImageRef("http://a.example/%C3%BC%201.jpg", {"title": "Blüte"})


def test_a_list_without_header_loses_no_row(tmp_path: Path) -> None:
    refs = listed(tmp_path / "a.csv", "http://a.example/1.jpg,cat\nhttp://a.example/2.jpg,dog\n")
    assert [ref.labels for ref in refs] == [{"column2": "cat"}, {"column2": "dog"}]


def test_rows_without_url_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("url,n\nhttp://a.example/1.jpg,1\n,2\n  ,3\ndata:image/png;base64,4\n" + "x" * 9000 + ",5\n6\n")
    source = UrlListSource(path)
    assert [ref.uri.rpartition("/")[2] for ref in source] == ["1.jpg", "6"]
    assert sum(each.count for each in source.left_out) == 4


def test_a_field_too_long_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('url,n\nhttp://a.example/1.jpg,1\n"' + "x" * 200_000 + '",2\nhttp://a.example/3.jpg,3\n')
    source = UrlListSource(path)
    assert [ref.labels["n"] for ref in source] == [1.0, 3.0]
    assert sum(each.count for each in source.left_out) == 1


def test_named_columns(tmp_path: Path) -> None:
    text = "url,where,a,b\nhttp://a.example/no.jpg,http://a.example/yes.jpg,1,2\n"
    (ref,) = listed(tmp_path / "a.csv", text, url_column="where", label_columns=["b"])
    assert ref == ImageRef("http://a.example/yes.jpg", {"b": 2.0})


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", {}, "no column looks like a URL .* 'a', 'b'; name it with --url-column"),
        ("url\nx\n", {"url_column": "link"}, "has no column 'link'; it has url"),
        ("url\nx\n", {"label_columns": ["style"]}, "has no column 'style'"),
    ],
)
def test_unknown_columns_are_named(tmp_path: Path, text: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        listed(tmp_path / "a.csv", text, **options)


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        {"src": "http://a.example/1.jpg", "tags": ["b", "a"], "ok": True, "n": 3, "box": {"x": 1}, "none": None},
        {"src": "http://a.example/2.jpg", "n": "three"},
    ]
    text = "\n".join(map(json.dumps, rows)) + '\n\nnot json\n[1]\n{"src": 7}\n'
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    source = UrlListSource(path)
    assert [ref.labels for ref in source] == [{"tags": ("a", "b"), "ok": "true", "n": 3.0}, {"n": "three"}]
    assert sum(each.count for each in source.left_out) == 3


def test_an_endless_line_is_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"url": "http://a.example/1.jpg"}\n"' + "x" * 3_000_000 + '"\n"http://a.example/2.jpg"\n')
    source = UrlListSource(path)
    assert [ref.uri[-5:] for ref in source] == ["1.jpg", "2.jpg"]
    assert sum(each.count for each in source.left_out) == 1


def test_one_url_a_line(tmp_path: Path) -> None:
    refs = listed(tmp_path / "a.txt", "# mine\nhttp://a.example/1.jpg\n\n//b.example/2.jpg\r\n")
    assert [ref.uri for ref in refs] == ["http://a.example/1.jpg", "https://b.example/2.jpg"]


def test_parquet_is_read_in_batches_without_its_bytes(tmp_path: Path) -> None:
    n = 2500
    table = pa.table(
        {
            "image": pa.array([b"x" * 10] * n, pa.binary()),
            "url": [f"http://a.example/{i}.jpg" for i in range(n)],
            "tags": [["a", "b"]] * n,
            "score": [i / 2 for i in range(n)],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    refs = list(UrlListSource(tmp_path / "a.parquet"))
    assert len(refs) == n
    assert refs[-1] == ImageRef("http://a.example/2499.jpg", {"tags": ("a", "b"), "score": 1249.5})


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_list_that_is_away(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(SourceUnreachable, match="check the path"):
        list(UrlListSource(tmp_path / f"a{suffix}"))


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.parquet", b"PAR1 nothing of the kind PAR1"), ("a.parquet", b""), ("a.csv", b"\xff\xfe\x00\xd8\x41")],
)
def test_a_damaged_list(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(DamagedError):
        listed(tmp_path / name, data)


@pytest.mark.parametrize("name", ["../secret.jpg", "sub/../../secret.jpg", "/etc/passwd", "file:///etc/passwd"])
def test_a_list_reads_no_file_outside_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "list"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "a.csv").write_text(f"path\n{name}\n")
    source = UrlListSource(folder / "a.csv")
    for ref in source:
        with pytest.raises(BadPicture, match="outside"):
            source.read(ref)


def test_one_s_own_list_may_be_allowed_to_name_any_file(tmp_path: Path) -> None:
    folder = tmp_path / "list"
    folder.mkdir()
    (tmp_path / "mine.jpg").write_bytes(b"mine")
    (folder / "a.csv").write_text("path\n../mine.jpg\n")
    source = open_source(str(folder / "a.csv"), SourceOptions(allow_private=True))
    assert [source.read(ref) for ref in source] == [b"mine"]


@pytest.mark.parametrize("link", ["ftp://a.example/1.jpg", "gopher://x/", "http://", "http://[::1", "http:///x.jpg"])
def test_links_that_are_none_are_refused_one_by_one(tmp_path: Path, link: str) -> None:
    (tmp_path / "a.csv").write_text(f"url\n{link}\n")
    source = UrlListSource(tmp_path / "a.csv")
    ((_, outcome),) = source.stream(lambda _: True)
    assert isinstance(outcome, BadPicture)
    assert outcome.reason == "bad_url"


# ------------------------------------------------------------------------------------------------ columns


@pytest.mark.parametrize(
    ("columns", "row", "place"),
    [
        (["id", "URL"], {}, "URL"),
        (["path", "image_url"], {}, "image_url"),
        (["a", "b"], {"a": "x", "b": "https://a.example/1"}, "b"),
        (["a", "b"], {"a": "x", "b": "pictures/1.JPG"}, "b"),
    ],
)
def test_guessing_the_place(columns: list[str], row: dict[str, str], place: str) -> None:
    assert guess_place(columns, [row]) == place


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", "", None], "number"),
        (["1", "x"], "single"),
        (["007"], "single"),
        (["nan"], "single"),
        (["a;b", "c"], "multi"),
        (["a|b"], "multi"),
        (["Night; a study"], "single"),
        ([None], "single"),
    ],
)
def test_guessing_what_a_column_holds(values: list[object], kind: str) -> None:
    assert guess_kinds(["n"], [{"n": value} for value in values]) == {"n": kind}


@pytest.mark.parametrize(
    ("value", "kind", "label"),
    [
        ("x", "number", "x"),
        (" 3 ", "number", 3.0),
        ("", "number", None),
        ("", "multi", None),
        (float("nan"), "single", None),
        (10**400, "single", None),
        (b"bytes", "single", None),
        ({"a": 1}, "single", None),
        (False, "single", "false"),
        ([], "single", None),
        (["b", None, "a", ""], "single", ("a", "b")),
        ("a\0b\udcff\ud800", "single", "abÿ?"),
    ],
)
def test_labels_of_mixed_types(value: object, kind: str, label: LabelValue | None) -> None:
    assert label_of(value, kind) == label  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([".csv", ".tsv", ".jsonl", ".txt"]))
def test_any_bytes_are_a_list_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str) -> None:
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"
    path.write_bytes(data)
    try:
        refs = list(UrlListSource(path))
    except (UsageError, DamagedError):
        return
    assert all(ref.uri.isascii() for ref in refs)


# ------------------------------------------------------------------------------------------------ manifests


def test_a_manifest_labels_the_pictures_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "images" / name).write_bytes(b"x")
    (tmp_path / "manifest.csv").write_text(
        "path,label,year,sha256\nimages/a.jpg,cat,1999,ff\n./images/c.jpg,dog,1,ff\n"
    )
    labels = {ref.uri[-5:]: ref.labels for ref in FolderSource(tmp_path, manifest="manifest.csv")}
    assert labels == {"a.jpg": {"label": "cat", "year": 1999.0}, "b.jpg": {}}


def test_a_table_above_the_folder_that_is_added_labels_its_pictures(tmp_path: Path) -> None:
    """As in a pack of `images/` and a table whose paths begin there, of which the images alone are added."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"x")
    (tmp_path / "manifest.csv").write_text("path,label\nimages/a.jpg,cat\n")
    (tmp_path / "whole.csv").write_text(f"path,label\n{tmp_path}/images/a.jpg,dog\n")
    for table, label in (("../manifest.csv", "cat"), ("../whole.csv", "dog"), (str(tmp_path / "manifest.csv"), "cat")):
        assert [ref.labels for ref in FolderSource(tmp_path / "images", manifest=table)] == [{"label": label}]


def test_a_table_is_found_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"x")
    (tmp_path / "mine.csv").write_text("path,label\na.jpg,cat\n")
    monkeypatch.chdir(tmp_path)
    assert [ref.labels for ref in FolderSource("images", manifest="mine.csv")] == [{"label": "cat"}]


def test_a_table_that_names_none_of_the_pictures_is_spoken_of(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "manifest.csv").write_text("path,label\nelsewhere/a.jpg,cat\n")
    with pytest.warns(UserWarning, match=r"no row of .*manifest.csv names a picture .*'elsewhere/a.jpg'"):
        assert [ref.labels for ref in FolderSource(tmp_path, manifest="manifest.csv")] == [{}]


def test_a_manifest_that_is_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable):
        list(FolderSource(tmp_path, manifest="manifest.csv"))


def test_a_real_pack_with_its_manifest(sosie_shared: Path) -> None:
    source = FolderSource(sosie_shared / "data" / "art-dev", manifest="manifest.csv")
    refs = list(source)
    assert len(refs) == 600
    assert all("label" in ref.labels and "width" not in ref.labels for ref in refs)
    picked = random.Random(0).sample(refs, 5)
    assert all(source.read(ref)[:3] == b"\xff\xd8\xff" for ref in picked)


# ------------------------------------------------------------------------------------------------ what a user types


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("photos.zip", "archive"),
        ("a.tar.gz", "archive"),
        ("A.TGZ", "archive"),
        ("list.csv", "url-list"),
        ("list.parquet", "url-list"),
        ("bam.sqlite", "sqlite-dataset"),
        ("missing-folder", "folder"),
        ("cat.jpg", "folder"),
        ("s3://bucket/pictures", "objects"),
        ("gs://bucket", "objects"),
        ("https://a.example/", "web"),
    ],
)
def test_the_kind_is_told_from_what_was_typed(spec: str, kind: str) -> None:
    assert kind_of(spec) == kind


def test_a_folder_is_a_folder_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "old.zip").mkdir()
    assert isinstance(open_source(str(tmp_path / "old.zip")), FolderSource)


@pytest.mark.parametrize("spec", ["ftp://a/b", "notes.docx"])
def test_what_nothing_opens_is_refused_with_what_is_accepted(
    tmp_path: Path, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.docx").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"nothing opens .*accepted: a folder"):
        open_source(spec)


def test_an_option_without_meaning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--label-from-folders means nothing for a list of URLs"):
        open_source("a.csv", SourceOptions(label_from_folders=True))
