"""Overlap-add of windows has the interpreter's bits, along any axis and for any number of workers."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from native_calls import call_native
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.codegen.compile import compile_graph
from rnngraph.codegen.machine.target import host
from rnngraph.ir.graph import Graph, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.types import TensorType
from rnngraph.runtime.native.entry import NativeEntry


@pytest.mark.parametrize("width", [1, 7, 16, 17, 40])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_windows_of_every_axis(axis: int, width: int) -> None:
    """Windows are in memory, or are products that are computed while they are added."""
    outputs, shape = [], (5, 6, width)
    x = make("input", label="x", name="x", type=TensorType("float32", shape))
    for size, step, apart in product([1, 2, 3], [1, 2, 4], [1, 2]):
        if apart * (size - 1) >= shape[axis]:
            continue
        windows = make("windows", x, axis=axis, size=size, step=step, apart=apart)
        for name, given in (("plain", windows), ("made", make("mul", windows, windows))):
            added = make("overlap_add", given, axis=axis, size=shape[axis], step=step, apart=apart)
            outputs.append((f"{name}_{size}_{step}_{apart}", added))
    graph = Graph.of("overlapping", outputs)
    feed = np.random.default_rng(width).normal(size=shape).astype(np.float32)
    entry = NativeEntry(compile_graph(graph, host(), "overlapping"), host())
    found = call_native(entry, {}, {"x": feed}, {})
    for name, expected in interpret(graph, {"x": feed}).items():
        assert_array_equal(found[name], expected, name)


def test_windows_are_no_copies() -> None:
    """Windows are read from the original array: a pool is one kernel, and a convolution does not copy its input."""
    x = rg.placeholder("x", (None, None, 40))
    pool = rg.compile(rg.max_pool1d(x, 3, 2))
    pool.inference(x=np.zeros((2, 9, 40)))
    assert re.findall(r"^  (\w+) ", pool.inference.show("plan"), re.MULTILINE) == ["kernel"]
    front = rg.compile(rg.conv1d(x, 8, 5, "valid", strides=2))
    front.inference(x=np.zeros((2, 9, 40)))
    assert re.findall(r"^  (\w+) ", front.inference.show("plan"), re.MULTILINE) == ["kernel"]


@pytest.mark.parametrize(("axis", "size", "step"), [(0, 7, 1), (0, 5, 1), (0, 6, 2), (2, 4, 1)])
def test_values_of_other_shapes_do_not_overlap(axis: int, size: int, step: int) -> None:
    x = make("input", label="x", name="x", type=TensorType("float32", (4, 3, 2)))
    with pytest.raises(ValueError, match=r"does not match size|no windows of a known size"):
        make("overlap_add", x, axis=axis, size=size, step=step, apart=1)
