"""Draw the figure of docs/explanation/architecture.md from the imports of the source: what each package needs.

    python docs/make_architecture.py

An arrow goes from a package or module to what it imports, where no longer way leads there (the transitive reduction of
all imports, those inside functions among them). A test in tests/architecture holds the page to it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.structure import PACKAGE, imports_of, modules_of, working_tree  # noqa: E402

PAGE = ROOT / "docs/explanation/architecture.md"
BEGIN, END = "<!-- figure: python docs/make_architecture.py -->\n", "<!-- end of figure -->\n"
EVERYWHERE = {"types", "errors", "extras", "files", "arrays", "contracts"}  # at the bottom; arrows to them say nothing


def packages() -> dict[str, set[str]]:
    """Return what each package or module at the top of the source imports of the others."""
    modules = modules_of(working_tree())
    graph: dict[str, set[str]] = {}
    for name, module in modules.items():
        if name != PACKAGE:
            found = {_top(target) for target in imports_of(module, modules, types=False) if target != PACKAGE}
            graph.setdefault(_top(name), set()).update(found - {_top(name)})
    left_out = {"__main__", *EVERYWHERE}
    return {name: targets - left_out for name, targets in graph.items() if name not in left_out}


def _top(module: str) -> str:
    return module.split(".")[1]


def reduced(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return a graph without circles, without the arrows that a longer way goes along, too."""

    def reach(name: str) -> set[str]:
        return {target for each in graph[name] for target in (each, *reach(each))}

    return {
        name: {each for each in targets if not any(each in reach(other) for other in targets - {each})}
        for name, targets in graph.items()
    }


def figure() -> str:
    """Return the figure as Mermaid text."""
    graph = reduced(packages())
    arrows = [f"    {name} --> {' & '.join(sorted(targets))}" for name, targets in sorted(graph.items()) if targets]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```"]) + "\n"


def with_figure(page: str) -> str:
    """Return the text of the page with the figure as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + figure() + END + after


if __name__ == "__main__":
    PAGE.write_text(with_figure(PAGE.read_text("utf-8")), "utf-8")
