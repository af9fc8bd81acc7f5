"""Register tiles fit into registers, cover the whole result, and share a panel among rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnngraph.codegen.cost_model.register_tiles import (
    OPEN_ROWS,
    ProductShape,
    balanced,
    fits,
    step_cycles,
    tile_shape,
    unroll,
)
from rnngraph.codegen.machine.target import Target, target_of
from rnngraph.ir.types import size

LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
TARGETS = [target_of(name) for name in LEVELS]
targets = st.sampled_from(TARGETS)
gates = st.integers(1, 9)
blocks = st.integers(1, 40)
depths = st.integers(1, 2048)


@given(targets, gates, blocks, st.integers(0, 200), depths)
def test_tiles_fit_the_registers(target: Target, gates: int, blocks: int, rows: int, depth: int) -> None:
    shape = tile_shape(target, ProductShape(gates, blocks, rows, depth))
    assert 1 <= shape.rows <= max(1, rows)
    assert 1 <= shape.blocks <= blocks
    assert 1 <= shape.unroll <= 4
    if (shape.rows, shape.blocks) != (1, 1):  # the smallest tile is used even if it does not fit
        assert fits(target, shape.rows, shape.blocks * gates)


@given(targets, st.integers(1, 40), st.integers(1, 40))
def test_registers_are_used_up_to_their_number(target: Target, rows: int, columns: int) -> None:
    """Registers hold the accumulators and at least one operand of a step of k."""
    if fits(target, rows, columns):
        assert rows * columns < target.registers
        assert rows == 1 or fits(target, rows - 1, columns) or rows - 1 == 1
        assert columns == 1 or fits(target, rows, columns - 1)


@given(st.integers(0, 500), st.integers(1, 40))
def test_balanced_tiles_add_up(rows: int, most: int) -> None:
    parts = balanced(rows, most)
    sizes = [size for size, _ in parts]
    assert sum(size * number for size, number in parts) == rows
    assert sum(number for _, number in parts) == -(-rows // most)
    assert all(0 < size <= most and number > 0 for size, number in parts)
    assert sizes == sorted(set(sizes), reverse=True)
    assert not sizes or sizes[0] - sizes[-1] <= 1


@pytest.mark.parametrize("gates", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [8, 16, 32])
def test_rows_are_cut_into_tiles_of_one_height_where_that_costs_little(gates: int, rows: int) -> None:
    """Each additional height costs compile time."""
    shape = tile_shape(target_of("x86-64-v4"), ProductShape(gates, 7, rows, 100))
    assert len(balanced(rows, shape.rows)) == 1
    assert shape.rows * shape.blocks * gates >= 12  # enough accumulators to hide the latency of a multiply-add


@pytest.mark.parametrize("target", TARGETS, ids=LEVELS)
@pytest.mark.parametrize("gates", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [8, 16, 32, 64, size("B")], ids=str)
def test_batches_share_a_panel_among_rows(target: Target, gates: int, rows: int) -> None:
    assert tile_shape(target, ProductShape(gates, 8, rows, 256)).rows > 1


@given(targets, gates, blocks, depths)
def test_one_row_is_one_row(target: Target, gates: int, blocks: int, depth: int) -> None:
    assert tile_shape(target, ProductShape(gates, blocks, 1, depth)).rows == 1


@given(targets, gates, blocks, depths)
def test_open_rows_are_many(target: Target, gates: int, blocks: int, depth: int) -> None:
    shapes = [tile_shape(target, ProductShape(gates, blocks, rows, depth)) for rows in (size("B"), OPEN_ROWS)]
    assert shapes[0] == shapes[1]


@given(targets, st.integers(1, 8), st.integers(1, 8))
def test_more_work_never_costs_less(target: Target, rows: int, columns: int) -> None:
    near, far = 1, target.first_cache
    cost = step_cycles(target, rows, columns, near)
    assert cost <= step_cycles(target, rows + 1, columns, near)
    assert cost <= step_cycles(target, rows, columns + 1, near)
    assert cost <= step_cycles(target, rows, columns, far)


@pytest.mark.parametrize("target", TARGETS, ids=LEVELS)
def test_a_row_alone_hides_the_latency(target: Target) -> None:
    """With a single accumulator, each step of k would wait for the previous one."""
    shape = tile_shape(target, ProductShape(1, 16, 1, 64))
    assert shape.rows * shape.blocks > 1


@pytest.mark.parametrize("gates", [3, 4])
def test_a_row_alone_has_no_more_columns_than_gain_time(gates: int) -> None:
    """Each column costs compile time, including the epilogue of its sum."""
    shape = tile_shape(target_of("x86-64-v4"), ProductShape(gates, 7, 1, 100))
    assert shape.blocks + 7 % shape.blocks <= 4


@pytest.mark.parametrize(("columns", "steps"), [(12, 2), (13, 2), (14, 1)])
def test_two_steps_a_turn_must_find_room_where_operands_are_loaded(columns: int, steps: int) -> None:
    """On 64-bit Arm, 28 accumulators of two rows leave too few registers for the operands of two steps of k."""
    assert unroll(target_of("aarch64-linux"), 2, columns, 1) == steps
    assert unroll(target_of("x86-64-v4"), 2, columns, 1) == 2
