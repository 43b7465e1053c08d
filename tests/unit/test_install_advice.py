"""How an extra is installed *here*: by the program that made the environment, into that environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sosie.errors import MissingExtra
from sosie.extras import install_command, missing, needed
from sosie.extras.advice import Environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the quotes are those of a POSIX shell")
CHECKOUT = "file:///home/me/my%20sosie"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.1\n")
    return tmp_path


def by_uv(prefix: Path) -> Path:
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9.1\nversion_info = 3.12.1\n")
    return prefix


def test_pip_from_a_registry(prefix: Path) -> None:
    here = Environment(prefix, "/env/bin/python")
    assert here.command("train") == "/env/bin/python -m pip install 'sosie[train]'"
    assert here.command("s3", "heif") == "/env/bin/python -m pip install 'sosie[s3,heif]'"
    assert here.command(package="polars") == "/env/bin/python -m pip install polars"
    assert here.command(package="a==1", again=True) == "/env/bin/python -m pip install --force-reinstall a==1"


def test_pip_from_a_wheel_names_the_wheel(prefix: Path) -> None:
    here = Environment(prefix, "/env/bin/python", "file:///tmp/sosie-0.1.0-py3-none-any.whl")
    assert here.command("train") == (
        "/env/bin/python -m pip install 'sosie[train] @ file:///tmp/sosie-0.1.0-py3-none-any.whl'"
    )


def test_an_environment_without_pip_gets_it_first(prefix: Path) -> None:
    here = Environment(by_uv(prefix), "/env/bin/python", has_pip=False)
    assert here.command("hub") == ("/env/bin/python -m ensurepip && /env/bin/python -m pip install 'sosie[hub]'")


def test_uv(prefix: Path) -> None:
    here = Environment(by_uv(prefix), "/env/bin/python", has_pip=False, uv="uv")
    assert here.command("train") == "uv pip install --python /env/bin/python 'sosie[train]'"
    assert here.command(package="a==1", again=True) == "uv pip install --reinstall --python /env/bin/python a==1"


def test_a_checkout(prefix: Path) -> None:
    here = Environment(by_uv(prefix), "/env/bin/python", CHECKOUT, editable=True, has_pip=False, uv="/co/uv")
    assert here.command("train") == "/co/uv pip install --python /env/bin/python -e '/home/me/my sosie[train]'"
    with_pip = Environment(prefix, "/env/bin/python", CHECKOUT, editable=True)
    assert with_pip.command("train") == "/env/bin/python -m pip install -e '/home/me/my sosie[train]'"


def test_pipx(prefix: Path) -> None:
    (prefix / "pipx_metadata.json").write_text("{}")
    here = Environment(prefix, "/env/bin/python")
    assert here.command("train") == "pipx install --force 'sosie[train]'"
    assert here.command(package="polars") == "pipx inject --force sosie polars"


def test_a_tool_of_uv(prefix: Path) -> None:
    (by_uv(prefix) / "uv-receipt.toml").write_text("[tool]\n")
    here = Environment(prefix, "/env/bin/python", uv="uv")
    assert here.command("train") == "uv tool install --force 'sosie[train]'"
    assert here.command(package="polars") == "uv tool install --force sosie --with polars"


def test_the_command_is_of_the_environment_that_runs() -> None:
    assert "[train]" in install_command("train") and sys.executable in install_command("train")
    assert re.fullmatch(r"figures need it: .*install.*\[plot\].*", str(missing("figures need it", "plot")))


def test_the_program_that_is_named_runs_here() -> None:
    first = install_command("train").partition(" install ")[0].removesuffix(" pip")
    if "ensurepip" in first:
        pytest.skip("neither pip nor uv is here: the command brings pip first")
    done = subprocess.run(f"{first} --version", shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and re.match("pip|uv|Python", done.stdout), done.stderr


def test_what_is_missing_says_how_it_comes() -> None:
    with pytest.raises(MissingExtra, match=r"a table needs no_such_library: .*install.* no_such_library"):
        needed("no_such_library", "a table")
    assert needed("json", "a table").loads("1") == 1


def test_no_message_has_a_command_of_its_own() -> None:
    source = Path(install_command.__code__.co_filename).parents[1]
    elsewhere = [
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if "pip install" in path.read_text("utf-8") and path.parent.name != "extras"
    ]
    assert elsewhere == ["ray/failures.py"]  # which speaks of other machines
