"""HTML of programs, graphs, trainers and results in notebooks."""

from __future__ import annotations

import html
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

NAME = "<img src=x onerror=alert(1)>&\"'</script>"


@pytest.fixture(scope="module")
def program() -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    y = rg.placeholder("y", (None,), "int64")
    cells = [rg.DropoutWrapper(rg.BasicRNNCell(size), output_keep_prob=0.5) for size in (7, 2)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=outputs[:, -1])
    return rg.compile({NAME: outputs}, loss=loss)


def words(markup: str) -> str:
    """Return the visible text, without elements and with unescaped characters."""
    return html.unescape(re.sub(r"<style>[^<]*</style>|<[^>]*>", " ", markup))


def test_a_program_shows_the_differences_of_its_graphs(program: rg.Program) -> None:
    shown = program._repr_html_()
    text = " ".join(words(shown).split())
    assert "takes x x, y gives" in text
    assert "dropout and noise none rnn/multi_rnn_cell/cell_0/output" in text
    assert "Removed from the inference graph: 2" in text
    assert "rnn/multi_rnn_cell/cell_1/basic_rnn_cell/kernel [9, 2] float32 18" in text
    assert "MultiRNNCell" in text
    assert f"4 parameters with {10 * 7 + 7 + 9 * 2 + 2}" in repr(program)


def test_graphs_show_their_text(program: rg.Program) -> None:
    for graph in (program.inference, program.training):
        assert str(graph.graph).replace(" ", "") in words(graph._repr_html_()).replace(" ", "")
        assert str(graph.graph).replace(" ", "") == words(graph.graph._repr_html_()).replace(" ", "")
        assert f"the {graph.kind} graph of x" in repr(graph)


def test_names_never_become_markup(program: rg.Program) -> None:
    trainer = rg.Trainer(program)
    tensor = rg.placeholder("<b>", (2,))
    for item in (program, program.inference, program.training.graph, trainer, tensor, program.summary()):
        markup: str = item._repr_html_()  # type: ignore[attr-defined]
        assert "<img src=x" not in markup
        assert not re.search(r"<b>(?!Program|Trainer|The|Tensor)", markup)


def test_the_summary_is_a_table_with_shapes_and_still_a_text(program: rg.Program) -> None:
    summary = program.summary()
    assert "basic_rnn_cell kernel [10, 7], bias [7] 77 308" in " ".join(words(summary._repr_html_()).split())
    assert isinstance(summary, str)
    restored = pickle.loads(pickle.dumps(summary))
    assert restored == summary
    assert restored._repr_html_() == summary._repr_html_()


def test_memory_adds_up_in_its_table(program: rg.Program) -> None:
    memory = program.training.memory(3, 5)
    counts = [int(text.replace(",", "")) for text in re.findall(r">([\d,]+)</td>", memory._repr_html_())]
    arena, residuals, *others, total = counts
    assert (arena, residuals, total) == (memory.arena, memory.residuals, memory.total)
    assert arena + sum(others) == total


def test_a_history_is_a_picture_and_a_table(program: rg.Program) -> None:
    rng = np.random.default_rng(0)
    examples = {"x": rng.standard_normal((9, 4, 3)), "y": rng.integers(0, 2, 9)}
    trainer = rg.Trainer(program)
    history = trainer.fit(examples, epochs=17, batch_size=4, validation=0.3, progress=False)
    markup = history._repr_html_()
    assert markup.count("<polyline") == 2  # the loss of training and of validation
    assert markup.count("<tr>") == 1 + 12 + 1  # a heading, 12 rows, and a row for the omitted ones
    assert "17 epochs" in words(markup)
    assert f"updates {trainer.updates} " in " ".join(words(trainer._repr_html_()).split())


def test_an_empty_history_has_a_text() -> None:
    assert "0 epochs" in words(rg.History()._repr_html_())


def test_saved_programs_show_their_contents(program: rg.Program, tmp_path: Path) -> None:
    program.save(tmp_path / "net")
    loaded: Any = rg.load(tmp_path / "net")
    assert "rnn/multi_rnn_cell/cell_1/basic_rnn_cell/kernel" in loaded._repr_html_()
    assert words(loaded.inference._repr_html_()) == words(program.inference._repr_html_())
