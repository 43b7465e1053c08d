"""The shape of the source in figures: sizes of functions and classes, types, import cycles, names.

    python benchmarks/structure.py [--beside COMMIT] [--json] [--list FIGURE]

Read from the syntax trees of `src/sosie` alone; nothing is imported. The gallery of `sosie demo` is not counted. With
``--beside`` the figures of an earlier commit stand beside those of the working tree; ``--list`` prints what a figure
counts. `tests/architecture` holds the figures to a ceiling that may only fall.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import subprocess
import sys
import tarfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "sosie"
DEMO = ("sosie/demo/", "sosie/cli/demo.py")
LONG, MANY = 20, 10
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """One file of the source: its dotted name, whether it is a package's ``__init__``, its lines and syntax tree."""

    name: str
    is_package: bool
    lines: int
    tree: ast.Module = field(repr=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, and the names of what it counts (empty where it counts lines or a share)."""

    value: float
    names: tuple[str, ...] = ()


def modules_of(texts: Mapping[str, str]) -> dict[str, Module]:
    """Parse ``texts`` (path below src → source) into modules by name."""
    found = {}
    for path, text in sorted(texts.items()):
        pure = PurePosixPath(path).with_suffix("")
        is_package = pure.name == "__init__"
        name = ".".join(pure.parent.parts if is_package else pure.parts)
        found[name] = Module(name, is_package, text.count("\n"), ast.parse(text))
    return found


def working_tree() -> dict[str, str]:
    """Return path → text of the source as it lies on disk."""
    source = ROOT / "src"
    return _counted({str(p.relative_to(source)): p.read_text("utf-8") for p in (source / PACKAGE).rglob("*.py")})


def at_commit(commit: str) -> dict[str, str]:
    """Return path → text of the source at a commit."""
    packed = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, f"src/{PACKAGE}"], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        members = [each for each in archive.getmembers() if each.name.endswith(".py")]
        texts = {each.name.removeprefix("src/"): archive.extractfile(each) for each in members}
        return _counted({name: file.read().decode() for name, file in texts.items() if file is not None})


def _counted(texts: dict[str, str]) -> dict[str, str]:
    return {path: text for path, text in texts.items() if not path.startswith(DEMO)}


# ------------------------------------------------------------------------------------------------ functions, classes


def functions_in(module: Module) -> Iterator[Function]:
    """Yield every function and method of a module."""
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Return the lines of a function's body, from its first statement to its last, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters(function: Function) -> int:
    """Return how many parameters a function has, but for self and cls."""
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([each for each in named if each.arg not in {"self", "cls"}])


def _short_functions(modules: Mapping[str, Module]) -> Figure:
    found = [(length(each), f"{name}:{each.name}") for name, module in modules.items() for each in functions_in(module)]
    long = sorted((pair for pair in found if pair[0] >= LONG), reverse=True)
    return Figure(round(100 * (1 - len(long) / len(found)), 1), tuple(f"{n} {name}" for n, name in long))


def _longest_parameters(modules: Mapping[str, Module]) -> Figure:
    """Return the longest parameter list of a public function; options of commands and of routes are parameters."""
    counted = {
        f"{name}:{each.name}": parameters(each)
        for name, module in modules.items()
        if not name.startswith((f"{PACKAGE}.cli", f"{PACKAGE}.server"))
        for each in functions_in(module)
        if not each.name.startswith("_") or each.name == "__init__"
    }
    most = sorted(counted.items(), key=lambda pair: -pair[1])
    return Figure(most[0][1], tuple(f"{n} {name}" for name, n in most[:20]))


def classes_in(modules: Mapping[str, Module]) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield every class with the name of its module."""
    for name, module in modules.items():
        yield from ((name, node) for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef))


def _methods(modules: Mapping[str, Module]) -> dict[str, int]:
    """Return the public methods of every class by its name, those of its bases in the project among them."""
    own = {(module, node.name): node for module, node in classes_in(modules)}
    homes = {name: _imported(module, modules) for name, module in modules.items()}

    def names(where: tuple[str, str]) -> set[str]:
        found = {each for each in methods_of(own[where]) if not each.startswith("_")}
        for base in (getattr(each, "id", "") for each in own[where].bases):
            above = homes[where[0]].get(base, (where[0], base))
            found |= names(above) if above in own and above != where else set()
        return found

    return {f"{module}:{name}": len(names((module, name))) for module, name in own}


def _imported(module: Module, known: Mapping[str, Module]) -> dict[str, tuple[str, str]]:
    """Return name → (module, name) of what a module imports from others, followed through packages' ``__init__``."""
    found = {}
    for node in _import_nodes(module.tree, types=True):
        if isinstance(node, ast.ImportFrom) and node.module in known:
            behind = _imported(known[node.module], known) if known[node.module].is_package else {}
            found |= {each.asname or each.name: behind.get(each.name, (node.module, each.name)) for each in node.names}
    return found


def methods_of(node: ast.ClassDef) -> list[str]:
    """Return the methods that a class itself has; dunder methods and properties are none."""
    return [each.name for each in node.body if isinstance(each, Function) and _is_method(each)]


def _is_method(function: Function) -> bool:
    decorators = {getattr(each, "id", getattr(each, "attr", "")) for each in function.decorator_list}
    dunder = function.name.startswith("__")
    return not dunder and not decorators & {"property", "cached_property", "setter", "overload"}


def _large_classes(counts: Mapping[str, int], more_than: int) -> Figure:
    large = sorted(((n, name) for name, n in counts.items() if n > more_than), reverse=True)
    return Figure(len(large), tuple(f"{n} {name}" for n, name in large))


