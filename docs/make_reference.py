"""Write docs/reference/cli.md from the commands themselves.

    python docs/make_reference.py

A test fails where the file is not what this writes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sosie.cli import COMMANDS
from sosie.cli.app import build_app

HEADER = """# The commands

<!-- written by docs/make_reference.py; edit the commands, not this page -->

Every command works on `--library DIR` (`$SOSIE_LIBRARY`, else `./sosie-library`). Those that answer take `--json`:
one document on stdout; progress and notes go to stderr. Exit codes: 0 done, 1 a negative answer of a question, 2 wrong
use, 3 the library or a file is damaged or missing, 4 a service that the command needs is away, 130 interrupted.
"""


def reference() -> str:
    """Return the page."""
    import typer

    group = typer.main.get_command(build_app())
    parts = [HEADER]
    for name, (_, line) in COMMANDS.items():
        command = group.get_command(None, name)
        parts.append(f"## sosie {name}\n\n{line}\n")
        subcommands = getattr(command, "commands", None)
        if getattr(command, "invoke_without_command", False):
            parts.append(_body(command, name))
        if subcommands:
            parts += [f"### sosie {name} {sub}\n\n{_body(each, f'{name} {sub}')}" for sub, each in subcommands.items()]
        else:
            parts.append(_body(command, name))
    return "\n".join(parts)


def _body(command: Any, name: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join([f"sosie {name}", *(_metavar(p) for p in arguments), "[options]"])
    lines = [f"    {usage}", "", _plain(command.help or ""), ""]
    lines += [f"* `{_metavar(p)}`: {_plain(p.help or '')}" for p in arguments if getattr(p, "help", None)]
    if options:
        lines += ["", "| option | meaning | default |", "|---|---|---|"]
        lines += [f"| `{_spelling(p)}` | {_plain(p.help or '')} | {_default(p)} |" for p in options]
    return "\n".join(lines) + "\n"


def _metavar(parameter: Any) -> str:
    return parameter.metavar or parameter.name.upper()


def _spelling(parameter: Any) -> str:
    both = [*parameter.opts, *parameter.secondary_opts]
    return ", ".join(both)


def _default(parameter: Any) -> str:
    shown = parameter.show_default
    if isinstance(shown, str):
        return shown
    default = parameter.default
    if callable(default) or default in (None, False, "", ()):
        return ""
    return f"`{default}`"


def _plain(text: str) -> str:
    """Turn a docstring into one line of Markdown."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


if __name__ == "__main__":
    (Path(__file__).parent / "reference" / "cli.md").write_text(reference(), encoding="utf-8")
