"""The figures of `benchmarks/structure.py` only ever fall: a change that lets one rise says so here, and why."""

from __future__ import annotations

import pytest
from benchmarks.structure import Figure, cycles, figures, here

# A figure that has fallen is written down here, so that it does not rise again.
CEILINGS = {
    "longest parameter list": 11,
    "classes of more than 10 methods": 30,
    "classes of more than 20 methods": 4,
    "classes of more than 10 public, inherited ones counted": 25,
    "classes of more than 20 public, inherited ones counted": 10,
    "Any per 1,000 lines": 19.0,
    "import cycles at run time": 0,
    "import cycles by types": 0,
    "names of more than one public class": 32,
    "modules at the top": 12,
    "layer rows": 17,
}
SHORT = 96.0  # per cent of the functions


@pytest.fixture(scope="module")
def now() -> dict[str, Figure]:
    return here()


@pytest.mark.parametrize("name", CEILINGS)
def test_a_figure_does_not_rise(now: dict[str, Figure], name: str) -> None:
    assert now[name].value <= CEILINGS[name], "\n".join(now[name].names)


def test_functions_stay_short(now: dict[str, Figure]) -> None:
    assert now["functions under 20 lines, %"].value >= SHORT, "\n".join(now["functions under 20 lines, %"].names)


_SOURCE = {
    "sosie/__init__.py": "",
    "sosie/__main__.py": "",
    "sosie/one.py": "from sosie.two import Both\nclass Both:\n    def a(self): ...\n    def __b__(self): ...\n",
    "sosie/two.py": (
        "from typing import TYPE_CHECKING, Any\n"
        "if TYPE_CHECKING:\n    from sosie.three import x\n"
        "def read(self, a: Any, *, b: Any): return _once()\n"
        "class Both:\n    @property\n    def p(self): ...\n"
        "def _once(): ...\n"
    ),
    "sosie/three.py": "def x():\n    from sosie.two import Both\n",
}


def test_what_is_counted() -> None:
    found = figures(_SOURCE, rows=3)
    assert found["longest parameter list"].value == 2
    assert found["import cycles at run time"].value == 0
    assert found["import cycles by types"].names == ("sosie.three, sosie.two",)
    assert found["names of more than one public class"].names == ("Both: sosie.one, sosie.two",)
    assert found["private functions used once"].names == ("sosie.two:_once",)
    assert found["modules at the top"].value == 3
    assert found["Any per 1,000 lines"].value == pytest.approx(2000 / 14, abs=0.1)


def test_methods_of_bases_count() -> None:
    many = "".join(f"    def m{n}(self): ...\n" for n in range(11))
    source = {**_SOURCE, "sosie/four.py": f"class Base:\n{many}\nclass Front(Base): ...\n"}
    found = figures(source, rows=3)
    assert found["classes of more than 10 methods"].names == ("11 sosie.four:Base",)
    assert found["classes of more than 10 public, inherited ones counted"].value == 2


def test_circles_are_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"]]
