"""The axis column of every op, against the values that the op computes, entry by entry."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from axis_proofs import Proof, numbers
from hostile_graphs import NAMES, draw

from rnngraph.ir.axes.walk import adds_up, fate, fates
from rnngraph.ir.axis_maps import DROPPED, MIXED, Bound, Kept, Merged, Reduced
from rnngraph.ir.axis_rules import regrouped
from rnngraph.ir.graph import make
from rnngraph.ir.ops import OPS
from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import FLOATS, TensorType, evaluate, size

F, I, L, B = "float32", "int32", "int64", "bool"  # noqa: E741
Case = tuple[list[tuple[str, tuple[int, ...]]], dict[str, Any]]

PAIRS = [((2, 3), (2, 3)), ((2, 3), (3,)), ((3, 1), (2, 1, 4)), ((), (2, 2)), ((1, 1), (2, 3))]
TRIPLES = [((2, 3), (2, 3), (2, 3)), ((2, 1), (3,), (2, 3)), ((), (2, 1), (1, 3)), ((2, 3), (1, 1), ())]
COMPARED = ("less", "less_equal", "equal", "not_equal")


def elementwise(op: str) -> list[Case]:
    row = OPS[op]
    if op == "select":
        return [([(B, a), (F, b), (F, c)], {}) for a, b, c in TRIPLES]
    if op == "cast":
        return [([(F, (2, 3))], {"dtype": dtype}) for dtype in ("float64", "int32")] + [
            ([(B, (2, 3))], {"dtype": "float32"}),
            ([(I, (2,))], {"dtype": "float64"}),
        ]
    if op == "random_key":
        return [([(L, a), (L, b), (L, c)], {"site": "s", "salt": 3}) for a, b, c in TRIPLES]
    if op in ("random_uniform", "sample_uniform"):
        return [([(L, a), (L, b)], {}) for a, b in PAIRS]
    if op == "sample_key":
        return [([(L, a), (L, b)], {"site": "s", "salt": 3}) for a, b in PAIRS]
    dtypes = (B,) if op in ("and", "or", "not") else (F, I) if op in ("div", "mul", *COMPARED) else (F,)
    shapes: Any = {1: [((2, 3),), ((),)], 2: PAIRS, 3: TRIPLES}[row.arity[0]]
    return [([(dtype, shape) for shape in case], {}) for dtype in dtypes for case in shapes]


def reductions() -> list[Case]:
    axes = [(), (0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)]
    return [([(F, (2, 3, 4))], {"axes": item, "keepdims": keep}) for item in axes for keep in (False, True)]


OTHERS: dict[str, list[Case]] = {
    "matmul": [
        ([(F, shape) for shape in shapes], {})
        for shapes in (
            ((3,), (3, 2)),
            ((2, 3), (3, 2)),
            ((2, 2, 3), (3, 2)),
            ((2, 4, 3), (2, 3, 2)),
            ((1, 2, 3), (1, 3, 2)),
            ((2, 3), (3, 2), (2,)),
            ((2, 2, 3), (3, 4), (2, 4)),
            ((2, 2, 3), (2, 3, 4), (2, 1, 4)),
            ((3,), (3, 2), ()),
        )
    ],
    "block_matmul": [
        (
            [("int8", (*lead, 4)), ("uint8", (4, 3)), (F, (*lead, 2)), ("float16", (2, 3)), (I, (*lead, 2))],
            {"block": 2, "zero": 8, "bits": 8},
        )
        for lead in ((), (2,), (2, 3))
    ],
    "outer_sum": [([(F, (*lead, 2)), (F, (*lead, 3))], {}) for lead in ((4,), (2, 3))],
    "scatter_add": [
        ([(L, index), (F, (*index, *rest))], {"rows": 3}) for index in ((4,), (2, 3), ()) for rest in ((), (2,), (2, 2))
    ],
    "overlap_add": [
        ([(F, (2, 3, 2))], {"axis": 1, "size": 6, "step": 2, "apart": 1}),
        ([(F, (2, 3, 2))], {"axis": 0, "size": 6, "step": 1, "apart": 2}),
        ([(F, (2, 2, 3, 2))], {"axis": 1, "size": 5, "step": 2, "apart": 1}),
    ],
    "reduce_sum": reductions(),
    "reduce_max": reductions(),
    "reduce_min": reductions(),
    "slice": [
        ([(F, (4, 5))], {"start": start, "stop": stop, "step": step})
        for start, stop, step in (
            ((0, 0), (4, 5), (1, 1)),
            ((1, 0), (3, 5), (1, 2)),
            ((0, 2), (2, 5), (1, 2)),
            ((3, 1), (4, 5), (1, 3)),
        )
    ],
    "windows": [
        ([(F, (4, 7))], {"axis": 1, "size": 2, "step": 2, "apart": 1}),
        ([(F, (4, 7))], {"axis": 1, "size": 3, "step": 1, "apart": 2}),
        ([(F, (5, 2, 3))], {"axis": 0, "size": 2, "step": 1, "apart": 1}),
    ],
    "reverse": [([(F, (2, 3, 4))], {"axis": axis}) for axis in range(3)],
    "transpose": [([(F, (2, 3, 4))], {"order": order}) for order in itertools.permutations(range(3))],
    "reshape": [
        ([(F, before)], {"shape": after})
        for before, after in (
            ((2, 3, 4), (6, 4)),
            ((2, 3, 4), (2, 12)),
            ((6, 4), (2, 3, 4)),
            ((6, 4), (2, 12)),
            ((2, 3, 4), (24,)),
            ((24,), (2, 3, 4)),
            ((2, 3), (3, 2)),
            ((2, 1, 3), (2, 3)),
            ((2, 3), (1, 2, 1, 3)),
            ((1, 1), (1,)),
            ((4, 6), (2, 2, 6)),
            ((4, 6), (2, 12)),
            ((4, 6), (8, 3)),
            ((2, 6), (4, 3)),
            ((12, 2), (4, 6)),
            ((), (1, 1)),
            ((1,), ()),
            ((2, 3, 4), (2, 3, 4)),
            ((2, 3, 4), (4, 3, 2)),
            ((3, 4, 5), (3, 2, 10)),
        )
    ],
    "broadcast": [
        ([(F, before)], {"shape": after})
        for before, after in (((2, 3), (4, 2, 3)), ((1, 3), (2, 3)), ((), (2, 2)), ((2, 1), (3, 2, 4)))
    ],
    "dropout": [
        ([(F, (3, 4)), (F, ()), (L, ()), (L, ()), (L, (3, 1))], {"site": "s", "salt": 1}),
        ([(F, (2, 3, 4)), (F, ()), (L, ()), (L, (2, 1, 1)), (L, (3, 1))], {"site": "s", "salt": 0}),
    ],
    "by_graph": [([(F, (2, 3)), (F, (2, 3))], {})],
    "with_update": [([(F, (2, 3)), (F, (4,)), (F, (4,))], {})],
    "ensure_shape": [([(F, (2, 3))], {"shape": (2, 3)})],
    "concat": [
        ([(F, (2, 3)), (F, (2, 3))], {"axis": 0}),
        ([(F, (2, 1)), (F, (2, 3)), (F, (2, 2))], {"axis": 1}),
        ([(F, (2, 3))], {"axis": 1}),
    ],
    "gather": [([(F, table), (L, index)], {}) for table in ((4,), (4, 3), (3, 2, 2)) for index in ((), (5,), (2, 3))],
}
COMPUTED = [op for op, row in OPS.items() if row.kind not in ("leaf", "structured") or op in OTHERS]
CASES = [
    pytest.param(op, case, id=f"{op}-{number}")
    for op in COMPUTED
    for number, case in enumerate(elementwise(op) if OPS[op].kind == "elementwise" else OTHERS[op])
]
LOOSE = (
    "windows",
    "overlap_add",
    "gather",
    "scatter_add",
    "equal",
    "not_equal",
    "dropout",
    "by_graph",
    "with_update",
    "straight_through",
)
"""Ops that may ignore an entry that the column allows: coupled axes, data-dependent reads, or unread operands."""


def proof(op: str, case: Case, seed: int = 0) -> Proof:
    operands, attributes = case
    rng = np.random.default_rng(seed)
    arrays = [numbers(dtype, shape, rng) for dtype, shape in operands]
    inputs = [
        make("input", label=f"x{number}", type=TensorType(dtype, shape))
        for number, (dtype, shape) in enumerate(operands)
    ]
    return Proof(make(op, *inputs, **attributes), arrays, {})


@pytest.mark.parametrize(("op", "case"), CASES)
def test_an_entry_affects_exactly_the_entries_of_its_column(op: str, case: Case) -> None:
    """Each entry is replaced by NaN and by distant numbers. Several seeds reveal conditional reads."""
    proofs = [proof(op, case, seed) for seed in range(6)]
    is_loose = op in LOOSE or any(use.fate == MIXED for use in fates(proofs[0].node))
    for number, array in enumerate(proofs[0].arrays):
        for index in np.ndindex(array.shape):
            said = proofs[0].readers(number, index)
            seen = np.logical_or.reduce([item.changes(number, index) for item in proofs])
            assert not (seen & ~said).any(), (number, index)
            assert is_loose or (seen == said).all(), (number, index)


@pytest.mark.parametrize(("op", "case"), CASES)
def test_permuted_rows_give_permuted_results(op: str, case: Case) -> None:
    item, rng = proof(op, case), np.random.default_rng(1)
    for axis in item.orderly():
        item.check_order(axis, rng)
    item.check_alike()


@pytest.mark.parametrize(("op", "case"), CASES)
def test_parts_of_a_reduced_axis_add_up(op: str, case: Case) -> None:
    item = proof(op, case)
    for (by, _), axes in item.reduced().items():
        item.check_parts(by, axes)


@pytest.mark.parametrize(("op", "case"), CASES)
def test_an_op_is_linear_in_the_declared_operands(op: str, case: Case) -> None:
    item = proof(op, case)
    for group in item.linear:
        assert all(item.is_linear(group, np.random.default_rng(seed)) for seed in range(3)), group


@pytest.mark.parametrize("op", COMPUTED)
def test_an_op_is_linear_in_no_other_operand(op: str) -> None:
    """In at least one case the op is nonlinear in the operand; a maximum of one number is linear."""
    proofs = [proof(op, case.values[1]) for case in CASES if case.values[0] == op]  # type: ignore[arg-type]
    proofs = [item for item in proofs if item.node.dtype in FLOATS]
    for number, array in enumerate(proofs[0].arrays if proofs else ()):
        if array.dtype.kind == "f" and not any(number in group for group in proofs[0].linear):
            seeds = [(item, np.random.default_rng(seed)) for item in proofs for seed in range(3)]
            assert not all(item.is_linear([number], rng) for item, rng in seeds), number


def test_all_columns_are_shown_to_keep_rows() -> None:
    """Without this check the tests above could pass vacuously."""
    shown = {case.values[0] for case in CASES if any(True for _ in proof(*case.values).orderly())}  # type: ignore[arg-type]
    assert shown == set(COMPUTED) - {"with_update"}


def test_iota_differs_by_place_and_entries_may_have_any_value() -> None:
    for op, attributes in (("iota", {"size": 3}), ("constant", {"value": np.arange(3)})):
        assert OPS[op].axes.by_place(make(op, **attributes)) == {0}


@pytest.mark.parametrize("seed", range(12))
def test_columns_are_correct_for_random_graphs(seed: int) -> None:
    """Shapes and attributes come from random graphs, including symbolic sizes and axes of length 1."""
    drawn, rng = draw(seed), np.random.default_rng(seed)
    sizes = {name: 3 + number for number, name in enumerate(NAMES)}
    nodes = [node for node in drawn.graph.walk() if OPS[node.op].kind not in ("leaf", "structured")]
    for node in nodes:
        shapes = [tuple(evaluate(dim, sizes) for dim in item.shape) for item in node.operands]
        if min((min(shape, default=1) for shape in shapes), default=1) < 1:
            continue
        item = Proof(
            node, [numbers(x.dtype, shape, rng) for x, shape in zip(node.operands, shapes, strict=True)], sizes
        )
        try:
            item.value()
        except ValueError:  # the interpreter refuses these sizes
            continue
        for number, shape in enumerate(shapes):
            index = tuple(int(rng.integers(dim)) for dim in shape)
            assert not (item.changes(number, index) & ~item.readers(number, index)).any(), node
        for axis in item.orderly():
            item.check_order(axis, rng)
        item.check_alike()


# Results of single rules ---------------------------------------------------------------------------

ROWS, STEPS = size("B"), size("T")


@pytest.mark.parametrize(
    ("before", "axis", "after", "expected"),
    [
        ((ROWS, STEPS, 3), 0, (ROWS * STEPS, 3), Merged((0,), 1, STEPS)),
        ((ROWS, STEPS, 3), 1, (ROWS * STEPS, 3), Merged((0,), ROWS, 1)),
        ((ROWS * STEPS, 3), 0, (ROWS, STEPS, 3), Merged((0, 1), 1, 1)),
        ((ROWS * STEPS, 6), 0, (ROWS, STEPS * 6), Merged((0, 1), 1, 6)),
        ((ROWS, STEPS, 3), 0, (ROWS, 3, STEPS), Kept(0)),
        ((ROWS, STEPS, 3), 1, (ROWS, 3, STEPS), MIXED),
        ((ROWS, STEPS), 0, (STEPS, ROWS), MIXED),
        ((1, ROWS), 1, (ROWS, 1), Kept(0)),
        ((ROWS, 1, 3), 1, (ROWS, 3), DROPPED),
        ((STEPS - 1, ROWS), 0, ((STEPS - 1) * ROWS,), Merged((0,), 1, ROWS)),
        ((ROWS, 0), 0, (ROWS, 0, 5), Kept(0)),
    ],
)
def test_a_reshape_keeps_merges_or_mixes_axes_of_open_sizes(before: Any, axis: int, after: Any, expected: Any) -> None:
    assert regrouped(before, axis, after) == expected


SCAN = """graph g
  x = input : f32[T,B,2]
  h = input : f32[B,2]
  w = input : f32[2,2]
  loop = scan {length=T, reverse=False} : (f32[B,2], f32[T,B,2])
    carry state = h : f32[B,2]
    over x_t = x : f32[B,2]
    with weights = w : f32[2,2]
    product = matmul state, weights : f32[B,2]
    new = add product, x_t : f32[B,2]
    next state = new
    emit out = new
  out = get loop {index=1} : f32[T,B,2]
  output 'out' = out
"""


def test_a_scan_hands_axes_to_its_body() -> None:
    """A sequence's axes shift by one in the body, and its time axis is mixed."""
    scan = next(node for node in parse(SCAN).nodes if node.op == "scan")
    assert [use.fate for use in fates(scan)] == [
        Bound(0, 0),
        Bound(0, 1),
        MIXED,
        Bound(1, 0),
        Bound(1, 1),
        Bound(2, 0),
        Bound(2, 1),
    ]


def test_values_that_add_up_over_steps() -> None:
    x = make("input", label="x", type=TensorType(F, (STEPS, 3)))
    ids = make("input", label="ids", type=TensorType(L, (STEPS,)))
    assert adds_up(make("reduce_sum", x, axes=(0,), keepdims=False))
    assert adds_up(make("outer_sum", x, x))
    assert adds_up(make("scatter_add", ids, x, rows=4))
    assert not adds_up(make("reduce_max", x, axes=(0,), keepdims=False))
    assert not adds_up(make("reduce_sum", x, axes=(1,), keepdims=False))
    assert fate(make("matmul", x, make("transpose", x, order=(1, 0))), 0, 1) == Reduced("sum", 0)
