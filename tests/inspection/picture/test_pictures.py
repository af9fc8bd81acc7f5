"""Pictures of declarations: their contents in each graph, their layout, and their files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import declarations
import numpy as np
import pytest
from pictured_nets import HOSTILE, Gated, both_ways, decoder, dropped_stack, hostile, own_cells, two_layers_both_ways

import rnngraph as rg
from rnngraph.inspection.picture.boxes import Box, Declaration
from rnngraph.inspection.picture.drawing import DETAILS, drawing_of
from rnngraph.inspection.picture.expressions import Equation
from rnngraph.inspection.picture.pictures import declared, drawing, svg
from rnngraph.inspection.picture.shapes import CHARACTER, Drawing, Line, Rectangle, Text
from rnngraph.inspection.picture.svg import svg_text

NETS = (dropped_stack, both_ways, decoder, own_cells, hostile)
SVG = "{http://www.w3.org/2000/svg}"


def of(program: rg.Program) -> Declaration:
    return declared(program.parts.source)


def all_boxes(declaration: Declaration) -> list[Box]:
    return [box for outer in declaration.boxes for box in outer.walk()]


def rows(declaration: Declaration) -> list[Equation]:
    return [item for box in all_boxes(declaration) for item in box.items if isinstance(item, Equation)]


def texts(drawn: Drawing, graph: str) -> list[str]:
    return [
        shape.text
        for figure in drawn.figures
        if figure.graph == graph
        for shape in figure.shapes
        if isinstance(shape, Text)
    ]


def titled(declaration: Declaration, beginning: str) -> list[Box]:
    return [box for box in all_boxes(declaration) if any(title.startswith(beginning) for title in box.titles)]


# Contents --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 3, 20])
def test_each_layer_has_its_wrapper_cell_equations_and_recurrence(layers: int) -> None:
    declaration = of(dropped_stack(layers))
    wrappers, cells = titled(declaration, "DropoutWrapper("), titled(declaration, "BasicRNNCell(")
    assert len(wrappers) == len(cells) == layers
    for number, (wrapper, cell) in enumerate(zip(wrappers, cells, strict=True)):
        assert cell in wrapper.items
        assert [row.op for row in (item.node for item in wrapper.items if isinstance(item, Equation))] == ["dropout"]
        assert cell.layer == f"rnn/multi_rnn_cell/cell_{number}/basic_rnn_cell"
        assert [state.width for state in cell.states] == ["7"]
        (equation,) = (item for item in cell.items if isinstance(item, Equation))
        assert equation.training.startswith("tanh([dropout")
        assert equation.training.endswith("@ kernel + bias)")
    (driver,) = (box for box in declaration.boxes if box.kind == "driver")
    assert driver.note == "for t = 0 … T−1"
    assert not driver.states
    assert [*driver.joins.values()] == ["[B, 7]"] * (layers - 1)


def test_dropout_and_the_loss_are_drawn_in_training_alone() -> None:
    declaration = of(dropped_stack())
    drawn = drawing_of(declaration, "both", "equations")
    training, inference = texts(drawn, "training"), texts(drawn, "inference")
    assert sum("keep 0.5" in text for text in training) == 3
    assert not any("ropout" in text for text in inference)
    assert "loss" in training
    assert "y" in training
    assert "loss" not in inference
    assert "y" not in inference
    assert any(text.startswith("state_1′ = tanh([state_0′, state_1]") for text in inference)
    assert any(text.startswith("state_1′ = tanh([dropout_1, state_1]") for text in training)
    for graph, count in (("training", 3), ("inference", 0)):
        marks = [
            shape
            for figure in drawn.figures
            if figure.graph == graph
            for shape in figure.shapes
            if isinstance(shape, Rectangle) and shape.style == "dropout"
        ]
        assert len(marks) == count


def test_arrows_have_shapes_and_recurrences_are_loops() -> None:
    drawn = drawing_of(of(dropped_stack()), "training", "equations")
    labels = [
        shape.text
        for figure in drawn.figures
        for shape in figure.shapes
        if isinstance(shape, Text) and shape.style == "label"
    ]
    assert {"[T, B, 5]", "[T, B, 7]", "[B, 7]", "[B, 3]", "i64[B]"} <= set(labels)
    loops = [
        shape
        for figure in drawn.figures
        for shape in figure.shapes
        if isinstance(shape, Line) and shape.style == "loop"
    ]
    assert len(loops) == 3
    assert all(loop.points[0][1] > loop.points[-1][1] for loop in loops)


def test_both_directions_and_edges_around_the_dropout() -> None:
    declaration = of(both_ways())
    notes = sorted(box.note for box in declaration.boxes if box.kind == "driver")
    assert notes == ["for t = 0 … length−1", "for t = length−1 … 0, backward in time"]
    (wrapper, _) = titled(declaration, "ResidualWrapper(")
    assert [title.partition("(")[0] for title in wrapper.titles] == ["ResidualWrapper", "DropoutWrapper"]
    (dropout,) = (
        box for box in declaration.boxes if any(item.is_dropout for item in box.items if isinstance(item, Equation))
    )
    assert (dropout.training, dropout.inference, dropout.passes) == (True, False, True)
    near = [arrow for arrow in declaration.arrows if dropout.key in (arrow.source, arrow.target)]
    assert len(near) == 2
    assert all(arrow.inference for arrow in near)


def test_a_decoder_reads_its_teacher_in_training_alone() -> None:
    declaration = of(decoder())
    inputs = {box.titles[0]: (box.training, box.inference) for box in declaration.boxes if box.kind == "input"}
    assert inputs == {"memory": (True, True), "lengths": (True, True), "wanted": (True, False)}
    (cell,) = titled(declaration, "GRUCell(")
    (attentive,) = titled(declaration, "AttentionWrapper(")
    assert cell in attentive.items
    assert "<" not in attentive.titles[0]


def test_equations_compute_the_results_of_the_cell() -> None:
    """Equations of a user's cell, run as Python, have the program's values."""
    x = rg.placeholder("x", shape=(1, 1, 3))
    outputs, _ = rg.dynamic_rnn(Gated(4), x, initial_state=rg.constant(np.full((1, 4), 0.5, np.float32)))
    program = rg.compile(outputs, cache=False)
    actual = {row.name: row.inference for row in rows(of(program)) if row.name in ("f", "c", "h′")}
    assert [*actual] == ["f", "c", "h′"]
    feed = np.array([[[0.3, -0.2, 0.9]]], np.float32)
    names = {name.rpartition("/")[2]: array for name, array in program.parameters.items()}
    names |= {"x": feed[0], "h": np.full((1, 4), 0.5), "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}
    for name, text in actual.items():
        names[name.replace("′", "_new")] = eval(text.replace("·", "*").replace("−", "-").replace("′", "_new"), names)
    np.testing.assert_allclose(program.inference(x=feed)[0], names["h_new"], rtol=1e-4)


def test_brackets_are_written_if_the_order_needs_them() -> None:
    a, b, c = (rg.placeholder(name, shape=(None,)) for name in "abc")
    outputs = {
        "p": a - (b - c),
        "q": (a - b) - c,
        "r": (a + b) * c,
        "s": a / (b * c),
        "t": -(a + b),
        "u": a * b / c,
        "v": rg.concat([a, b], axis=0)[1:],
        "w": rg.where(a < b, a, c),
        "y": rg.reduce_sum(a * b, axis=0),
    }
    declaration = of(rg.compile(outputs, cache=False))
    actual = {row.training for row in rows(declaration)}
    assert {
        "a − (b − c)",
        "a − b − c",
        "(a + b) · c",
        "a / (b · c)",
        "−(a + b)",
        "a · b / c",
        "[a, b][1:]",
        "where(a < b, a, c)",
        "reduce_sum(a · b, axis 0)",
    } <= actual


def test_a_saved_program_has_the_same_picture_and_reads_no_file(tmp_path: Path) -> None:
    program = dropped_stack()
    program.save(tmp_path / "net")
    live, saved = of(program), of(rg.load(tmp_path / "net"))
    assert [box.titles for box in all_boxes(live)] == [box.titles for box in all_boxes(saved)]
    assert [row.training for row in rows(live)] == [row.training for row in rows(saved)]
    assert any(box.note.startswith("logits = rg.dense(") for box in all_boxes(live))
    assert not any("rg." in box.note for box in all_boxes(saved))


def equations_of(declaration: Declaration, title: str) -> list[str]:
    """Return the equations of the first box with this title in the training graph."""
    box = titled(declaration, title)[0]
    return [f"{item.name} = {item.training}" for item in box.items if isinstance(item, Equation)]


def test_gates_have_their_authors_names() -> None:
    """Gate names appear in every cell of a net, and lengths change no equation."""
    declaration = of(two_layers_both_ways())
    cells = [box for box in all_boxes(declaration) if box.kind == "cell"]
    assert len(cells) == 4
    for cell in cells:
        assert [item.name for item in cell.items if isinstance(item, Equation)] == ["gates", *"fij", "c′", "o", "h′"]
    assert equations_of(declaration, "LSTMCell")[4:] == [
        "c′ = sigmoid(f) · c + sigmoid(i) · tanh(j)",
        "o = gates[:, 30:]",
        "h′ = sigmoid(o) · tanh(c′)",
    ]
    assert {box.note for box in titled(declaration, "layer_1/fw")} == {"for t = 0 … length−1"}


def test_forms_of_values_are_no_ops() -> None:
    """Casts, indices and positions are shown in the notation of the source, not as ops."""
    x = rg.placeholder("x", (None, None, 3))
    n = rg.placeholder("n", (None,), dtype="int32")
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(4, forget_bias=0.0), x, sequence_length=n)
    second_outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), outputs, sequence_length=n)
    declaration = of(
        rg.compile({"last": rg.tanh(second_outputs[:, -1]), "best": rg.argmax(second_outputs)}, cache=False)
    )
    written = [row.training for row in rows(declaration)]
    assert not any("9.22" in text or "∞" in text or " + 0" in text or "reshape" in text for text in written)
    assert "argmax(outputs_1, axis 2)" in written
    assert any(text == "gates[:, 8:12]" for text in written)
    assert [box.titles for box in declaration.boxes if "cast" in box.titles] == []
    assert any("[:, −1]" in text for text in written)


def test_the_loss_is_folded_unless_all_is_wanted() -> None:
    declaration = of(dropped_stack())
    (loss,) = (box for box in declaration.boxes if box.is_folded)
    assert loss.titles == ("loss",)
    assert any("log(reduce_sum" in text for text in texts(drawing_of(declaration, "both", "equations"), "training"))
    assert not any("log(reduce_sum" in text for text in texts(drawing(declaration), "training"))
    assert not any("tanh" in text for text in texts(drawing(declaration, max_detail="cells"), "training"))


# Layout ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETS)
@pytest.mark.parametrize("detail", DETAILS)
def test_texts_are_within_their_boxes_and_boxes_within_the_picture(make: Callable[[], rg.Program], detail: str) -> None:
    check_places(drawing_of(of(make()), "both", detail))  # type: ignore[arg-type]


def check_places(drawn: Drawing) -> None:
    """Check that texts lie within their boxes, and boxes within the picture."""
    for figure in drawn.figures:
        if figure.box is None:
            continue
        frame = next((shape for shape in figure.shapes if isinstance(shape, Rectangle)), None)
        if frame is None:  # a wrapper without a frame, because inference omits it
            continue
        for shape in figure.shapes:
            if isinstance(shape, Rectangle):
                assert shape.x >= frame.x - 1e-6
                assert shape.x + shape.width <= frame.x + frame.width + 1e-6
                assert shape.y >= frame.y - 1e-6
                assert shape.y + shape.height <= frame.y + frame.height + 1e-6
            if isinstance(shape, Text) and shape.style in ("title", "equation", "dropped", "note"):
                assert frame.x < shape.x
                assert shape.x + CHARACTER * len(shape.text) < frame.x + frame.width
                assert frame.y < shape.y < frame.y + frame.height
        assert frame.x >= 0
        assert frame.x + frame.width <= drawn.width
        assert frame.y >= 0
        assert frame.y + frame.height <= drawn.height


def check_drawn(seeds: range) -> None:
    """Check random nets at every level: valid XML, texts in their boxes, and equations for nearly all cells."""
    counts = {True: 0, False: 0}
    for seed in seeds:
        declaration = of(declarations.declare(seed).compile(cache=False))
        for detail in DETAILS:
            drawn = drawing_of(declaration, "both", detail)
            ElementTree.fromstring(svg_text(drawn))
            check_places(drawn)
        for box in all_boxes(declaration):
            if box.kind == "cell":
                counts[bool(box.layer)] += 1
    assert counts[True] > 20 * counts[False]


def test_random_nets_are_drawn() -> None:
    check_drawn(range(6))


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(10))
def test_a_thousand_random_nets_are_drawn(part: int) -> None:
    check_drawn(range(100 * part, 100 * (part + 1)))


@pytest.mark.parametrize("graph", ["training", "inference"])
def test_one_graph_alone_has_no_empty_sides(graph: str) -> None:
    declaration = of(dropped_stack())
    alone = drawing_of(declaration, graph, "equations")  # type: ignore[arg-type]
    frames = [shape for figure in alone.figures for shape in figure.shapes if isinstance(shape, Rectangle)]
    assert min(shape.x for shape in frames) < 20
    assert alone.width <= drawing_of(declaration, "both", "equations").width / 2 + 40


@pytest.mark.parametrize(("cell", "count"), [("wrapper", 200), ("stack", 45)])
def test_cells_nest_to_any_depth(cell: str, count: int) -> None:
    inner: rg.Cell = rg.GRUCell(2)
    for _ in range(count):
        stacked = cell == "stack"
        inner = rg.MultiRNNCell([inner, rg.GRUCell(2)]) if stacked else rg.DropoutWrapper(inner, input_keep_prob=0.9)
    outputs, _ = rg.dynamic_rnn(inner, rg.placeholder("x", shape=(None, None, 2)))
    declaration = of(rg.compile(outputs, cache=False))
    check_places(drawing_of(declaration, "inference", "equations"))
    assert drawing(declaration).height <= 4000


def test_high_pictures_have_less_detail() -> None:
    low, high = of(dropped_stack(2)), of(dropped_stack(60))
    assert any("tanh" in text for text in texts(drawing(low), "training"))
    assert not any("tanh" in text for text in texts(drawing(high), "training"))
    assert any("dropout at 60 places" in text for text in texts(drawing(high), "training"))
    assert any("… 58 more" in text for text in texts(drawing(high), "inference"))


# Files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETS)
def test_the_text_is_xml_without_foreign_markup(make: Callable[[], rg.Program]) -> None:
    text = svg(make().parts.source)
    root = ElementTree.fromstring(text)
    kinds = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert kinds <= {"svg", "style", "g", "title", "rect", "text", "path", "polygon"}
    if make is hostile:
        actual = [element.text or "" for element in root.iter(f"{SVG}text")]
        assert HOSTILE.replace("\x01", "\ufffd") in actual


def test_files_are_svg_and_png(tmp_path: Path) -> None:
    program = dropped_stack()
    program.plot(tmp_path / "net.svg")
    assert (tmp_path / "net.svg").read_text() == svg(program.parts.source)
    program.plot(str(tmp_path / "net.PNG"), graphs="inference", detail="layers")
    data = (tmp_path / "net.PNG").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 5000


def _errors(folder: Path) -> Iterator[tuple[Callable[[rg.Program], object], type[rg.RnnGraphError], str]]:
    yield lambda program: program.plot(folder / "net.jpg"), rg.ArgumentError, "net.svg"
    yield lambda program: program.plot(3), rg.DtypeError, "not a path"  # type: ignore[arg-type]
    yield lambda program: program.plot(folder / "no" / "net.svg"), rg.FileError, "net.svg"
    yield lambda program: program.plot(folder / "net.svg", graphs="all"), rg.ArgumentError, "inference"
    yield lambda program: program.plot(folder / "net.svg", detail="more"), rg.ArgumentError, "cells"


def test_errors_name_the_code_to_write(tmp_path: Path) -> None:
    program = dropped_stack(1)
    for call, kind, words in _errors(tmp_path):
        with pytest.raises(kind, match=re.escape(words)):
            call(program)
    assert [*tmp_path.iterdir()] == []


def test_png_without_matplotlib_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(rg.MissingExtraError, match=r"pip install matplotlib, or write \.svg"):
        dropped_stack(1).plot(tmp_path / "net.png")


def test_cells_show_the_names_of_their_layers() -> None:
    x = rg.placeholder("x", (None, None, 3))
    cells = [rg.GRUCell(4), rg.DropoutWrapper(rg.LSTMCell(5), output_keep_prob=0.5), rg.GRUCell(4)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, scope="encoder")
    drawn = drawing_of(of(rg.compile(outputs, cache=False)), "training", "cells")
    cells_of = [figure for figure in drawn.figures if figure.box is not None and figure.box.kind == "cell"]
    texts = [[shape.text for shape in figure.shapes if isinstance(shape, Text)] for figure in cells_of]
    titles = [(actual[0], actual[1]) for actual in texts]
    assert titles == [("GRUCell(4)", "cell_0"), ("LSTMCell(5)", "cell_1"), ("GRUCell(4)", "cell_2")]


@pytest.mark.parametrize("make", [dropped_stack, both_ways, decoder, own_cells])
def test_closed_boxes_take_the_place_of_open_ones(make: Callable[[], rg.Program]) -> None:
    """Closed boxes are lower, and no wider than their reserved space; no other box moves."""
    drawn = drawing_of(of(make()), "both", "equations", True)
    check_places(drawn)
    actual = [figure for figure in drawn.figures if figure.closed]
    assert {"cell", "driver", "stack", "wrapper"} & {figure.box.kind for figure in actual if figure.box}
    check_places(replace(drawn, figures=tuple(replace(figure, shapes=figure.closed) for figure in actual)))
    for figure in actual:
        opened, closed = figure.shapes[0], figure.closed[0]
        assert isinstance(opened, Rectangle)
        assert isinstance(closed, Rectangle)
        assert (opened.x, opened.y) == (closed.x, closed.y)
        assert closed.height < opened.height
        assert closed.width <= opened.width
    assert not any(figure.closed for figure in drawing_of(of(make()), "both", "equations").figures)


@pytest.mark.parametrize("graph", ["training", "inference"])
@pytest.mark.parametrize("detail", DETAILS)
def test_arrows_within_a_driver_end_at_boxes(graph: str, detail: str) -> None:
    """Arrows within a driver end at boxes; where inference omits a wrapper, they end at the cell inside it."""
    drawn = drawing_of(of(dropped_stack()), graph, detail)  # type: ignore[arg-type]
    frames = [shape for figure in drawn.figures for shape in figure.shapes if isinstance(shape, Rectangle)]
    inner = [figure for figure in drawn.figures if figure.box is not None]
    joins = [shape for figure in inner for shape in figure.shapes if isinstance(shape, Line) and shape.style == "arrow"]
    assert len(joins) == (0 if detail == "layers" else 2)
    for join in joins:
        (x, y), (_, below) = join.points
        assert any(box.x < x < box.x + box.width and abs(box.y + box.height - y) < 1e-6 for box in frames)
        assert any(box.x < x < box.x + box.width and abs(box.y - below) < 1e-6 for box in frames)
