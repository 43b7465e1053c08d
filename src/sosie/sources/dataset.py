"""What a dataset database means: its table, where the pictures are, and which columns are labels.

table: modules              # the table with one row a picture
place: src                  # its column with the URL, or with a path below ``base``
base: pictures              # for paths: a folder, relative to the database; default: the database's own
labels: [license, year]     # columns of the same table
key: mid                    # needed for ``attributes``, and a label of its own
attributes:                 # tables with one column for each thing that may be on the picture
  - table: automatic_labels
    key: mid
    value: positive         # what a cell says where the thing is there
    groups: [content, media]  # content_cat: positive  →  the label content has the value cat
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sosie.errors import NotFound, SettingsError

__all__ = ["PRESETS", "Attributes", "Dataset", "load_dataset"]


@dataclass(frozen=True, slots=True)
class Attributes:
    """A table of attributes: ``<group>_<thing>`` holds ``value`` where the thing is there."""

    table: str
    key: str
    groups: tuple[str, ...]
    value: str = "positive"
    name: str = ""  # a prefix of the labels' names: ``unsure.`` gives unsure.content


@dataclass(frozen=True, slots=True)
class Dataset:
    """The meaning of one database's columns."""

    table: str
    place: str
    key: str = ""
    base: str = ""
    labels: tuple[str, ...] = ()
    attributes: tuple[Attributes, ...] = field(default=())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that become labels: the key, too, by which people find a picture again."""
        return (*([self.key] if self.key and self.key not in (self.place, *self.labels) else ()), *self.labels)


_BAM_GROUPS = ("content", "emotion", "media")

PRESETS: Mapping[str, Dataset] = {
    # Behance Artistic Media (Wilber et al., "BAM! The Behance Artistic Media Dataset for Recognition Beyond
    # Photography", 2017)
    "bam": Dataset(
        table="modules",
        place="src",
        key="mid",
        labels=("license", "mature_content", "project_id"),
        attributes=(
            Attributes("automatic_labels", "mid", _BAM_GROUPS),
            Attributes("automatic_labels", "mid", _BAM_GROUPS, value="unsure", name="unsure."),
        ),
    )
}


def load_dataset(spec: str) -> Dataset:
    """Return a preset by its name, or read a YAML description; raise SettingsError for what it does not know."""
    if spec in PRESETS:
        return PRESETS[spec]
    import yaml

    path = Path(spec)
    if not path.is_file():
        raise NotFound(f"{spec} is neither a preset ({', '.join(PRESETS)}) nor a YAML file")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeError) as error:
        raise SettingsError(f"{path} is no sound YAML: {error}") from error
    return _dataset(raw, str(path))


def _dataset(raw: Any, where: str) -> Dataset:
    found = _fields(raw, {"table", "place"}, {"key", "base", "labels", "attributes"}, where)
    attributes = tuple(_attributes(item, where) for item in _list(found.get("attributes", []), where))
    if attributes and not found.get("key"):
        raise SettingsError(f"{where}: attributes need the key of the table: key: …")
    return Dataset(
        table=str(found["table"]),
        place=str(found["place"]),
        key=str(found.get("key", "")),
        base=str(found.get("base", "")),
        labels=tuple(map(str, _list(found.get("labels", []), where))),
        attributes=attributes,
    )


def _attributes(raw: Any, where: str) -> Attributes:
    found = _fields(raw, {"table", "key", "groups"}, {"value", "name"}, f"{where}: attributes")
    return Attributes(
        table=str(found["table"]),
        key=str(found["key"]),
        groups=tuple(map(str, _list(found["groups"], where))),
        value=str(found.get("value", "positive")),
        name=str(found.get("name", "")),
    )


def _fields(raw: Any, needed: set[str], optional: set[str], where: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise SettingsError(f"{where}: expected keys and values, such as table: pictures")
    if missing := needed - raw.keys():
        raise SettingsError(f"{where}: missing {', '.join(sorted(missing))}")
    if unknown := raw.keys() - needed - optional:
        known = ", ".join(sorted(needed | optional))
        raise SettingsError(f"{where}: unknown {', '.join(sorted(map(str, unknown)))}; known: {known}")
    return raw


def _list(raw: Any, where: str) -> list[Any]:
    if not isinstance(raw, list):
        raise SettingsError(f"{where}: expected a list, found {raw!r}")
    return raw
