"""Parameters of index kinds: one check of their names and types for all kinds, from the constructor's signature."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sosie.contracts import Index
from sosie.errors import UsageError
from sosie.registry import nearest, resolve_index

__all__ = ["check_params", "make_index", "read_params"]

_PLAIN = (bool, int, float, str)


def make_index(kind: str, params: Mapping[str, Any]) -> Index:
    """Return an empty index of a kind; raise UnknownName, MissingExtra, UsageError."""
    cls = resolve_index(kind)
    check_params(cls, params)
    return cls(**params)


def check_params(cls: Any, params: Mapping[str, Any], *, only: Iterable[str] | None = None) -> None:
    """Raise UsageError for a name that the constructor of ``cls`` does not take, or for a value of a wrong type.

    ``only`` names those that may be given here, such as the search parameters. Ranges are the constructor's to check.
    """
    taken = _taken(cls)
    if taken is None:  # a kind of a third party that takes any names
        return
    kind = getattr(cls, "kind", cls.__name__)
    names = [name for name in taken if only is None or name in set(only)]
    for name, value in params.items():
        if name not in names:
            raise UsageError(
                f"{kind} has no {'search ' if only is not None else ''}parameter {name!r}; {_known(name, names)}"
            )
        if not _fits(value, taken[name]):
            raise UsageError(f"{kind} takes {name} as {_words(taken[name])}, not {value!r}")


def read_params(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` texts, the values as YAML has them; raise UsageError."""
    import yaml

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals and value):
            raise UsageError(f"a parameter is given as name=value, not {pair!r}")
        if name in found:
            raise UsageError(f"the parameter {name!r} is given twice")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"{value!r} is no value for {name}") from None
    return found


def _known(name: str, names: Sequence[str]) -> str:
    return nearest(name, names) if names else "it has none"


def _taken(cls: Any) -> dict[str, Any] | None:
    """Return the keyword parameters and their types; None where any name is taken."""
    signature = inspect.signature(cls.__init__)
    if any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values()):
        return None
    hints = typing.get_type_hints(cls.__init__)
    plain = {
        name: hints.get(name, Any) for name, each in signature.parameters.items() if each.kind is each.KEYWORD_ONLY
    }
    return {name: hint for name, hint in plain.items() if hint is Any or _choices(hint)}


def _choices(hint: Any) -> tuple[Any, ...]:
    """Return the plain types or the literal values that a type allows; none for objects, which no text can give."""
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(choice for each in typing.get_args(hint) for choice in _choices(each))
    return (hint,) if hint in _PLAIN else ()


def _fits(value: Any, hint: Any) -> bool:
    for choice in _choices(hint) if hint is not Any else ():
        if choice is float and type(value) in (int, float):
            return True
        if type(value) is choice or (choice not in _PLAIN and type(value) is type(choice) and value == choice):
            return True
    return hint is Any


def _words(hint: Any) -> str:
    named = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return ", ".join(named.get(choice, repr(choice)) for choice in _choices(hint))
