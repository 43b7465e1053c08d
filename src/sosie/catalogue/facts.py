"""Facts of pictures: what was read from them or recognised in them, apart from labels, which people give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sosie.catalogue.database import Database
from sosie.catalogue.labels import Condition, pictures_meeting
from sosie.catalogue.records import FactValues, digest_of
from sosie.errors import DamagedError

__all__ = ["Facts", "fact_is_sound"]


class Facts(Database):
    """Reads and writes facts."""

    def facts_of(self, ids: Sequence[int]) -> dict[int, dict[str, FactValues]]:
        """Return the facts of some pictures, of those that have any; raise DamagedError."""
        rows = self.among(
            "SELECT content_id, name, text, number, digest FROM facts WHERE content_id IN ({marks})"
            " ORDER BY content_id, name, text",
            (),
            ids,
        )
        found: defaultdict[int, dict[str, FactValues]] = defaultdict(dict)
        for content_id, name, text, number, digest in rows:
            if not fact_is_sound((content_id, name, text, number, digest)):
                raise DamagedError(f"a fact of picture {content_id} in {self.path} is damaged: run `sosie doctor`")
            found[content_id][name] = (*found[content_id].get(name, ()), text if number is None else number)
        return dict(found)

    def put_facts(self, facts: Mapping[int, Mapping[str, FactValues]]) -> None:
        """Store facts of many pictures; those of the same name are replaced, by none where there is no value."""
        with self.transaction("storing facts") as connection:
            for content_id, each in facts.items():
                self.replace_facts(connection, content_id, each)

    def replace_facts(self, connection: Any, content_id: int, facts: Mapping[str, FactValues]) -> None:
        """Write facts of one picture inside a transaction."""
        for name, values in facts.items():
            connection.execute("DELETE FROM facts WHERE content_id = ? AND name = ?", (content_id, name))
            rows = [(content_id, name, *_columns(value)) for value in dict.fromkeys(values)]
            connection.executemany(
                "INSERT INTO facts (content_id, name, text, number, digest) VALUES (?, ?, ?, ?, ?)",
                [(*row, _digest(*row)) for row in rows],
            )

    def fact_counts(self, name: str, condition: Condition | None = None) -> dict[str, int]:
        """Return how many live pictures have each text of a fact, most frequent first."""
        pictures, parameters = pictures_meeting(condition)
        rows = self.query(
            f"SELECT text, count(*) FROM facts WHERE name = ? AND content_id IN ({pictures})"
            " GROUP BY text ORDER BY count(*) DESC, text",
            (name, *parameters),
        )
        return dict(rows)


def fact_is_sound(row: Sequence[Any]) -> bool:
    """Tell whether a row (content_id, name, text, number, digest) is what was written."""
    return bool(_digest(*row[:4]) == row[4])


def _columns(value: str | float) -> tuple[str, float | None]:
    return (value, None) if isinstance(value, str) else (repr(float(value)), float(value))


def _digest(content_id: int, name: str, text: str, number: float | None) -> bytes:
    return digest_of(repr((content_id, name, text, number)).encode("utf-8", "surrogatepass"))
