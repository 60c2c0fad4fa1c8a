"""Notebooks are stored clean and thin, and run from their first cell to their last."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Settings small enough for the tests.
SMALL = {
    "00_start_here": "pictures = 1\nrows = 8",
    "01_explain": "rows = 2\npanel_rows = 1\npasses = 3000\nchanged = 1",
    "02_attack": "rows = 8\nfew = 3\npeople_rows = 20",
    "03_generalize": "rows = 400\nmodels = 12\nshadows = 4\ncurve_rows = 512\ntexts = 600",
    "04_bias": "rows = 500\nstrengths = (1.0,)",
    "05_report": "rows = 64\nwhere = 'report'",
}


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def write_small(path: Path, where: Path) -> Path:
    """A copy with small settings after the cell tagged "parameters", as Papermill would make it."""
    book = read(path)
    place = next(i for i, c in enumerate(book.cells) if c.metadata.get("tags") == ["parameters"])
    book.cells.insert(place + 1, nbformat.v4.new_code_cell(SMALL[path.stem]))
    nbformat.write(book, where / path.name)
    return where / path.name


def test_stored_set_is_complete() -> None:
    assert [p.stem for p in NOTEBOOKS] == sorted(SMALL)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_without_outputs_counts_or_widget_state(path: Path) -> None:
    book = read(path)
    nbformat.validate(book)
    assert set(book.metadata) == {"kernelspec", "language_info"}
    assert book.metadata.kernelspec.name == "python3"
    assert (book.nbformat, book.nbformat_minor) >= (4, 5)
    for cell in book.cells:
        assert cell.id and not set(cell.metadata) - {"tags"}
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    assert book.cells[0].cell_type == "markdown"
    assert ["parameters"] in [c.metadata.get("tags") for c in book.cells[:3]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_thin_and_with_public_names_only(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type != "code":
            continue
        assert len([line for line in cell.source.splitlines() if line.strip()]) <= 5, cell.source
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                assert {a.name for a in node.names} <= {"labkit", "pandas"}, cell.source
            assert not isinstance(node, ast.ImportFrom | ast.FunctionDef | ast.ClassDef), cell.source
            assert not (isinstance(node, ast.Attribute) and node.attr.startswith("_")), cell.source


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_to_its_end(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = read(write_small(path, tmp_path))
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})] or path.stem == "05_report"
