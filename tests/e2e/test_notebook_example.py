"""The notebook in examples/ runs from its first cell to its last, and shows what it speaks of."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Run the notebook in an empty folder; return what its cells show, as HTML where they have that."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    data = [output.get("data", {}) for output in outputs]
    return [str(each.get("text/html") or each.get("text/plain")) for each in data if each]


def test_the_library_is_a_card_with_its_counts(shown: list[str]) -> None:
    assert any("<td>24</td>" in html and "bundled" in html for html in shown)


def test_an_answer_is_a_contact_sheet(shown: list[str]) -> None:
    sheet = next(html for html in shown if "data:image/jpeg;base64," in html)
    assert sheet.count("<figure") == 5 and "green-3.jpg" in sheet


def test_answers_are_a_table(shown: list[str]) -> None:
    assert any("labels.tone" in html and "verdict" in html for html in shown)


def test_it_is_kept_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in cells)
