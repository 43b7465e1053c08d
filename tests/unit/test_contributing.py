"""Whoever follows CONTRIBUTING.md gets an index, an embedder and a source that work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
_TRY = """
import sys
from pathlib import Path
import sosie.registry
from sosie.cli import main
from sosie.sources.lines import LinesSource
from sosie.sources.options import SourceOptions
from sosie.testing.indexes import INDEX_CHECKS
from sosie.testing.sources import SOURCE_CHECKS

folder = Path(sys.argv[1])

def planted(pictures):
    for name, data in pictures.items():
        path = folder / "planted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    lines = folder / "planted.txt"
    lines.write_text("\\n".join(str(folder / "planted" / name) for name in pictures), encoding="utf-8")
    return LinesSource(f"lines://{lines}", SourceOptions())

for check in INDEX_CHECKS:
    check(sosie.registry.resolve_index("plain"))
for check in SOURCE_CHECKS:
    check(planted)

def run(*words):
    assert main([*words, "--library", str(folder / "library")]) == 0, words

run("add", f"lines://{folder / 'list.txt'}", "--model", "mean")
run("index", "build", "--kind", "plain")
run("search", str(folder / "0.png"), "--json")
"""


def _blocks() -> list[tuple[str, str]]:
    """Return the first line of every piece of code in the page, a comment that says where it goes, and the rest."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    return re.findall(r"```python\n# (?:a line of )?(\S+)\n(.*?)```", page, re.DOTALL)


@pytest.fixture
def followed(tmp_path: Path) -> Path:
    """Return the source as it is after all steps."""
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src/sosie", source / "sosie", ignore=shutil.ignore_patterns("__pycache__"))
    for place, text in _blocks():
        if place.endswith(".py"):
            (tmp_path / place).write_text(text, "utf-8")
            continue
        registry = source / "sosie/registry.py"
        table = re.search(rf"^{place.rpartition('.')[2]}: .*{{\n", before := registry.read_text("utf-8"), re.MULTILINE)
        assert table is not None, place
        registry.write_text(before[: table.end()] + text + before[table.end() :], "utf-8")
    return source


def test_the_page_says_how_to_add_each_kind() -> None:
    assert [place for place, _ in _blocks()] == [
        "src/sosie/indexes/plain.py",
        "sosie.registry.INDEXES",
        "src/sosie/embedders/mean.py",
        "sosie.registry.EMBEDDERS",
        "src/sosie/sources/lines.py",
        "sosie.registry.SOURCES",
    ]


def test_what_follows_the_page_works(followed: Path, tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    for number, colour in enumerate(colours):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{number}.png")
    (tmp_path / "list.txt").write_text("\n".join(str(tmp_path / f"{n}.png") for n in range(3)), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _TRY, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(followed), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert '"kind": "plain"' in done.stdout and '"score": 1.0' in done.stdout
