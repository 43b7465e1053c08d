"""The shape of the code: what imports what, and what `import sosie` costs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import sosie

SOURCE = Path(sosie.__file__).parent
HEAVY = ("torch", "faiss", "onnxruntime", "cv2", "fastapi", "numpy", "PIL", "pydantic", "typer", "httpx")


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_sosie_loads_nothing_heavy() -> None:
    assert not modules_after("import sosie") & set(HEAVY)


def test_a_library_is_opened_without_engines_and_frameworks() -> None:
    assert not modules_after("import sosie; sosie.open") & {"torch", "fastapi", "httpx", "cv2", "onnxruntime"}


def test_all_names_what_is_there() -> None:
    for name in sosie.__all__:
        assert getattr(sosie, name) is not None


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_exported_names_exist(path: Path) -> None:
    if path.name == "__main__.py" or "__all__" not in path.read_text(encoding="utf-8"):
        return
    relative = path.relative_to(SOURCE.parent).with_suffix("")
    parts = relative.parts[:-1] if relative.name == "__init__" else relative.parts
    module = import_module(".".join(parts))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("sqlite3", {"catalogue", "sources/sqlite_dataset.py", "sources/dataset.py"}),
        ("fastapi", {"server"}),
        ("torch", {"training", "embedders"}),
        ("pickle", set()),
    ],
)
def test_a_library_is_used_only_at_home(library: str, homes: set[str]) -> None:
    pattern = re.compile(rf"^\s*(?:import|from)\s+{library}\b", re.MULTILINE)
    users = [str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if pattern.search(p.read_text(encoding="utf-8"))]
    assert [user for user in users if not any(user.startswith(home) for home in homes)] == []


def test_the_page_shows_the_rows_that_are_checked() -> None:
    root = Path(__file__).parents[2]
    tools = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    rows = "".join(f"    {row}\n" for row in tools["importlinter"]["contracts"][0]["layers"])
    assert rows in (root / "docs/explanation/architecture.md").read_text(encoding="utf-8")
