"""Graphs that once failed, reduced to a minimum: run as stored programs, they equal the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pytest
from hostile_calls import Run, files_for, template
from hostile_graphs import Hostile

from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import evaluate

SIZES = {"T": 3, "B": 2, "S": 5}

GRAPHS = {
    "a sum of a turned last axis, whose gradient is one number turned": """
  x = input : f32[T,5]
  y = reverse x {axis=1} : f32[T,5]
  s = reduce_sum y {axes=(0, 1), keepdims=False} : f32[]
""",
    "numbers counted down": """
  x = input : f32[T,5]
  i = iota {size=5} : i64[5]
  r = reverse i {axis=0} : i64[5]
  f = cast r {dtype='float32'} : f32[5]
  y = mul x, f : f32[T,5]
  s = reduce_sum y {axes=(0, 1), keepdims=False} : f32[]
""",
    "every second of counted numbers": """
  x = input : f32[T,3]
  i = iota {size=5} : i64[5]
  r = slice i[0:5:2] : i64[3]
  f = cast r {dtype='float32'} : f32[3]
  y = mul x, f : f32[T,3]
  s = reduce_sum y {axes=(0, 1), keepdims=False} : f32[]
""",
    "rows without units": """
  x = input : f32[T,5]
  none = slice x[:, 0:0] : f32[T,0]
  least = reduce_min none {axes=(0, 1), keepdims=False} : f32[]
  sums = reduce_sum none {axes=(1,), keepdims=False} : f32[T]
  y = reduce_max none {axes=(1,), keepdims=True} : f32[T,1]
  s = reduce_sum sums {axes=(0,), keepdims=False} : f32[]
  output 'least' = least
""",
    "a sum over time of rows that are none": """
  x = input : f32[T,B,5]
  n = slice x[:, 0:0, :] : f32[T,0,5]
  y = outer_sum n, n : f32[5,5]
  l = scan {length=T, reverse=False} : (f32[T,B,5])
    over row = x : f32[B,5]
    e = tanh row : f32[B,5]
    emit e = e
  z = get l {index=0} : f32[T,B,5]
  s = reduce_sum z {axes=(0, 1, 2), keepdims=False} : f32[]
  output 'z' = z
""",
    "zeros as long as the loop that reads all of them at each step": """
  x = input : f32[T,B,3]
  w = parameter : f32[3,5]
  h = reshape w {shape=(3, 5, 1)} : f32[3,5,1]
  l = scan {length=T, reverse=False} : (f32[3,5,1], f32[T,3,5,1])
    carry before = h : f32[3,5,1]
    after = tanh before : f32[3,5,1]
    next n = after
    emit o = before
  z = get l {index=1} : f32[T,3,5,1]
  m = scan {length=T, reverse=False} : (f32[T,3,5,1], f32[T,T,3,2,0])
    carry all = z : f32[T,3,5,1]
    bent = tanh all : f32[T,3,5,1]
    c = slice all[:, :, 2:4, :0] : f32[T,3,2,0]
    next n = bent
    emit e = c
  u = get m {index=1} : f32[T,T,3,2,0]
  a = reduce_sum u {axes=(0, 1, 2, 3, 4), keepdims=False} : f32[]
  y = reduce_sum z {axes=(0, 1, 2, 3), keepdims=False} : f32[]
  s = add a, y : f32[]
""",
    "an index that steps read, of which there are none": """
  x = input : f32[T,S,3]
  i = iota {size=S} : i64[S]
  l = scan {length=T, reverse=False} : (f32[T,S,3])
    over row = x : f32[S,3]
    with ids = i : i64[S]
    e = gather row, ids : f32[S,3]
    emit e = e
  z = get l {index=0} : f32[T,S,3]
  y = gather i, i : i64[S]
  s = reduce_sum z {axes=(0, 1, 2), keepdims=False} : f32[]
  output 'i' = i
  output 'z' = z
""",
    "a step that moves what no step changes": """
  x = input : f32[T,B]
  c = input : f32[2,S]
  l = scan {length=T, reverse=False} : (f32[T,S,2])
    over row = x : f32[B]
    with whole = c : f32[2,S]
    turned = transpose whole {order=(1, 0)} : f32[S,2]
    emit e = turned
  y = get l {index=0} : f32[T,S,2]
  s = reduce_sum y {axes=(0, 1, 2), keepdims=False} : f32[]
""",
    "a step that repeats a number": """
  x = input : f32[T,B]
  l = scan {length=T, reverse=False} : (f32[T,B,2])
    over row = x : f32[B]
    wide = broadcast f32(2.0) {shape=(B, 2)} : f32[B,2]
    emit e = wide
  y = get l {index=0} : f32[T,B,2]
  s = reduce_sum y {axes=(0, 1, 2), keepdims=False} : f32[]
""",
    "a step of weights as a product's right operand": """
  w = parameter : f32[4,5,7]
  x = input : f32[B,5]
  l = scan {length=4, reverse=False} : (f32[4,B,7])
    over step = w : f32[5,7]
    with rows = x : f32[B,5]
    p = matmul rows, step : f32[B,7]
    emit e = p
  y = get l {index=0} : f32[4,B,7]
  s = reduce_sum y {axes=(0, 1, 2), keepdims=False} : f32[]
