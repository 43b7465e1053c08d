"""Dataset databases: the BAM! layout, YAML descriptions, and files that mean harm."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from sosie.errors import DamagedError, NotFound, SettingsError, SourceUnreachable, UsageError
from sosie.sources import SourceOptions, open_source
from sosie.sources.dataset import PRESETS, Attributes, Dataset, load_dataset
from sosie.sources.sqlite_dataset import SqliteDatasetSource
from sosie.types import ImageRef

ATTRIBUTES = ["content_cat", "content_dog", "emotion_happy", "emotion_scary", "media_comic", "media_oilpaint"]


def database(path: Path, *statements: str | tuple[str, Sequence[object]]) -> Path:
    connection = sqlite3.connect(path)
    for statement in statements:
        if isinstance(statement, str):
            connection.execute(statement)
        else:
            connection.executemany(statement[0], statement[1])
    connection.commit()
    connection.close()
    return path


def bam(path: Path, n: int = 3, *, key: str = "mid integer primary key") -> Path:
    attributes = ", ".join(f"{name} text" for name in ATTRIBUTES)
    values = ["positive", "negative", "unsure", "positive", "positive", "positive"]
    return database(
        path,
        "CREATE TABLE modules (mid integer primary key, project_id, src text, mature_content, license)",
        f"CREATE TABLE automatic_labels ({key}, {attributes})",
        (
            "INSERT INTO modules VALUES (?, ?, ?, 0, 'cc')",
            [(mid, mid // 2, f"http://a.example/{mid}.jpg") for mid in range(1, n + 1)],
        ),
        ("INSERT INTO automatic_labels VALUES (?, ?, ?, ?, ?, ?, ?)", [(mid, *values) for mid in range(1, n + 1)]),
    )


@pytest.mark.parametrize("key", ["mid integer primary key", "mid integer", "mid integer unique"])
def test_the_bam_preset(tmp_path: Path, key: str) -> None:
    source = open_source(str(bam(tmp_path / "bam.sqlite", key=key)), SourceOptions(dataset="bam"))
    refs = list(source)
    assert refs[2] == ImageRef(
        "http://a.example/3.jpg",
        {
            "mid": 3.0,
            "license": "cc",
            "mature_content": 0.0,
            "project_id": 1.0,
            "content": ("cat",),
            "emotion": ("scary",),
            "media": ("comic", "oilpaint"),
            "unsure.emotion": ("happy",),
        },
    )


def test_many_pages_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    source = SqliteDatasetSource(bam(tmp_path / "b.db", 1234), PRESETS["bam"])
    assert [ref.uri for ref in source] == [f"http://a.example/{mid}.jpg" for mid in range(1, 1235)]
    assert all(ref.labels["media"] == ("comic", "oilpaint") for ref in source)


def test_a_yaml_description(tmp_path: Path) -> None:
    path = database(
        tmp_path / "d.db",
        'CREATE TABLE "my ""pictures" (file TEXT, "the style" TEXT, year)',
        ('INSERT INTO "my ""pictures" VALUES (?, ?, ?)', [("a.jpg", "cubism", "1907"), (None, "x", 1), (b"\0", "", 2)]),
    )
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"picture")
    yaml = tmp_path / "d.yaml"
    yaml.write_text("table: 'my \"pictures'\nplace: file\nbase: pictures\nlabels: [the style, year]\n")
    source = open_source(str(path), SourceOptions(dataset=str(yaml)))
    (ref,) = source
    assert ref.labels == {"the style": "cubism", "year": 1907.0}
    assert source.read(ref) == b"picture"
    assert isinstance(source, SqliteDatasetSource)
    assert sum(each.count for each in source.left_out) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table: a", "missing place"),
        ("table: a\nplace: b\ncolour: c", "unknown colour; known: attributes, base"),
        ("- a", "expected keys and values"),
        ("table: a\nplace: b\nlabels: c", "expected a list, found 'c'"),
        ("table: a\nplace: b\nattributes: [{table: t, key: k, groups: [g]}]", "attributes need the key"),
        ("table: [", "no sound YAML"),
    ],
)
def test_a_description_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "d.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_dataset(str(path))


def test_a_description_that_is_away() -> None:
    with pytest.raises(NotFound, match=r"neither a preset \(bam\) nor a YAML file"):
        load_dataset("bamm")


def test_a_description_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--dataset bam"):
        open_source(str(tmp_path / "x.sqlite"))


# ------------------------------------------------------------------------------------------------ harm


PLAIN = Dataset("t", "url")


def refs_of(path: Path, dataset: Dataset = PLAIN) -> list[ImageRef]:
    return list(SqliteDatasetSource(path, dataset))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW t AS SELECT 'http://a.example/' AS url",
        "CREATE VIRTUAL TABLE t USING fts5(url)",
        "CREATE TABLE other (url)",
        "CREATE TABLE t (x, url AS ('http://' || x))",
    ],
)
def test_what_is_no_plain_column_of_an_ordinary_table_is_refused(tmp_path: Path, statement: str) -> None:
    with pytest.raises(UsageError, match=r"no ordinary table|no plain column"):
        refs_of(database(tmp_path / "d.db", statement))


def test_generated_columns_are_not_run(tmp_path: Path) -> None:
    path = database(
        tmp_path / "d.db",
        "CREATE TABLE t (url, boom AS (hex(zeroblob(900000))))",
        "INSERT INTO t (url) VALUES ('http://a.example/1')",
    )
    assert len(refs_of(path)) == 1
    with pytest.raises(UsageError, match="no plain column 'boom'"):
        refs_of(path, Dataset("t", "url", labels=("boom",)))


def test_triggers_and_the_file_stay_as_they_are(tmp_path: Path) -> None:
    path = database(
        tmp_path / "d.db",
        "CREATE TABLE t (url)",
        "CREATE TABLE victim (x)",
        "INSERT INTO t VALUES ('http://a.example/1')",
        "CREATE TRIGGER boom AFTER INSERT ON t BEGIN DELETE FROM victim; END",
    )
    before = path.read_bytes()
    assert len(refs_of(path)) == 1
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["d.db"]


def test_only_reading_the_named_tables_is_let_through(tmp_path: Path) -> None:
    path = database(tmp_path / "d.db", "CREATE TABLE t (url)", "CREATE TABLE secret (x)")
    source = SqliteDatasetSource(path, Dataset("t", "url"))
    connection = source._connect()
    from sosie.sources.sqlite_dataset import _Reader

    _Reader(connection, Dataset("t", "url"), str(path))
    connection.execute("SELECT url FROM t")
    for statement in (
        "SELECT x FROM secret",
        "INSERT INTO t VALUES (1)",
        "ATTACH 'x.db' AS x",
        "PRAGMA query_only = OFF",
        "SELECT load_extension('x')",
        "SELECT random()",
        "CREATE TEMP TABLE y (z)",
    ):
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute(statement).fetchall()
    connection.close()


def test_a_value_too_long_costs_one_row(tmp_path: Path) -> None:
    path = database(
        tmp_path / "d.db",
        "CREATE TABLE t (url, title)",
        (
            "INSERT INTO t VALUES (?, ?)",
            [("http://a.example/1", "a"), ("http://a.example/2", "x" * 3_000_000), ("http://a.example/3", "c")],
        ),
    )
    source = SqliteDatasetSource(path, Dataset("t", "url", labels=("title",)))
    assert [ref.labels for ref in source] == [{"title": "a"}, {"title": "c"}]
    assert sum(each.count for each in source.left_out) == 1


def test_values_of_mixed_types_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = database(
        tmp_path / "d.db",
        "CREATE TABLE t (url, x)",
        "INSERT INTO t VALUES ('http://a.example/1', 5)",
        "INSERT INTO t VALUES ('http://a.example/2', 'five')",
        "INSERT INTO t VALUES ('http://a.example/3', x'ff')",
        "INSERT INTO t VALUES ('http://a.example/4', CAST(x'ff41' AS TEXT))",
        "INSERT INTO t VALUES (5, 9e999)",
    )
    source = SqliteDatasetSource(path, Dataset("t", "url", labels=("x",)))
    assert [ref.labels for ref in source] == [{"x": 5.0}, {"x": "five"}, {}, {"x": "ÿA"}]
    assert sum(each.count for each in source.left_out) == 1


def test_a_damaged_file(tmp_path: Path) -> None:
    path = bam(tmp_path / "d.db", 2000)
    data = bytearray(path.read_bytes())
    data[8192:40960] = b"\xa5" * (40960 - 8192)
    path.write_bytes(data)
    with pytest.raises(DamagedError, match="no sound SQLite database"):
        refs_of(path, PRESETS["bam"])


@pytest.mark.parametrize("data", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 500])
def test_what_is_no_database(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "d.db").write_bytes(data)
    with pytest.raises(DamagedError):
        refs_of(tmp_path / "d.db")


def test_a_database_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable):
        refs_of(tmp_path / "d.db")


def test_a_locked_database_is_read_all_the_same(tmp_path: Path) -> None:
    path = database(tmp_path / "d.db", "CREATE TABLE t (url)", "INSERT INTO t VALUES ('http://a.example/1')")
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    assert len(refs_of(path)) == 1
    writer.close()


def test_rows_in_a_write_ahead_log_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE t (url)")
    writer.execute("INSERT INTO t VALUES ('http://a.example/1')")
    assert len(refs_of(path)) == 1
    writer.close()


def test_a_database_that_changes_meanwhile_ends_the_run(tmp_path: Path) -> None:
    path = bam(tmp_path / "d.db", 1200)
    walk = iter(SqliteDatasetSource(path, PRESETS["bam"]))
    next(walk)
    database(path, "INSERT INTO modules VALUES (99999, 0, 'http://a.example/late', 0, '')")
    with pytest.raises(SourceUnreachable, match="written to while it was read"):
        list(walk)


def test_a_table_without_rowid_is_refused(tmp_path: Path) -> None:
    path = database(
        tmp_path / "d.db", "CREATE TABLE t (url TEXT PRIMARY KEY) WITHOUT ROWID", "INSERT INTO t VALUES ('x')"
    )
    with pytest.raises(UsageError, match="no rowid"):
        refs_of(path)


def test_attributes_that_are_not_there(tmp_path: Path) -> None:
    path = database(tmp_path / "d.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, url)")
    with pytest.raises(UsageError, match="has no column media_"):
        refs_of(path, Dataset("t", "url", key="id", attributes=(Attributes("t", "id", ("media",)),)))
