"""Answers in a notebook: a contact sheet by themselves, and figures of neighbours and distances."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.types import Hit, SearchResult, Verdict
from tests.pictures import folder_of

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sosie.Library]:
    folder = tmp_path_factory.mktemp("notebook")
    with sosie.open(folder / "library", model="histogram") as made:
        made.add(folder_of(folder / "pictures", 6), workers=1)
        yield made


def test_an_answer_draws_itself_with_ranks_and_pictures(library: sosie.Library) -> None:
    html = library.search(1, k=3)._repr_html_()
    assert html is not None
    assert [int(rank) for rank in re.findall(r"<b>(\d+)</b>", html)] == [1, 2, 3]
    assert html.count("data:image/jpeg;base64,") == 3
    assert "<script" not in html


def test_hostile_names_are_text(library: sosie.Library) -> None:
    hit = Hit(1, 999, "file:///<img src=x onerror=alert(1)>'.jpg", 0.5, Verdict.SIMILAR)
    result = SearchResult("<script>alert(1)</script>", (hit,), 1.0, {}, draw=library.pictures.cards)
    html = result._repr_html_()
    assert html is not None
    assert "<script" not in html
    assert "<img src=x" not in html  # and a picture that is away leaves its place empty


def test_an_answer_from_elsewhere_leaves_it_to_its_repr() -> None:
    assert SearchResult("a", (), 1.0, {})._repr_html_() is None


def drawn(figure: object) -> np.ndarray:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=50)  # type: ignore[attr-defined]
    return np.asarray(Image.open(out).convert("RGB"))


def test_neighbours_carry_ranks_distances_and_verdicts(library: sosie.Library) -> None:
    from sosie.plot import distance, neighbours

    result = library.search(1, k=4)
    figure = neighbours(library, result, columns=3)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0].startswith("query")
    assert titles[1:5] == [f"{hit.rank} · id {hit.id} · {distance(hit):.3f}\nsimilar" for hit in result]
    assert all(len(axes.images) == 1 for axes in figure.axes[:5])
    assert drawn(figure).std() > 10


def test_distances_climb_with_rank(library: sosie.Library) -> None:
    from sosie.plot import distances

    results = library.search_many([1, 2], k=4)
    lines = distances(results).axes[0].get_lines()
    assert len(lines) == 2
    for line, result in zip(lines, results, strict=True):
        far = line.get_ydata()
        assert list(far) == sorted(far)
        np.testing.assert_allclose(far, [np.sqrt(2 - 2 * hit.score) for hit in result], atol=1e-6)
