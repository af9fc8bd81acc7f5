"""Functions that infer the axes of steps and rows, for small graphs with named and numeric sizes."""

from __future__ import annotations

import pytest

from rnngraph.ir.axes.by_size import (
    NodeAxes,
    axis_beside_names,
    axis_of_names,
    axis_of_sizes,
    counts,
    declared_lengths,
    lengths_of,
    open_axis_of_fed,
    output_row_axes,
    state_rows,
    time_axis_of_fed,
    time_sizes,
)
from rnngraph.ir.graph import Graph
from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import Shape, size

B, T = size("B"), size("T")
SCAN = """graph g
  x = input : f32[LENGTH,B,4]
  first = input : f32[B,4]
  loop = scan {length=LENGTH, reverse=False} : (f32[B,4], f32[LENGTH,B,4])
    carry h = first : f32[B,4]
    over x_1 = x : f32[B,4]
    add = add h, x_1 : f32[B,4]
    next h = add
    emit out = add
  get = get loop {index=0} : f32[B,4]
  get_1 = get loop {index=1} : f32[LENGTH,B,4]
  turned = transpose get_1 {order=(1, 0, 2)} : f32[B,LENGTH,4]
  output 'last' = get
  output 'all' = turned
"""
FLAT = """graph g
  x = input : f32[B,T,4]
  first_row = input : i64[]
  tanh = tanh x : f32[B,T,4]
  output 'y' = tanh
"""


def scan(length: str = "T") -> Graph:
    return parse(SCAN.replace("LENGTH", length))


def test_sizes_that_count_steps_are_lengths_of_scans() -> None:
    assert (lengths_of(scan()), time_sizes(scan()), declared_lengths(scan())) == ({"T"}, {"T"}, set())
    assert (lengths_of(scan("T-1")), lengths_of(scan("7")), declared_lengths(scan("7"))) == ({"T"}, set(), {7})
    assert state_rows(scan()) == {B}


def test_without_recurrences_the_second_axis_of_a_feed_counts_steps() -> None:
    assert (lengths_of(parse(FLAT)), time_sizes(parse(FLAT)), state_rows(parse(FLAT))) == (set(), {"T"}, set())


def test_a_size_counts_the_factors_in_it() -> None:
    assert counts(T - 1, {"T"})
    assert not counts(T, {"B"})
    assert not counts(3, {"T"})


SHAPES: dict[str, tuple[Shape, int | None, int | None]] = {
    "rows first": ((B, T, 4), 1, 0),
    "steps first": ((T - 1, B, 4), 0, 1),
    "steps alone": ((T,), 0, None),
    "rows alone": ((B, 4), None, 0),
    "nothing": ((), None, None),
}
"""Shape, its axis of steps, and its first other axis, by name."""


@pytest.mark.parametrize(("shape", "steps", "other"), SHAPES.values(), ids=SHAPES)
def test_axes_of_names(shape: Shape, steps: int | None, other: int | None) -> None:
    assert axis_of_names(shape, {"T"}) == steps
    assert axis_beside_names(shape, {"T"}) == other
    assert axis_of_sizes(shape, {T, T - 1}) == steps
    assert time_axis_of_fed(shape, None, {"T"}, set()) == steps


def test_a_declared_length_is_a_time_axis_only_together_with_a_batch() -> None:
    assert time_axis_of_fed((B, 7, 4), 0, set(), {7}) == 1
    assert time_axis_of_fed((7, 4), None, set(), {7}) is None
    assert time_axis_of_fed((7, 7), 0, set(), {7}) == 1


def test_an_open_axis_of_ones_own() -> None:
    assert open_axis_of_fed((B, 3, size("N")), 0) == 2
    assert open_axis_of_fed((B, B), 0) is None
    assert open_axis_of_fed((size("N"),), None) is None


def test_rows_of_outputs_by_name_or_by_number() -> None:
    assert output_row_axes(scan(), {"B": 3}, 3) == {"last": 0, "all": 0}
    assert output_row_axes(scan(), {"N": 3}, 4) == {"last": None, "all": None}
    assert output_row_axes(scan(), {}, 4) == {"last": 1, "all": 2}


def test_rows_and_steps_of_every_node() -> None:
    graph = scan()
    axes, nodes = NodeAxes(graph), {node.name: node for node in graph.walk()}
    assert axes.of(nodes["x"], False, True) == (1, 0)
    assert axes.of(nodes["turned"], False, True) == (0, 1)
    assert axes.of(nodes["get"], False, True) == (0, None)
    assert axes.of(nodes["add"], True, True) == (0, None)


def test_a_number_is_a_size_at_its_usual_axis_and_in_no_gradient() -> None:
    graph = scan("4")
    axes, nodes = NodeAxes(graph), {node.name: node for node in graph.walk()}
    assert axes.of(nodes["turned"], False, True) == (0, 1)
    assert axes.of(nodes["turned"], False, False) == (0, None)


def test_without_recurrences_rows_are_the_first_axis_of_a_feed() -> None:
    graph = parse(FLAT)
    assert NodeAxes(graph).of(graph.nodes[-1], False, True) == (0, None)