def _repeated_classes(modules: Mapping[str, Module]) -> Figure:
    """Count the names that more than one public class of a module's top level bears."""
    tops = [
        (node.name, name)
        for name, module in modules.items()
        for node in module.tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    counts = Counter(name for name, _ in tops)
    repeated = sorted(name for name, n in counts.items() if n > 1)
    return Figure(len(repeated), tuple(f"{each}: {', '.join(m for n, m in tops if n == each)}" for each in repeated))


def _used_once(modules: Mapping[str, Module]) -> Figure:
    """Count the private functions and methods that one place alone of their module names."""
    found = []
    for name, module in modules.items():
        private = [each.name for each in functions_in(module) if each.name.startswith("_") and each.name[1] != "_"]
        used = Counter(
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Name | ast.Attribute)
        )
        found += [f"{name}:{each}" for each in private if used[each] == 1]
    return Figure(len(found), tuple(found))


def _any_per_thousand(modules: Mapping[str, Module]) -> Figure:
    counts = {
        name: sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(module.tree))
        for name, module in modules.items()
    }
    share = 1000 * sum(counts.values()) / sum(module.lines for module in modules.values())
    most = sorted(((n, name) for name, n in counts.items() if n), reverse=True)
    return Figure(round(share, 1), tuple(f"{n} {name}" for n, name in most))


# ------------------------------------------------------------------------------------------------ imports


def imports_of(module: Module, known: Mapping[str, Module], *, types: bool) -> set[str]:
    """Return the modules that one imports, in functions, too; with ``types``, those for type checking, as well."""
    return {target for node in _import_nodes(module.tree, types=types) for target in _targets(node, module, known)}


def _import_nodes(node: ast.AST, *, types: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif types or not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield from _import_nodes(child, types=types)


def _targets(node: ast.Import | ast.ImportFrom, module: Module, known: Mapping[str, Module]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        named = [each.name for each in node.names]
    else:
        named = [f"{node.module}.{each.name}" for each in node.names]
    for each in named:
        target = each if each in known else each.rpartition(".")[0]
        if target in known and target != module.name:
            yield target


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that reach each other (Tarjan's strongly connected components, 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for name in sorted(graph):
        if name not in order:
            visit(name)
    return found


def _cycles(modules: Mapping[str, Module], *, types: bool) -> Figure:
    # The package's own __init__ names everything, lazily: that is its purpose.
    graph = {name: imports_of(each, modules, types=types) for name, each in modules.items() if name != PACKAGE}
    found = cycles({name: {target for target in targets if target in graph} for name, targets in graph.items()})
    return Figure(len(found), tuple(", ".join(group) for group in found))


# ------------------------------------------------------------------------------------------------ all of them


def figures(texts: Mapping[str, str], *, rows: int) -> dict[str, Figure]:
    """Return every figure of the source by its name."""
    modules = modules_of(texts)
    tops = [each.name for each in modules.values() if each.name.count(".") == 1 and not each.is_package]
    tops.remove(f"{PACKAGE}.__main__")
    own = {f"{name}:{node.name}": len(methods_of(node)) for name, node in classes_in(modules)}
    public = _methods(modules)
    return {
        "lines of source": Figure(sum(each.lines for each in modules.values())),
        "functions under 20 lines, %": _short_functions(modules),
        "longest parameter list": _longest_parameters(modules),
        "classes of more than 10 methods": _large_classes(own, MANY),
        "classes of more than 20 methods": _large_classes(own, 2 * MANY),
        "classes of more than 10 public, inherited ones counted": _large_classes(public, MANY),
        "classes of more than 20 public, inherited ones counted": _large_classes(public, 2 * MANY),
        "Any per 1,000 lines": _any_per_thousand(modules),
        "import cycles at run time": _cycles(modules, types=False),
        "import cycles by types": _cycles(modules, types=True),
        "private functions used once": _used_once(modules),
        "names of more than one public class": _repeated_classes(modules),
        "modules at the top": Figure(len(tops), tuple(tops)),
        "layer rows": Figure(rows),
    }


def rows_of(pyproject: str) -> int:
    """Return how many layers the import-linter contract of a pyproject.toml has."""
    contracts = tomllib.loads(pyproject)["tool"]["importlinter"]["contracts"]
    return len(next(each for each in contracts if each["type"] == "layers")["layers"])


def here() -> dict[str, Figure]:
    """Return the figures of the working tree."""
    return figures(working_tree(), rows=rows_of((ROOT / "pyproject.toml").read_text("utf-8")))


def there(commit: str) -> dict[str, Figure]:
    """Return the figures of a commit."""
    shown = ["git", "-C", str(ROOT), "show", f"{commit}:pyproject.toml"]
    pyproject = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    return figures(at_commit(commit), rows=rows_of(pyproject))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", metavar="COMMIT")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", metavar="FIGURE", help="print what the figure of this name counts")
    args = parser.parse_args()
    now = here()
    if args.list:
        print(*next(each.names for name, each in now.items() if name.startswith(args.list)), sep="\n")
        return
    before = there(args.beside) if args.beside else {}
    if args.json:
        print(json.dumps({name: {"now": now[name].value, "before": _value(before, name)} for name in now}, indent=1))
        return
    print(f"{'':56}{args.beside or '':>12}{'now':>10}")
    for name, each in now.items():
        print(f"{name:56}{_value(before, name) if before else '':>12}{each.value:>10g}")


def _value(found: Mapping[str, Figure], name: str) -> float | None:
    return found[name].value if found else None


if __name__ == "__main__":
    main()
