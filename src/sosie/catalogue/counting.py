"""The triggers that count pictures, places and vectors in the commits that change them."""

from __future__ import annotations

__all__ = ["TOTALS", "UNCOUNTED", "counters"]

TOTALS = """
CREATE TABLE totals (
    name  TEXT PRIMARY KEY,       -- pictures, bytes, locations; embedded/ID: pictures with a vector in a space
    value INTEGER
) WITHOUT ROWID;
"""
UNCOUNTED = """
INSERT INTO totals SELECT value, iif(EXISTS (SELECT 1 FROM contents), NULL, 0)
    FROM json_each('["pictures", "bytes", "locations"]');
INSERT INTO totals SELECT 'embedded/' || id, iif(EXISTS (SELECT 1 FROM contents), NULL, 0) FROM spaces;
"""


def _counting(name: str, event: str, condition: str, *updates: str) -> str:
    """Return a trigger that counts."""
    steps = " ".join(f"UPDATE totals SET value = value {each};" for each in updates)
    return f"CREATE TRIGGER count_{name} {event} WHEN {condition} BEGIN {steps} END;\n"


def _of_picture(sign: str, picture: str, size: str) -> tuple[str, ...]:
    """Return the updates for a picture that got its first place, or lost its last one."""
    embedded = (
        "SELECT 'embedded/' || id FROM spaces WHERE EXISTS"
        f" (SELECT 1 FROM vectors WHERE space_id = spaces.id AND content_id = {picture} AND region_id = 0)"
    )
    return (
        f"{sign} 1 WHERE name = 'pictures'",
        f"{sign} {size} WHERE name = 'bytes'",
        f"{sign} 1 WHERE name IN ({embedded})",
    )


def counters() -> str:
    """Return the triggers; a picture counts while it has a place."""

    def live(picture: str, *, beside: str = "") -> str:
        return f"EXISTS (SELECT 1 FROM locations WHERE content_id = {picture}{beside})"

    def size(row: str) -> str:
        return f"(SELECT bytes FROM contents WHERE id = {row}.content_id)"

    # What a removed picture had goes after its row, and is counted with it: then there is no size any more.
    first = f"NOT {live('NEW.content_id', beside=' AND uri <> NEW.uri')}"
    last = f"NOT {live('OLD.content_id')} AND {size('OLD')} IS NOT NULL"
    moved, whole = "OLD.content_id <> NEW.content_id", "region_id = 0"
    gained = _of_picture("+", "NEW.content_id", size("NEW"))
    lost = _of_picture("-", "OLD.content_id", size("OLD"))
    space_of_new, space_of_old = (f"1 WHERE name = 'embedded/' || {row}.space_id" for row in ("NEW", "OLD"))
    known = f"OLD.{whole} AND {live('OLD.content_id')} AND {size('OLD')} IS NOT NULL"
    return "".join(
        (
            _counting("place", "AFTER INSERT ON locations", "1", "+ 1 WHERE name = 'locations'"),
            _counting("place_gone", "AFTER DELETE ON locations", "1", "- 1 WHERE name = 'locations'"),
            _counting("first_place", "AFTER INSERT ON locations", first, *gained),
            _counting("last_place", "AFTER DELETE ON locations", last, *lost),
            _counting("moved_here", "AFTER UPDATE OF content_id ON locations", f"{moved} AND {first}", *gained),
            _counting("moved_away", "AFTER UPDATE OF content_id ON locations", f"{moved} AND {last}", *lost),
            _counting("removed", "BEFORE DELETE ON contents", live("OLD.id"), *_of_picture("-", "OLD.id", "OLD.bytes")),
            _counting(
                "vector", "AFTER INSERT ON vectors", f"NEW.{whole} AND {live('NEW.content_id')}", f"+ {space_of_new}"
            ),
            _counting("vector_gone", "AFTER DELETE ON vectors", known, f"- {space_of_old}"),
            "CREATE TRIGGER count_space AFTER INSERT ON spaces BEGIN"
            " INSERT INTO totals VALUES ('embedded/' || NEW.id, 0); END;\n"
            "CREATE TRIGGER count_space_gone AFTER DELETE ON spaces BEGIN"
            " DELETE FROM totals WHERE name = 'embedded/' || OLD.id; END;\n",
        )
    )
