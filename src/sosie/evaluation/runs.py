"""Run folders: what was asked and what was answered, so that scoring needs nothing else.

    RUN/
      config.json       everything that the answers depend on, and the SHA-256 of every file of answers
      arrays.npz        arrays of numbers, no pickle
      <table>.csv       one row for each query, reference …
      pictures.zip      small pictures for the report
      score.json, *.csv, report.html        written by scoring

Predictions first, scores from the stored file, a changed configuration refused: the habit is glue-factory's.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sosie import files
from sosie.arrays import load_arrays
from sosie.errors import DamagedError, NotFound, UsageError

__all__ = ["Run", "differences", "open_run", "plain", "require_run", "write_csv", "write_run"]

Arrays = Mapping[str, npt.NDArray[Any]]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder whose answers are complete."""

    folder: Path
    config: Mapping[str, Any]

    @property
    def protocol(self) -> str:
        """What was measured: labels, copies or index."""
        return str(self.config["protocol"])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the stored arrays."""
        return load_arrays(self.folder / "arrays.npz")

    def table(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a stored table; every value is text, as in the file."""
        with (self.folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def picture(self, name: str) -> bytes | None:
        """Return a stored small picture, or None where there is none."""
        path = self.folder / "pictures.zip"
        if not path.exists():
            return None
        with zipfile.ZipFile(path) as archive:
            return archive.read(name) if name in archive.NameToInfo else None

    def write_score(self, score: Mapping[str, Any]) -> None:
        """Write score.json."""
        text = json.dumps(plain(score), indent=1, allow_nan=False)
        files.write(self.folder / "score.json", text + "\n")


def open_run(folder: Path, *, expect: Mapping[str, Any] | None = None) -> Run | None:
    """Return the run in ``folder``, or None where the folder holds none.

    Raises UsageError where its configuration is not ``expect``, naming what differs; DamagedError where a file
    is not what was written.
    """
    path = folder / "config.json"
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        config, digests = stored["config"], stored["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path} does not parse ({error}): remove the folder and run again") from error
    if expect is not None and (changed := differences(config, plain(expect))):
        raise UsageError(
            f"{folder} holds answers of another configuration ({'; '.join(changed)}): choose another --run folder"
        )
    for name, digest in digests.items():
        if not (folder / name).exists() or _sha256(folder / name) != digest:
            raise DamagedError(f"{folder / name} is not what was written: remove the folder and run again")
    return Run(folder, config)


def require_run(folder: Path) -> Run:
    """Return the run in ``folder``; raise NotFound where the folder holds none."""
    run = open_run(folder)
    if run is None:
        raise NotFound(f"{folder} holds no run: make one with `sosie evaluate labels|copies|index --run {folder}`")
    return run


def write_run(
    folder: Path,
    config: Mapping[str, Any],
    *,
    arrays: Arrays,
    tables: Mapping[str, Sequence[Row]],
    pictures: Iterable[tuple[str, bytes]] = (),
) -> Run:
    """Write answers and their configuration; config.json comes last, so that a broken run is no run."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / "config.json").exists() and not (folder / "arrays.npz").exists():
        raise UsageError(f"{folder} holds other files: choose an empty --run folder")
    names = ["arrays.npz", "pictures.zip", *(f"{name}.csv" for name in tables)]
    with files.writing(folder / "arrays.npz") as file:
        # numpy's types take every keyword for its option
        np.savez(file, **{name: _numbers(name, a) for name, a in arrays.items()})  # type: ignore[arg-type]
    for name, rows in tables.items():
        write_csv(folder / f"{name}.csv", rows)
    with files.writing(folder / "pictures.zip") as file, zipfile.ZipFile(file, "w") as archive:
        for name, data in pictures:
            archive.writestr(zipfile.ZipInfo(name), data)
    stored = {"config": plain(config), "sha256": {name: _sha256(folder / name) for name in names}}
    files.write(folder / "config.json", json.dumps(stored, indent=1, allow_nan=False) + "\n")
    return Run(folder, stored["config"])


def _numbers(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype.hasobject:  # it would have to be pickled
        raise TypeError(f"{name} holds objects, not numbers")
    return array


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of equal keys; mappings and lists become JSON text, floats keep every digit."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [])
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    files.write(path, text.getvalue())


def _cell(value: Any) -> Any:
    value = plain(value)
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def plain(value: Any) -> Any:
    """Return what JSON holds for a value: numpy numbers become Python's, NaN and infinity None."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Return one line for each key whose values differ: ``model: 'a' there, 'b' asked for``."""
    return list(_differences(stored, asked, ""))


def _differences(stored: Mapping[str, Any], asked: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key in sorted({*stored, *asked}):
        there, here = stored.get(key), asked.get(key)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            yield from _differences(there, here, f"{prefix}{key}.")
        elif there != here:
            yield f"{prefix}{key}: {there!r} there, {here!r} asked for"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
