"""Write docs/reference/python.md from the docstrings and signatures of what Python programs use.

    python docs/make_python_reference.py

A test fails where the file is not what this writes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import sosie
from sosie import errors, library, types
from sosie.catalogue.records import PictureRecord
from sosie.ingest import AddReport
from sosie.maintenance.file_indexes import FileIndexes
from sosie.maintenance.labels import LabelEditor
from sosie.maintenance.pictures import Pictures
from sosie.models.adding import AddOptions, Quarantine
from sosie.models.classifier import Classifiers
from sosie.models.service import Models
from sosie.search import SearchOptions

HERE = Path(__file__).parent
HEADER = """# Python

<!-- written by docs/make_python_reference.py; edit the docstrings, not this page -->

```python
import sosie

lib = sosie.open("photo-library")  # made where there is none; a new one uses model="bundled"
lib.add("photos/")  # or a DataFrame, a list of images, an address
for hit in lib.search("a.jpg", k=10):  # or an image, an array, a vector, an id, a list of those
    print(hit.score, hit.verdict, hit.uri)
```

[A notebook](../../examples/notebook.ipynb) goes through it: a DataFrame in, questions by image and array, results in
pandas, labels back. Reading from several threads at once is safe; one process writes at a time, and a second one waits
or is told who holds the library. A fork opens the library anew, and so does a process that a library is pickled to.
"""
NOTEBOOK = """## In a notebook

A `Library` at the end of a cell is a card with its counts, a `SearchResult` a contact sheet: thumbnails, verdicts.
The extra `plot` adds figures for papers, as matplotlib's own objects:

```python
import sosie.plot

result = lib.search("photo.jpg")
sosie.plot.neighbours(lib, result).savefig("neighbours.pdf")  # query and neighbours, each with rank, distance, verdict
sosie.plot.distances(lib.search_many(["a.jpg", "b.jpg"]))  # distance by rank, one line a query
```
"""
CONTAINER = [
    "| `len(lib)`, `id in lib`, `path in lib` | How many pictures there are, and whether one is among them. |",
    "| `lib[id]`, `for record in lib` | A `PictureRecord`; all of them in order of id, a page in memory at a time. |",
    "| `with sosie.open(…) as lib` | Closes it at the end. |",
]
QUERIES = """## Queries

| a query | is |
|---|---|
| `"a.jpg"`, `Path("a.jpg")`, `"https://…"` | the file, or the picture of the public web |
| `bytes`, an open file | the picture's file |
| a PIL image | its pixels, with its colour profile and orientation |
| an array or a tensor (height, width, 3, 4 or 1) | pixels: RGB, RGBA, grey; uint8, uint16, or floats from 0 to 1 |
| an array (dim,) of floats | a vector, as `lib.embed` and `lib.vectors` give them; (n, dim) are n of them |
| an `int`, a `Hit`, a `PictureRecord` | a picture of the library |
| `"a.jpg + b.jpg - c.jpg"`, `((1, a), (-1, b))` | a sum |
| `sosie.types.Text("a red bicycle")`, `text="…"` | words |
| a list of any of these | several queries, which give a list of results |

Anything else is a `TypeError` that says what is taken.
"""


def reference() -> str:
    """Return the page."""
    parts = [HEADER, _function(library.open, "sosie.open"), _class(sosie.Library, "lib"), QUERIES]
    parts += [_options(SearchOptions, "Options of a search"), _options(AddOptions, "Options of adding")]
    for name, kind in (
        ("lib.pictures", Pictures),
        ("lib.labels", LabelEditor),
        ("lib.quarantine", Quarantine),
        ("lib.models", Models),
        ("lib.classifiers", Classifiers),
        ("lib.indexes", FileIndexes),
    ):
        parts.append(_class(kind, name))
    for value in (types.SearchResult, types.Hit, PictureRecord, types.Classification, AddReport):
        parts.append(_class(value, value.__name__))
    return "\n".join([*parts, NOTEBOOK, _errors()])


def _function(function: object, name: str) -> str:
    return f"## {name}\n\n```python\n{name}{_signature(function)}\n```\n\n{_text(function)}\n"


def _class(kind: type, name: str) -> str:
    lines = [f"## {name}", "", f"`{kind.__module__}.{kind.__qualname__}`. {_text(kind)}", ""]
    if is_dataclass(kind):
        lines += [f"Fields: {', '.join(f'`{each.name}`' for each in fields(kind))}.", ""]
    lines += ["| | |", "|---|---|", *CONTAINER] if name == "lib" else ["| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{shown}` | {_first(member)} |" for shown, member in _members(kind, name))]) + "\n"


def _members(kind: type, name: str) -> Iterator[tuple[str, object]]:
    """Yield what people may use of a class: how it is written, and the member with its docstring."""
    own = [each for each in kind.__mro__ if each.__module__.startswith("sosie")]
    seen: dict[str, object] = {key: value for each in reversed(own) for key, value in vars(each).items()}
    if "__call__" in seen:
        yield f"{name}{_parameters(seen['__call__'])}", seen["__call__"]
    for key, value in sorted(seen.items()):
        plain = getattr(value, "__func__", value)
        if key.startswith("_") or not getattr(plain, "__doc__", None):
            continue
        if isinstance(value, property) or type(value).__name__ == "cached_property":
            yield f"{name}.{key}", value
        elif inspect.isfunction(plain):
            yield f"{name}.{key}{_parameters(plain)}", plain


def _parameters(function: object) -> str:
    """Return the parameters without their types, which the page of a table has no room for."""
    found = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]  # type: ignore[arg-type]
    shown = inspect.Signature([each.replace(annotation=inspect.Parameter.empty) for each in found])
    return re.sub(r"<function .*? at 0x[0-9a-f]+>", "…", str(shown)).replace("|", "\\|")


def _signature(function: object) -> str:
    return str(inspect.signature(function)).replace("'", "")  # type: ignore[arg-type]


def _options(kind: type, title: str) -> str:
    return f"## {title}\n\n{_text(kind)}\n"


def _errors() -> str:
    tree = (errors.__doc__ or "").split("\n\n")[1]
    return (
        "## Errors\n\nEvery error is a `sosie.SosieError`; many are one of Python's own, too. The number is the exit "
        f"code of a command.\n\n```text\n{inspect.cleandoc(tree)}\n```\n"
    )


def _text(member: object) -> str:
    return _markdown(inspect.getdoc(member) or "")


def _first(member: object) -> str:
    """Return the first paragraph of a docstring, on one line, as a cell of a table."""
    text = inspect.getdoc(member) or ""
    return _markdown(" ".join(text.split("\n\n")[0].split())).replace("|", "\\|")


def _markdown(text: str) -> str:
    return re.sub(r"``([^`]+)``", r"`\1`", text)


if __name__ == "__main__":
    (HERE / "reference" / "python.md").write_text(reference(), encoding="utf-8")
