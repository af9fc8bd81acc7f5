"""Views address the same elements as NumPy's own views, and never read beyond a padded row."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from rnngraph.codegen.buffers.views import View
from rnngraph.codegen.loop_ir.nodes import Buffer
from rnngraph.ir.types import Dim, evaluate, size

BUFFER = Buffer("m", "int64")
B, T = size("B"), size("T")

shapes = st.lists(st.integers(1, 5), max_size=4).map(tuple)


def numbered(elements: int) -> np.ndarray:
    """Return memory in which each element has the value of its offset."""
    return np.arange(elements)


def seen(view: View, memory: np.ndarray, sizes: dict[str, int] | None = None) -> np.ndarray:
    """Return the elements that a view addresses."""

    def known(dim: Dim) -> int:
        return evaluate(dim, sizes or {})

    shape = tuple(map(known, view.shape))
    if 0 in shape:
        return np.zeros(shape, memory.dtype)
    strides = [known(stride) for stride in view.strides]
    reach = [(length - 1) * stride for length, stride in zip(shape, strides, strict=True)]
    first = known(view.offset)
    assert first + sum(min(0, item) for item in reach) >= 0
    assert first + sum(max(0, item) for item in reach) < memory.size
    return as_strided(memory[first:], shape, [stride * memory.itemsize for stride in strides])


@dataclass
class Pair:
    """A view, and a NumPy array after the same operations."""

    view: View
    array: np.ndarray
    memory: np.ndarray
    row: int  # distance between rows in memory, in elements

    def check(self) -> None:
        assert tuple(self.view.shape) == self.array.shape
        np.testing.assert_array_equal(seen(self.view, self.memory), self.array)
        room = self.view.room
        if room is None or not self.array.size:
            return
        width = self.array.shape[-1]
        assert room >= width
        if width > 1:
            assert self.view.strides[-1] == 1
        starts = self.array[..., 0]  # elements of a numbered memory are offsets
        assert np.all(starts % self.row + room <= self.row)


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Draw a contiguous or padded tensor, and apply a few view operations."""
    shape = draw(shapes)
    if draw(st.booleans()) and shape:
        row = shape[-1] + draw(st.integers(0, 4))
        memory = numbered(math.prod(shape[:-1]) * row)
        pair = Pair(View.padded(BUFFER, shape, row), memory.reshape(*shape[:-1], row)[..., : shape[-1]], memory, row)
    else:
        memory = numbered(math.prod(shape))
        row = shape[-1] if shape else 1
        pair = Pair(View.contiguous(BUFFER, shape), memory.reshape(shape), memory, row)
    for _ in range(draw(st.integers(0, 4))):
        pair = step(draw, pair)
    return pair


def step(draw: st.DrawFn, pair: Pair) -> Pair:
    view, array, rank = pair.view, pair.array, pair.array.ndim
    kind = draw(
        st.sampled_from(["slice", "transpose", "reverse", "broadcast", "first_axis"] if rank else ["broadcast"])
    )
    if kind == "slice":
        start = [draw(st.integers(0, dim)) for dim in array.shape]
        stop = [draw(st.integers(first, dim)) for first, dim in zip(start, array.shape, strict=True)]
        steps = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in array.shape]
        slices = tuple(map(slice, start, stop, steps))
        return replace(pair, view=view.slice(start, stop, steps), array=array[slices])
    if kind == "transpose":
        order = draw(st.permutations(range(rank)))
        return replace(pair, view=view.transpose(order), array=array.transpose(order))
    if kind == "reverse":
        axis = draw(st.integers(0, rank - 1))
        return replace(pair, view=view.reverse(axis), array=np.flip(array, axis))
    if kind == "broadcast":
        shape = (*draw(st.lists(st.integers(1, 3), max_size=1)), *array.shape)
        shape = tuple(draw(st.integers(1, 3)) if dim == 1 else dim for dim in shape)
        return replace(pair, view=view.broadcast(shape), array=np.broadcast_to(array, shape))
    if not array.shape[0] or rank == 1:
        return pair
    position = draw(st.integers(0, array.shape[0] - 1))
    return replace(pair, view=view.first_axis(position), array=array[position])


@given(pairs())
def test_steps_are_numpys(pair: Pair) -> None:
    pair.check()


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[Pair, tuple[int, ...]]:
    """Draw a view, and a shape with as many elements."""
    pair = draw(pairs().filter(lambda pair: pair.array.size))
    factors = [factor for dim in pair.array.shape for factor in prime_factors(dim)]
    factors = draw(st.permutations(factors)) if draw(st.booleans()) else factors
    shape: list[int] = []
    while factors:
        count = draw(st.integers(1, len(factors)))
        shape.append(math.prod(factors[:count]))
        factors = factors[count:]
    for _ in range(draw(st.integers(0, 2))):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    return pair, tuple(shape)


def prime_factors(number: int) -> list[int]:
    return next(([p, *prime_factors(number // p)] for p in range(2, number + 1) if number % p == 0), [])


@given(reshapes())
def test_reshape_is_numpys_where_no_copy_is_needed(case: tuple[Pair, tuple[int, ...]]) -> None:
    pair, shape = case
    view = pair.view.reshape(shape)
    try:
        array = pair.array.reshape(shape, copy=False)
    except ValueError:
        assert view is None
        return
    assert view is not None
    replace(pair, view=view, array=array).check()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((T, B, 3), (T * B, 3)),
        ((T * B, 3), (T, B, 3)),
        ((T, B, 3), (T, 1, B, 3)),
        ((T, 1, B, 3), (T, B, 3)),
        ((B,), (B, 1)),
        ((B, 6), (B, 2, 3)),
        ((B, 2, 3), (B, 6)),
        ((T, B, 3), (T, 3 * B)),
        ((T, B, 3), (3 * B * T,)),
        ((T - 1, B), (B * T - B,)),
    ],
)
def test_reshape_of_open_sizes(before: tuple[Dim, ...], after: tuple[Dim, ...]) -> None:
    sizes = {"T": 4, "B": 5}
    shape, target = (tuple(evaluate(dim, sizes) for dim in dims) for dims in (before, after))
    memory = numbered(math.prod(shape))
    view = View.contiguous(BUFFER, before).reshape(after)
    assert view is not None
    assert view.shape == after
    np.testing.assert_array_equal(seen(view, memory, sizes), memory.reshape(target))


def test_open_sizes_and_strides_stay_formulas() -> None:
    view = View(BUFFER, 0, (size("s0"), size("s1"), 1), (B, T, 3)).transpose((1, 0, 2)).reverse(0)
    view = view.slice((1, 0, 0), (T, B, 2), (1, 1, 1))
    assert view.shape == (T - 1, B, 2)
    assert view.strides == (-1 * size("s1"), size("s0"), 1)
    assert view.offset == (T - 2) * size("s1")


@pytest.mark.parametrize("shape", [(T * 3, B), (3, B * T), (B * T * 3,)])
def test_padding_stops_views_that_would_cross_rows(shape: tuple[Dim, ...]) -> None:
    view = View.padded(BUFFER, (T, B, 3), 4)
    assert view.reshape(shape) is None
    kept = view.reshape((T * B, 3))
    assert kept is not None
    assert (kept.strides, kept.room) == ((4, 1), 4)
