"""The package in examples/plugin is built, installed, and taken through every command; no file of Sosie knows of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pictures import folder_of

ROOT = Path(__file__).parents[2]
pytest.importorskip("setuptools", reason="builds the example")
_BUILD = "import sys, setuptools.build_meta as build; print(build.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of the example, as an installer does, and unpack it."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "examples/plugin", folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    built = subprocess.run(
        [sys.executable, "-c", _BUILD, str(folder)], cwd=folder / "source", capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(folder / built.stdout.split()[-1]) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def work(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("work")
    paths = sorted(folder_of(folder / "pictures", 120).rglob("*.jpg"))
    (folder / "list.txt").write_text("\n".join(map(str, paths)), "utf-8")
    added = sosie(site, folder, "add", f"lines://{folder / 'list.txt'}", "--model", "stripes", "--json")
    assert json.loads(added.stdout)["indexed"] == 120
    yield folder


def run(site: Path, *words: str, cwd: Path = ROOT, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def sosie(site: Path, folder: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(site, sys.executable, "-m", "sosie", *words, "--library", str(folder / "library"), check=check)


def test_its_index_is_built_and_answers(site: Path, work: Path) -> None:
    sosie(site, work, "index", "build", "--kind", "halves")
    found = json.loads(sosie(site, work, "search", str(work / "pictures/even/00008.jpg"), "--json").stdout)
    assert found["index"]["kind"] == "halves" and found["index"]["recall"] >= 0.95
    assert found["hits"][0]["verdict"] == "identical"
    assert found["hits"][0]["uri"].startswith("lines:///") and found["hits"][0]["uri"].endswith("/00008.jpg")


def test_the_tuner_measures_it_beside_the_others(site: Path, work: Path) -> None:
    report = json.loads(sosie(site, work, "index", "tune", "--json").stdout)
    assert {"halves", "exact", "symqg"} <= {trial["kind"] for trial in report["trials"]}
    shares = {trial["params"]["share"] for trial in report["trials"] if trial["kind"] == "halves"}
    assert shares & {0.5, 0.75, 1.0}


def test_its_pictures_are_read_again(site: Path, work: Path) -> None:
    code = "import sys, sosie; lib = sosie.open(sys.argv[1]); print(len(lib.thumbnail(1)), len(lib.read(1)))"
    thumbnail, original = run(site, sys.executable, "-c", code, str(work / "library")).stdout.split()
    assert int(thumbnail) > 100 and int(original) > 100
    again = sosie(site, work, "add", f"lines://{work / 'list.txt'}", "--json")
    assert json.loads(again.stdout)["unchanged"] == 120


def test_its_model_is_listed(site: Path, work: Path) -> None:
    assert "stripes" in sosie(site, work, "models").stdout


def test_the_contract_suites_find_it_by_its_entry_points(site: Path) -> None:
    suites = [f"tests/contracts/test_{kind}_contract.py" for kind in ("index", "embedder", "source")]
    chosen = ["-k", "halves or stripes or lines or table"]
    done = run(site, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, *suites)
    assert "failed" not in done.stdout and int(done.stdout.rsplit(" passed", 1)[0].split()[-1]) > 30


def test_its_own_tests_pass(site: Path) -> None:
    run(site, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "examples/plugin/tests")


def test_a_plugin_that_raises_is_named_and_the_rest_works(site: Path, work: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken_plugin-1.dist-info"
    broken.mkdir()
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no luck')\n")
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1\n")
    points = "".join(f"[sosie.{table}]\nunlucky = broken_plugin:It\n" for table in ("indexes", "embedders", "sources"))
    (broken / "entry_points.txt").write_text(points)
    both = Path(f"{site}{os.pathsep}{tmp_path}")
    for words in (
        ("index", "build", "--kind", "unlucky"),
        ("add", "unlucky://x"),
        ("add", str(work / "pictures"), "--model", "unlucky"),
    ):
        refused = sosie(both, work if "build" in words else tmp_path, *words, check=False)
        assert refused.returncode == 2, refused.stderr
        assert "unlucky of the package broken-plugin cannot be loaded (RuntimeError: no luck)" in refused.stderr
    tuned = sosie(both, work, "index", "tune", "--json")
    assert "broken-plugin" in tuned.stderr and json.loads(tuned.stdout)["winner"]
    assert "stripes" in sosie(both, work, "models").stdout
