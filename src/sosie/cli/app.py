"""A typer application whose commands are imported one by one, when they are asked for."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from sosie import __version__
from sosie.cli.commands import COMMANDS, load
from sosie.errors import UnknownName
from sosie.registry import nearest

__all__ = ["build_app"]

HELP = """Find, in your own pictures, the ones that look like a picture, hold the same thing, or are copies of it.

[dim]sosie demo[/]  ·  [dim]sosie add PICTURES/[/]  ·  [dim]sosie search a.jpg[/]"""


class LazyGroup(TyperGroup):
    """Knows every command by name, and imports one only to run it or to show its help."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UnknownName(f"there is no command {args[0]!r}; {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        loaded = load(cmd_name)
        if not isinstance(loaded, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode="rich")
            app.command(cmd_name, help=loaded.__doc__)(loaded)
            loaded = app
        command = typer.main.get_command(loaded)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        if ctx.parent is not None:
            super().format_help(ctx, formatter)
            return
        from rich.console import Console
        from rich.table import Table

        console = Console()
        console.print(HELP, end="\n\n")
        table = Table.grid(padding=(0, 2))
        for name, (_, help_line) in COMMANDS.items():
            table.add_row(f"  [bold cyan]{name}[/]", help_line)
        console.print(table)
        console.print("\n[dim]sosie COMMAND --help says more; --library DIR works with every command.[/]")


def _version(value: bool) -> None:
    if value:
        print(f"sosie {__version__}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """Return the ``sosie`` application."""
    app = typer.Typer(
        cls=LazyGroup,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def sosie(
        version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
    ) -> None:
        """Reverse image search on your own pictures."""

    return app
