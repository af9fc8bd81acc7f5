"""Indices computed from sizes alone: their known ranges, and calls that would read rows beyond a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.ir.graph import make
from rnngraph.ir.types import size
from rnngraph.runtime.native.preconditions import range_of

T = size("T")


def number(value: int) -> Any:
    return make("constant", value=np.asarray(value, np.int64))


def test_ranges() -> None:
    steps = make("iota", size=T)
    assert range_of(steps) == (0, T - 1)
    assert range_of(make("mul", make("add", steps, number(2)), number(-3))) == (-3 * T - 3, -6)
    assert range_of(make("sub", make("dimension", size=T), steps)) == (1, T)
    assert range_of(make("mul", make("dimension", size=T), number(-1))) == (-1 * T, -1 * T)
    assert range_of(make("reduce_max", steps, axes=(0,), keepdims=False)) == (T - 1, T - 1)


def test_values_that_depend_on_other_inputs_have_no_range() -> None:
    steps = make("iota", size=T)
    # the true range is 0, and interval arithmetic would give 1-T to T-1
    assert range_of(make("sub", steps, steps)) is None
    assert range_of(make("minimum", steps, number(4))) is None


def program_of(index: Any) -> rg.Program:
    x = rg.placeholder("x", ("B", "T", 2))
    table = rg.parameter("table", (5, 2))
    return rg.compile(x + rg.gather(table, index(rg.positions(x, 1))), seed=0)


@pytest.mark.parametrize(
    ("index", "fits"),
    [(lambda p: p, 5), (lambda p: p + 2, 3), (lambda p: 4 - p, 5), (lambda p: rg.cast(p, "int32")[None], 5)],
)
def test_a_longer_sequence_than_the_table_is_an_error(index: Any, fits: int) -> None:
    program = program_of(index)
    assert program.inference(x=np.zeros((1, fits, 2))).shape == (1, fits, 2)
    with pytest.raises(rg.ShapeError, match=rf"test_preconditions.py.* of a table of 5 .* does not fit T = {fits + 1}"):
        program.inference(x=np.zeros((1, fits + 1, 2)))


def test_an_index_that_is_kept_within_bounds_is_no_error() -> None:
    program = program_of(lambda p: rg.minimum(p - 1, 4))
    table = program.parameters["table"]
    np.testing.assert_array_equal(program.inference(x=np.zeros((1, 7, 2)))[0], table[[0, 0, 1, 2, 3, 4, 4]])
