"""The command that installs an extra of Sosie into the environment that runs, by the program that made this one.

An environment tells by what lies in it: pipx and uv leave a file each in those of tools, uv a line in ``pyvenv.cfg``,
and every installer the place that it installed a package from (``direct_url.json``, PEP 610).
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["Environment", "install_command"]


@dataclass(frozen=True, slots=True)
class Environment:
    """Where Python runs: its folder, its program, the way Sosie came there, and what can install into it.

    ``source`` is the URL that Sosie was installed from, None for a registry; ``editable`` says that it is a checkout;
    ``uv`` is that program, where there is one.
    """

    prefix: Path
    python: str
    source: str | None = None
    editable: bool = False
    has_pip: bool = True
    uv: str | None = None

    def command(self, *extras: str, package: str | None = None, again: bool = False) -> str:
        """Return what installs extras of Sosie, or another package, here; ``again`` where it lies here already."""
        if (self.prefix / "pipx_metadata.json").exists():
            name = package or self._sosie(extras)
            return f"pipx inject --force sosie {_quoted(name)}" if package else f"pipx install --force {_quoted(name)}"
        if (self.prefix / "uv-receipt.toml").exists():
            with_package = f" --with {_quoted(package)}" if package else ""
            return f"uv tool install --force {_quoted(self._sosie(extras))}{with_package}"
        what = _quoted(package) if package else self._what(extras)
        if self._made_by_uv and self.uv:
            return f"{_quoted(self.uv)} pip install {'--reinstall ' * again}--python {_quoted(self.python)} {what}"
        python = _quoted(self.python)
        first = "" if self.has_pip else f"{python} -m ensurepip && "
        return f"{first}{python} -m pip install {'--force-reinstall ' * again}{what}"

    @property
    def _made_by_uv(self) -> bool:
        try:
            lines = (self.prefix / "pyvenv.cfg").read_text("utf-8").splitlines()
        except OSError:
            return False
        return any(line.partition("=")[0].strip() == "uv" for line in lines)

    def _sosie(self, extras: tuple[str, ...]) -> str:
        """Return the requirement: by its name from a registry, else from where it came."""
        name = f"sosie[{','.join(extras)}]" if extras else "sosie"
        return name if self.source is None else f"{name} @ {self.source}"

    def _what(self, extras: tuple[str, ...]) -> str:
        if not self.editable or self.source is None:
            return _quoted(self._sosie(extras))
        return "-e " + _quoted(f"{_path_of(self.source)}[{','.join(extras)}]")


def install_command(*extras: str, package: str | None = None, again: bool = False) -> str:
    """Return the command that installs extras of Sosie, or another package, into the environment that runs.

    ``again`` installs what lies there already, as for a damaged file.
    """
    return _here().command(*extras, package=package, again=again)


@cache
def _here() -> Environment:
    origin = _origin()
    editable = bool(origin.get("dir_info", {}).get("editable"))
    return Environment(
        Path(sys.prefix),
        sys.executable or "python",
        origin.get("url"),
        editable,
        has_pip=find_spec("pip") is not None,
        uv=_uv(Path(_path_of(origin["url"])) if editable else None),
    )


def _uv(checkout: Path | None) -> str | None:
    """Return how uv is called: by its name, else as the one that `make` puts into a checkout."""
    import shutil

    if shutil.which("uv"):
        return "uv"
    own = checkout and checkout / ".deps" / "bin" / "uv"
    return str(own) if own and own.exists() else None


def _origin() -> dict[str, Any]:
    """Return where Sosie was installed from (PEP 610); nothing where that was a registry, or is not known."""
    from importlib.metadata import PackageNotFoundError, distribution  # slow to import, and seldom needed

    try:
        text = distribution("sosie").read_text("direct_url.json")
        return dict(json.loads(text)) if text else {}
    except (PackageNotFoundError, ValueError):
        return {}


def _path_of(url: str) -> str:
    path = unquote(urlsplit(url).path)
    return path.lstrip("/") if os.name == "nt" else path


def _quoted(text: str) -> str:
    """Quote a word for the shell that people type into: Windows' takes double quotes alone."""
    if os.name == "nt":
        return f'"{text}"' if any(c in text for c in " []@") else text
    return shlex.quote(text)
