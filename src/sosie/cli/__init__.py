"""The command line: one thin file per command, imported when it is asked for.

Exit codes: 0 done, 1 a negative answer of a question, 2 wrong use, 3 the library or a file is damaged or missing, 4 a
service that the command needs is away, 130 interrupted. Answers go to stdout; progress and notes to stderr.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from sosie.cli.commands import COMMANDS

__all__ = ["COMMANDS", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``sosie`` and return its exit code."""
    from sosie.cli.app import build_app
    from sosie.errors import SosieError

    warnings.showwarning = _show_warning
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # nodes that are away are our errors' business
    try:
        result = build_app()(args=list(argv) if argv is not None else None, standalone_mode=False)
    except SosieError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _foreign(error)
    return result if isinstance(result, int) else 0


def run() -> None:
    """Be the ``sosie`` program."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is open yet; a cut import would be a traceback
    import_module("sosie.cli.app")
    signal.signal(signal.SIGINT, before)
    sys.exit(main())


def _foreign(error: Exception) -> int:
    """Show what the option parser found wrong; anything else is our fault and is raised."""
    import typer

    if isinstance(error, typer.Abort):
        return _fail("interrupted", 130)
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        error.show()
        return 2
    raise error


def _fail(message: str, code: int) -> int:
    print(f"sosie: {message}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"sosie: note: {message}", file=sys.stderr)
