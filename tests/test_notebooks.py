"""A real notebook, run by Jupyter's client: output of cells, live progress, errors that name their cell."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.notebooks

DECLARE = """
import numpy as np, rnngraph as rg
x = rg.placeholder("x", (None, None, 3))
y = rg.placeholder("y", (None,), "int64")
cells = [rg.DropoutWrapper(rg.GRUCell(8), output_keep_prob=0.8) for _ in range(2)]
outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
logits = rg.dense(outputs[:, -1], 2)
program = rg.compile({"logits": logits}, loss=rg.sparse_softmax_cross_entropy(labels=y, logits=logits))
program
"""
MISTAKE = """
cell = rg.GRUCell(4)
rg.dynamic_rnn(cell, rg.placeholder("flat", (None, 3)))
"""
FIT = """
rng = np.random.default_rng(0)
examples = rng.standard_normal((4000, 20, 3))
trainer = rg.Trainer(program, rg.Adam(1e-2))
history = trainer.fit({x: examples, y: (examples.sum((1, 2)) > 0).astype(int)}, epochs=3, batch_size=10, validation=0.1)
history
"""
CELLS = (
    DECLARE,
    MISTAKE,
    FIT,
    "program.inference",
    "program.inference.show('loops')",
    "logits",
    "program.summary()",
    "program.training.memory(4, 5)",
    "trainer",
    "program.training.graph",
    "print(program.inference.show('graph'))",
    "print(rg.compile(rg.log(-x)).inference.check(x=np.ones((1, 1, 3))))",
    "program.inference.profile({x: examples[:4]}, seconds=0.01)",
)


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    """Run the notebook, and return its cells by their source. ``updates`` has the output during a cell."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in CELLS])
    client = nbclient.NotebookClient(notebook, timeout=300, allow_errors=True)
    updates: list[str] = []
    process_message = client.process_message

    def listen(message: Any, cell: Any, number: int) -> Any:
        if message["msg_type"] in ("display_data", "update_display_data"):
            updates.append(message["content"]["data"]["text/plain"])
        return process_message(message, cell, number)

    client.process_message = listen
    client.execute()
    actual = dict(zip(CELLS, notebook.cells, strict=True))
    return {**actual, "updates": updates, "notebook": notebook}


def markup(cell: Any) -> str:
    """Return the HTML of a cell's last expression."""
    (result,) = [output for output in cell.outputs if output.output_type == "execute_result"]
    return str(result["data"]["text/html"])


def text(cell: Any) -> str:
    return "".join(str(output.get("text", "")) for output in cell.outputs)


def test_objects_have_a_display_in_notebooks(cells: dict[str, Any]) -> None:
    assert 'src="data:image/svg+xml;base64,' in markup(cells[DECLARE])
    assert "What differs between the two graphs" in markup(cells[DECLARE])
    assert markup(cells[FIT]).count("<polyline") == 2
    for source in CELLS[3:10]:
        assert re.match(r"<(div|table)", markup(cells[source])), source


def test_plain_text_is_the_printed_text(cells: dict[str, Any]) -> None:
    for source in ("program.inference.show('loops')", "program.summary()"):
        (result,) = cells[source].outputs
        assert "\\n" not in result["data"]["text/plain"]
        assert "\n" in result["data"]["text/plain"]


def test_a_profile_is_shown_once(cells: dict[str, Any]) -> None:
    (result,) = cells[CELLS[-1]].outputs
    assert "<table" in result["data"]["text/html"]
    assert "in native code" in result["data"]["text/plain"]


def test_errors_name_the_cell(cells: dict[str, Any]) -> None:
    (error,) = cells[MISTAKE].outputs
    assert error.evalue.startswith("In [2], line 2: ")


def test_graphs_and_findings_name_cells(cells: dict[str, Any]) -> None:
    assert "# In [1], line 5" in text(cells["print(program.inference.show('graph'))"])
    assert "In [12], line 1" in text(cells[CELLS[-2]])


def test_progress_is_live_within_an_epoch(cells: dict[str, Any]) -> None:
    drawn = [re.match(r"epoch (\d)/3 [━─]+ (\d+)/360", line) for line in cells["updates"]]
    places = [(int(actual[1]), int(actual[2])) for actual in drawn if actual]
    assert any(0 < step < 360 for _, step in places)
    assert places == sorted(places)
    assert cells["updates"][-1] == ""  # the line is removed after the fit
    stays = [line for line in cells["updates"] if re.match(r"epoch \d/3: ", line)]
    assert len(stays) == 3