""",
    "a number of sizes at every step": """
  x = input : f32[T,B]
  l = scan {length=T, reverse=False} : (i64[T])
    over row = x : f32[B]
    n = dimension {size=T-5} : i64[]
    emit e = n
  y = get l {index=0} : i64[T]
  s = reduce_sum x {axes=(0, 1), keepdims=False} : f32[]
""",
    "a guard of one number for many": """
  x = input : f32[T,B]
  f = input : bool[T,1]
  one = constant 1.0 : f32[]
  y = select f, one, x {guards=True} : f32[T,B]
  s = reduce_sum y {axes=(0, 1), keepdims=False} : f32[]
""",
    "floats that no integer is": """
  x = input : f32[T,B]
  big = mul x, f32(1e+30) : f32[T,B]
  none = sub big, big : f32[T,B]
  bad = div none, none : f32[T,B]
  y = cast big {dtype='int64'} : i64[T,B]
  z = cast bad {dtype='int32'} : i32[T,B]
  s = reduce_sum x {axes=(0, 1), keepdims=False} : f32[]
  output 'z' = z
""",
    "columns of as many as there are steps": """
  x = input : f32[T,B]
  y = outer_sum x, x : f32[B,B]
  z = transpose x {order=(1, 0)} : f32[B,T]
  p = matmul x, z : f32[T,T]
  l = scan {length=T, reverse=True} : (f32[B], f32[T,T])
    carry h = r : f32[B]
    over row = p : f32[T]
    n = tanh h : f32[B]
    next h = n
    emit e = row
  q = get l {index=1} : f32[T,T]
  s = reduce_sum q {axes=(0, 1), keepdims=False} : f32[]
  output 'q' = q
""".replace("  l = scan", "  r = reduce_sum x {axes=(0,), keepdims=False} : f32[B]\n  l = scan"),
}


@lru_cache(maxsize=1)
def stored() -> dict[str, bytes]:
    return template()


def ran(text: str, sizes: dict[str, int]) -> Run:
    graph = parse(f"graph declared{text}  output 'y' = y\n  output 'loss' = s\n")
    arrays = {}
    for number, node in enumerate(graph.inputs):
        shape = tuple(evaluate(dim, sizes) for dim in node.shape)
        arrays[node] = np.random.default_rng(number).integers(-3, 4, shape).astype(node.dtype)
    by_op = [{str(n["label"]): a for n, a in arrays.items() if n.op == op} for op in ("input", "parameter")]
    hostile = Hostile(1, graph, *by_op)
    return Run(lambda array: np.array(array), hostile, files_for(hostile, stored()))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_failed_before(name: str) -> None:
    lengths = (3, 0, 19) if "length=T" in GRAPHS[name] else (3,)  # only lengths may be 0
    for steps in lengths:
        run = ran(GRAPHS[name], SIZES | {"T": steps})
        assert run.found == []
        assert plain(run.notes) == []


def plain(notes: Sequence[str]) -> list[str]:
    """Return refusals, except refusals of sparse weights and of recomputation."""
    return [note for note in notes if not note.startswith(("sparse", "recompute"))]


NESTED = """
  x = input : f32[T,S]
  l = scan {length=T, reverse=False} : (f32[S], f32[T])
    carry h = first : f32[S]
    over row = x : f32[S]
    inner = scan {length=S, reverse=False, where=7} : (f32[])
      carry total = zero : f32[]
      over one = row : f32[]
      sum = add total, one : f32[]
      loud = tanh sum : f32[]
      next total = loud
    t = get inner {index=0} : f32[]
    n = mul h, t : f32[S]
    next h = n
    emit e = t
  y = get l {index=1} : f32[T]
  s = reduce_sum y {axes=(0,), keepdims=False} : f32[]
""".replace("  l = scan", "  first = reduce_sum x {axes=(0,), keepdims=False} : f32[S]\n  l = scan").replace(
    "    inner = scan", "    zero = reduce_sum row {axes=(0,), keepdims=False} : f32[]\n    inner = scan"
)


def test_a_loop_of_each_step_is_refused_with_its_line() -> None:
    run = ran("\n  file 'net.py'" + NESTED, SIZES)
    assert run.found == []
    *notes, of_gradients = plain(run.notes)
    assert len(notes) == 3
    assert all("net.py:7: the recurrence inner runs inside of each step of another" in note for note in notes)
    assert "net.py:7: the recurrence inner runs inside of each step" in of_gradients


def test_a_loop_that_no_step_changes_runs_once() -> None:
    """A recurrence whose inputs are constant is hoisted out of the loop."""
    text = NESTED.replace("over one = row", "over one = same").replace("    over row = x", "    over row = x")
    text = text.replace("    zero = reduce_sum row", "    zero = reduce_sum same").replace(
        "    over row = x : f32[S]\n", "    over row = x : f32[S]\n    with same = first : f32[S]\n"
    )
    run = ran("\n  file 'net.py'" + text, SIZES)
    assert run.found == []
    (note,) = plain(run.notes)
    assert "has no gradient" in note
