"""The page on the architecture says what is so: its figure is that of the code, its functions are where it says."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import sosie

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/architecture.md"
STEPS = re.findall(r"^\| `([\w.]+)` \| `([\w/]+\.py)` \|", PAGE.read_text("utf-8"), re.MULTILINE)


def drawer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_architecture", ROOT / "docs/make_architecture.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_figure_is_that_of_the_code() -> None:
    page = PAGE.read_text("utf-8")
    assert drawer().with_figure(page) == page, "run: python docs/make_architecture.py"


def test_a_figure_leaves_out_the_short_cut() -> None:
    assert drawer().reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_both_ways_are_told() -> None:
    assert STEPS[0] == ("Library.add", "library.py") and ("Library.search", "library.py") in STEPS


@pytest.mark.parametrize(("function", "file"), STEPS)
def test_each_function_is_in_its_file(function: str, file: str) -> None:
    tree: ast.AST = ast.parse((Path(sosie.__file__).parent / file).read_text("utf-8"))
    for name in function.split("."):
        named = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef | ast.FunctionDef)]
        tree = next((each for each in named if each.name == name), ast.Module([], []))
    assert isinstance(tree, ast.FunctionDef), f"{function} is not in {file}: docs/explanation/architecture.md"
