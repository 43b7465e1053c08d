"""Every code that a reader of the page may meet has words in every language."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

import sosie
from sosie.catalogue.decisions import DECISIONS
from sosie.catalogue.deeds import DEEDS
from sosie.copies.review import CLASSES
from sosie.server.i18n import LANGUAGES, UNITS, local_number, words
from sosie.server.job import JobState
from sosie.server.problems import _STATUS
from sosie.server.sections import SECTIONS
from sosie.server.views import FACTS, unknown_labels
from sosie.types import Verdict

SOURCE = Path(sosie.__file__).parent
CALLS = {"BadPicture": ("reason", 0), "Problem": ("problem", 1), "refuse": ("problem", 2)}


def texts(lang: str) -> dict[str, str]:
    return dict(json.loads(resources.files("sosie.server").joinpath("strings", f"{lang}.json").read_text("utf-8")))


def codes(tree: ast.AST) -> Iterator[str]:
    """Yield the keys of the codes that a module raises or sends by a literal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            table, at = CALLS.get(name, ("", 0))
            found = node.args[at : at + 1] if table else []
            for each in found:
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield f"{table}.{each.value}"


def raised() -> set[str]:
    found = {key for path in SOURCE.rglob("*.py") for key in codes(ast.parse(path.read_text("utf-8")))}
    return found | {f"problem.{code}" for _, _, code in _STATUS}


def test_the_codes_are_found() -> None:
    assert {"reason.too_many_pixels", "reason.private_address", "problem.bad_box", "problem.busy"} <= raised()
    assert list(codes(ast.parse('raise errors.BadPicture("novel", "a code without words")'))) == ["reason.novel"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_code_has_words(lang: str) -> None:
    expected = raised() | {f"{table}.{each}" for table in ("verdict", "why") for each in Verdict}
    expected |= {f"deed.{each}" for each in DEEDS} | {f"section.{name}" for name in SECTIONS}
    expected |= {f"decision.{each}" for each in DECISIONS}
    expected |= {f"jobs.{state}" for state in JobState} | {f"fact.{name}" for name in FACTS}
    expected |= {f"duplicates.class.{each}" for each in CLASSES} | {"way.other", "problem.other"}
    assert sorted(expected - texts(lang).keys()) == []
    assert lang in UNITS


def test_both_languages_have_the_same_words() -> None:
    assert texts("en").keys() == texts("fr").keys()


def test_a_code_of_a_plug_in_stands_for_itself() -> None:
    assert words("fr").of("reason", "of_a_plug_in") == "of_a_plug_in"
    assert words("fr").of("way", "of_a_plug_in").startswith("Essayez")


def test_numbers_are_written_as_the_language_writes_them() -> None:
    assert local_number("1,310.5 %", "fr") == "1\u202f310,5 %"
    assert local_number("1,310.5 %", "en") == "1,310.5 %"


def test_labels_that_no_picture_has_are_found_in_a_filter() -> None:
    assert unknown_labels("label = 'cat' and (colour in ('red') or width > 3) and not gone = 1", {"label"}) == (
        "colour",
    )
