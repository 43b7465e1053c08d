"""What Sosie does without until somebody installs it: importing it, and saying how it is installed *here*."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sosie.errors import MissingExtra
from sosie.extras.advice import install_command

__all__ = ["install_command", "missing", "needed"]


def missing(what: str, *extras: str) -> MissingExtra:
    """Return the error for ``what``, a sentence without its end, that the extras of Sosie would mend."""
    return MissingExtra(f"{what}: {install_command(*extras)}")


def needed(module: str, what: str, *, extra: str | None = None) -> Any:
    """Import and return a library, which an ``extra`` or a package of its name brings; raise MissingExtra."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        command = install_command(extra) if extra else install_command(package=module)
        raise MissingExtra(f"{what} needs {error.name}: {command}") from error
