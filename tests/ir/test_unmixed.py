"""Axes that a loop's steps do not mix, and the loop's body for a block of positions of an axis."""

from __future__ import annotations

import numpy as np

from rnngraph.ir.axes.unmixed import restricted, unmixed_axes
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.node import Node
from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import size

MATRIX = """graph matrix
  k = input : f32[T,B,2,3,1]
  v = input : f32[T,B,2,1,5]
  start = input : f32[B,2,3,5]
  loop = scan {length=T, reverse=False} : (f32[B,2,3,5], f32[T,B,2,5])
    carry S = start : f32[B,2,3,5]
    over k_t = k : f32[B,2,3,1]
    over v_t = v : f32[B,2,1,5]
    outer = mul k_t, v_t : f32[B,2,3,5]
    new = add S, outer : f32[B,2,3,5]
    read = reduce_sum new {axes=(2,), keepdims=False} : f32[B,2,5]
    next S = new
    emit read = read
  reads = get loop {index=1} : f32[T,B,2,5]
  output 'reads' = reads
"""


def the_scan() -> Node:
    (scan,) = [node for node in parse(MATRIX).nodes if node.op == "scan"]
    return scan


def test_an_axis_that_a_step_adds_up_is_mixed() -> None:
    scan = the_scan()
    rows, heads, values = unmixed_axes(scan)
    assert [axis.size for axis in (rows, heads, values)] == [size("B"), 2, 5]
    params = {str(node["label"]): node for node in scan["body"].inputs}
    assert heads.places[params["S"]] == heads.places[params["k_t"]] == 1
    assert values.places[params["v_t"]] == 3
    assert params["k_t"] not in values.places


GROUPS = """graph groups
  k = input : f32[T,B,2,3]
  start = input : f32[B,8,3,5]
  loop = scan {length=T, reverse=False} : (f32[B,8,3,5], f32[T,B,8,3,5])
    carry S = start : f32[B,8,3,5]
    over k_t = k : f32[B,2,3]
    apart = reshape k_t {shape=(B, 2, 1, 3)} : f32[B,2,1,3]
    shared = broadcast apart {shape=(B, 2, 4, 3)} : f32[B,2,4,3]
    heads = reshape shared {shape=(B, 8, 3, 1)} : f32[B,8,3,1]
    new = add S, heads : f32[B,8,3,5]
    next S = new
    emit new = new
  all = get loop {index=1} : f32[T,B,8,3,5]
  output 'all' = all
"""


def test_an_axis_that_a_reshape_merges_is_mixed() -> None:
    """Heads of a group read one vector, so that a block of heads cannot be computed without its group."""
    (scan,) = [node for node in parse(GROUPS).nodes if node.op == "scan"]
    assert [axis.size for axis in unmixed_axes(scan)] == [size("B"), 3, 5]


def test_a_restricted_body_computes_the_same_values_as_the_whole_one() -> None:
    scan = the_scan()
    body, axes = scan["body"], unmixed_axes(scan)
    inner, _ = restricted(body, [(axes[1], 1), (axes[2], 2)])
    generator = np.random.default_rng(0)
    shapes = {"S": (3, 2, 3, 5), "k_t": (3, 2, 3, 1), "v_t": (3, 2, 1, 5)}
    fed = {name: generator.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    whole = interpret(body, fed)
    part = {"S": fed["S"][:, 1:, :, 3:], "k_t": fed["k_t"][:, 1:], "v_t": fed["v_t"][:, 1:, :, 3:]}
    result = interpret(inner, part)
    np.testing.assert_array_equal(result["S"], whole["S"][:, 1:, :, 3:])
    np.testing.assert_array_equal(result["read"], whole["read"][:, 1:, 3:])
