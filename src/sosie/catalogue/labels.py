"""Labels in the catalogue: single values, several values, numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from sosie.catalogue.database import Database
from sosie.catalogue.deeds import insert_deed, labelling
from sosie.catalogue.records import fields_digest
from sosie.errors import DamagedError
from sosie.types import LabelValue, number_text

__all__ = ["Condition", "Labels", "gather", "label_is_sound", "pictures_meeting"]

Condition: TypeAlias = tuple[str, Sequence[object]]


class Labels(Database):
    """Reads and writes the labels of pictures."""

    def labels_of(self, content_id: int) -> dict[str, LabelValue]:
        """Return the labels of one picture; a label of several values is a tuple."""
        rows = self.query(
            "SELECT content_id, name, kind, text, number, digest FROM labels WHERE content_id = ? ORDER BY name, text",
            (content_id,),
        )
        return gather(row[1:5] for row in self.sound_labels(rows))

    def all_labels(self) -> dict[int, dict[str, LabelValue]]:
        """Return the labels of every picture that has any, by content id."""
        rows = self.query(
            "SELECT content_id, name, kind, text, number, digest FROM labels ORDER BY content_id, name, text"
        )
        return _by_content([row[:5] for row in self.sound_labels(rows)])

    def sound_labels(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Yield rows (content_id, name, kind, text, number, digest); raise DamagedError for one that was changed."""
        for row in rows:
            if not label_is_sound(row):
                raise DamagedError(f"a label of picture {row[0]} in {self.path} is damaged: run `sosie doctor`")
            yield row

    def label_counts(self, condition: Condition | None = None) -> dict[str, dict[str, int]]:
        """Return how many live pictures carry each value of each label, most frequent first.

        ``condition`` over ``contents`` (``where.compile_sql``) picks the pictures.
        """
        pictures, parameters = pictures_meeting(condition)
        rows = self.query(
            # texts of numbers that older versions wrote are rounded
            f"SELECT name, text, number, count(*) FROM labels WHERE content_id IN ({pictures})"
            " GROUP BY name, iif(number IS NULL, text, number) ORDER BY name, count(*) DESC, text",
            parameters,
        )
        counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for name, text, number, count in rows:
            value = _text(text, number)
            counts[name][value] = counts[name].get(value, 0) + count
        return dict(counts)

    def label_cross(self, first: str, second: str, condition: Condition | None = None) -> dict[tuple[str, str], int]:
        """Return how many live pictures carry each pair of values of two labels, most frequent first."""
        pictures, parameters = pictures_meeting(condition)
        rows = self.query(
            "SELECT a.text, a.number, b.text, b.number, count(*)"
            " FROM labels AS a JOIN labels AS b ON a.content_id = b.content_id"
            f" WHERE a.name = ? AND b.name = ? AND a.content_id IN ({pictures})"
            " GROUP BY a.text, a.number, b.text, b.number ORDER BY count(*) DESC, a.text, b.text",
            (first, second, *parameters),
        )
        return {(_text(*row[:2]), _text(*row[2:4])): row[4] for row in rows}

    def label_kinds(self) -> dict[str, list[str]]:
        """Return of which kinds the values of each label are; more than one is worth a look."""
        kinds: defaultdict[str, list[str]] = defaultdict(list)
        for name, kind in self.query("SELECT DISTINCT name, kind FROM labels ORDER BY name, kind"):
            kinds[name].append(kind)
        return dict(kinds)

    def edit_labels(self, ids: Sequence[int], labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of many pictures, all or none."""
        keep = {name: value for name, value in labels.items() if value is not None}
        with self.transaction("editing labels") as connection:
            for content_id in ids:
                for name in labels.keys() - keep.keys():
                    connection.execute("DELETE FROM labels WHERE content_id = ? AND name = ?", (content_id, name))
                self.put_labels(connection, content_id, keep)
            insert_deed(connection, "label", labelling(ids, labels))

    def set_labels(self, content_id: int, labels: Mapping[str, LabelValue | None]) -> None:
        """Set or, with None, take away labels of one picture."""
        with self.transaction("editing labels") as connection:
            for name in labels:
                connection.execute("DELETE FROM labels WHERE content_id = ? AND name = ?", (content_id, name))
            self.put_labels(connection, content_id, {k: v for k, v in labels.items() if v is not None})
            insert_deed(connection, "label", labelling([content_id], labels))

    def set_labels_of_each(self, labels: Mapping[int, Mapping[str, LabelValue]]) -> None:
        """Set labels of many pictures, each its own, all or none; labels of other names are kept."""
        with self.transaction("storing labels") as connection:
            for content_id, each in labels.items():
                self.put_labels(connection, content_id, each)
            insert_deed(connection, "label", labelling([*labels], dict.fromkeys(chain(*labels.values()), "…")))

    def put_labels(self, connection: Any, content_id: int, labels: Mapping[str, LabelValue]) -> None:
        """Write labels inside a transaction; those of the same name are replaced, others kept."""
        for name, value in labels.items():
            connection.execute("DELETE FROM labels WHERE content_id = ? AND name = ?", (content_id, name))
            for kind, text, given in _rows(value):
                number = None if given is None else given + 0.0  # as SQLite keeps it: no integer, no minus zero
                connection.execute(
                    "INSERT OR IGNORE INTO labels (content_id, name, kind, text, number, digest)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (content_id, name, kind, text, number, fields_digest(content_id, name, kind, text, number)),
                )


def label_is_sound(row: Sequence[Any]) -> bool:
    """Tell whether a row (content_id, name, kind, text, number, digest) is what was written; older ones have none."""
    return row[5] is None or bool(fields_digest(*row[:5]) == row[5])


def pictures_meeting(condition: Condition | None) -> tuple[str, tuple[object, ...]]:
    """Return a query for the ids of live pictures that meet a condition."""
    sql, parameters = condition or ("1", ())
    live = "EXISTS (SELECT 1 FROM locations WHERE locations.content_id = contents.id)"
    return f"SELECT id FROM contents WHERE {live} AND ({sql})", tuple(parameters)


def _text(text: str, number: float | None) -> str:
    return text if number is None else number_text(number)


def _rows(value: LabelValue) -> list[tuple[str, str, float | None]]:
    if isinstance(value, tuple):
        return [("multi", text, None) for text in value]
    if isinstance(value, str):
        return [("single", value, None)]
    return [("number", number_text(value), float(value))]


def _by_content(rows: list[tuple[Any, ...]]) -> dict[int, dict[str, LabelValue]]:
    groups: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for content_id, *rest in rows:
        groups[content_id].append(tuple(rest))
    return {content_id: gather(group) for content_id, group in groups.items()}


def gather(rows: Iterable[tuple[Any, ...]]) -> dict[str, LabelValue]:
    """Return one picture's labels from its rows (name, kind, text, number) in the order of name and text."""
    labels: dict[str, LabelValue] = {}
    for name, kind, text, number in rows:
        if kind == "multi":
            before = labels.get(name, ())
            labels[name] = (*before, text) if isinstance(before, tuple) else (text,)
        else:
            labels[name] = number if kind == "number" else text
    return labels
