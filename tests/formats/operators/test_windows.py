"""Convolutions and pools of foreign formats, computed with live Tensors, against sums over windows in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.formats.operators.backend import TensorBackend
from rnngraph.formats.operators.convolutions import convolution, owned, shared, transposed_convolution
from rnngraph.formats.operators.errors import UnreadableError
from rnngraph.formats.operators.pools import adaptive_pool, max_pool, mean_pool
from rnngraph.formats.operators.windows import Window

Axis = tuple[int, int, int, Any]
"""Tuple of size, stride, dilation and padding."""
AXES: tuple[Axis, ...] = (
    (1, 1, 1, "valid"),
    (1, 3, 1, "same"),
    (3, 1, 1, "same"),
    (4, 1, 2, "same_lower"),
    (2, 3, 1, "same"),
    (3, 2, 2, "same_lower"),
    (3, 1, 2, "causal"),
    (2, 2, 1, (1, 0)),
    (3, 2, 1, (2, 1)),
    (2, 1, 3, "valid"),
    (3, 3, 2, (0, 2)),
    (1, 2, 1, (1, 1)),
)
"""Windows with every padding, with and without strides and dilation. The last has windows of padding alone, which pools
don't allow.
"""


def padding_of(length: int, axis: Axis) -> tuple[int, int]:
    size, stride, dilation, padding = axis
    span = dilation * (size - 1)
    if isinstance(padding, tuple):
        return padding
    total = max(0, (-(-length // stride) - 1) * stride + span + 1 - length)
    less, more = total // 2, total - total // 2
    return {"valid": (0, 0), "causal": (span, 0), "same": (less, more), "same_lower": (more, less)}[padding]


def places(length: int, axis: Axis, ceil: bool = False) -> list[list[int]]:
    """Return the positions that each window reads along an axis. Positions outside are padding, or beyond it."""
    size, stride, dilation, _ = axis
    before, after = padding_of(length, axis)
    room = length + before + after - dilation * (size - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= length + before:
        count -= 1
    return [[number * stride - before + entry * dilation for entry in range(size)] for number in range(count)]


def reduced(x: np.ndarray, axes: Sequence[Axis], reduce: Callable[[Any, Any], Any], ceil: bool = False) -> np.ndarray:
    """Apply ``reduce`` to each window's pairs (position, entries), and to the number of averaged entries."""
    lengths = x.shape[1:-1]
    windows = [places(length, axis, ceil) for length, axis in zip(lengths, axes, strict=True)]
    ends = [length + padding_of(length, axis)[1] for length, axis in zip(lengths, axes, strict=True)]
    results = []
    for window in product(*windows):
        cells = list(product(*(enumerate(one) for one in window)))
        there = [
            (tuple(at for at, _ in cell), x[(slice(None), *(place for _, place in cell))])
            for cell in cells
            if all(0 <= place < length for (_, place), length in zip(cell, lengths, strict=True))
        ]
        padded = sum(all(place < end for (_, place), end in zip(cell, ends, strict=True)) for cell in cells)
        results.append(reduce(there, padded))
    return np.stack(results, 1).reshape(len(x), *map(len, windows), -1)


def run(declare: Callable[[TensorBackend, Any], Any], x: np.ndarray, lengths: Sequence[Any]) -> np.ndarray:
    b = TensorBackend()
    tensor = rg.placeholder("x", (None, *lengths, x.shape[-1]), dtype="float64")
    program = rg.compile({"y": declare(b, tensor)})
    program.parameters.load({name: array for name, array in b.weights.items() if name in program.parameters})
    return np.asarray(program.inference(x=x)["y"])


def windows_of(tensor: Any, axes: Sequence[Axis]) -> list[Window]:
    return [Window.along(size, *axis) for size, axis in zip(tensor.type.shape[1:-1], axes, strict=True)]


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape)


def check(declare: Callable[[TensorBackend, Any], Any], x: np.ndarray, wanted: np.ndarray, is_open: bool) -> None:
    """Compare results with ``wanted``. If ``is_open``, the first axis has a symbolic size."""
    lengths = [None, *x.shape[2:-1]] if is_open else x.shape[1:-1]
    y = run(declare, x, lengths)
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)


ONE_AXIS = [(axis,) for axis in AXES]
TWO_AXES = [(AXES[number], AXES[(5 * number + 3) % len(AXES)]) for number in range(0, len(AXES), 2)]


def depends_on_the_call(axis: Axis) -> bool:
    """Return True if the padding of an open axis depends on its size."""
    return axis[3] == "same_lower" and axis[1] > 1


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axes", [*ONE_AXIS, *TWO_AXES], ids=str)
def test_convolutions(axes: Sequence[Axis], groups: int) -> None:
    x, is_open = drawn(2, *(9, 8)[: len(axes)], 4), groups == 1 and not depends_on_the_call(axes[0])
    kernel, bias = drawn(*(axis[0] for axis in axes), 4 // groups, 6), drawn(6)

    def reduce(there: Any, _: int) -> Any:
        total = np.zeros((2, 6)) + bias
        for at, entries in there:
            parts = zip(np.split(entries, groups, 1), np.split(kernel[at], groups, 1), strict=True)
            total += np.concatenate([part @ weights for part, weights in parts], 1)
        return total

    def declare(b: TensorBackend, tensor: Any) -> Any:
        return convolution(b, tensor, kernel, windows_of(tensor, axes), groups, owned(b, "layer", bias, groups))

    def declare_shared(b: TensorBackend, tensor: Any) -> Any:
        convolve = shared(b, lambda array: rg.constant(array.tolist(), "float64"), rg.constant(bias, "float64"), groups)
        return convolution(b, tensor, kernel, windows_of(tensor, axes), groups, convolve)

    wanted = reduced(x, axes, reduce)
    check(declare, x, wanted, is_open)
    if all(axis[1] == 1 or not is_open for axis in axes):
        check(declare_shared, x, wanted, is_open)


@pytest.mark.parametrize("axes", [axes for axes in (*ONE_AXIS, *TWO_AXES) if AXES[-1] not in axes], ids=str)
@pytest.mark.parametrize("ceil", [False, True])
def test_pools(axes: Sequence[Axis], ceil: bool) -> None:
    x = drawn(2, *(8, 9)[: len(axes)], 3) - 3

    def windows(tensor: Any) -> list[Window]:
        plain = windows_of(tensor, axes)
        if not ceil:
            return plain
        ceiled = [window.ceiled(size) for window, size in zip(plain, tensor.type.shape[1:-1], strict=True)]
        return [window for window in ceiled if window is not None]

    def mean(counts_padding: bool) -> Callable[[Any, int], Any]:
        def reduce(there: Any, padded: int) -> Any:
            total = sum((entries for _, entries in there), np.zeros((2, 3)))
            return total / (padded if counts_padding else len(there))

        return reduce

    cases: list[tuple[Callable[[TensorBackend, Any], Any], Callable[[Any, int], Any]]] = [
        (lambda b, tensor: max_pool(b, tensor, windows(tensor)), lambda there, _: np.max([e for _, e in there], 0)),
        (lambda b, tensor: mean_pool(b, tensor, windows(tensor), True), mean(True)),
        (lambda b, tensor: mean_pool(b, tensor, windows(tensor), False), mean(False)),
    ]
    for declare, reduce in cases:
        check(declare, x, reduced(x, axes, reduce, ceil), False)


@pytest.mark.parametrize("length", [7, 8, 9])
def test_a_last_window_of_an_open_axis(length: int) -> None:
    """With stride 2 and size 3, the last window exists for any size."""
    axes, x = [(3, 2, 1, (1, 1))], drawn(2, length, 3)

    def declare(b: TensorBackend, tensor: Any) -> Any:
        window = windows_of(tensor, axes)[0].ceiled(tensor.type.shape[1])
        assert window is not None
        return mean_pool(b, tensor, [window], False)

    wanted = reduced(x, axes, lambda there, _: sum(entries for _, entries in there) / len(there), ceil=True)
    check(declare, x, wanted, True)


@pytest.mark.parametrize(
    ("size", "stride", "dilation", "sides", "added"),
    [
        (3, 1, 1, (0, 0), 0),
        (3, 2, 1, (1, 1), 1),
        (2, 3, 1, (0, 0), 0),
        (4, 2, 2, (1, 2), 0),
        (2, 2, 1, (1, 1), 1),
        (3, 3, 1, (2, 0), 2),
        (2, 1, 1, (2, 2), 0),
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("count", [1, 2])
def test_transposed_convolutions(
    size: int, stride: int, dilation: int, sides: tuple[int, int], added: int, groups: int, count: int
) -> None:
    """Each entry adds the scaled kernel at its position times the stride."""
    lengths = (6, 5)[:count]
    x, kernel = drawn(2, *lengths, 4), drawn(*[size] * count, 6 // groups, 4)
    whole = [(length - 1) * stride + dilation * (size - 1) + 1 + added for length in lengths]
    wanted = np.zeros((2, *whole, 6))
    for entry in product(*map(range, lengths)):
        for at in product(range(size), repeat=count):
            place = tuple(one * stride + other * dilation for one, other in zip(entry, at, strict=True))
            pairs = zip(np.split(x[(slice(None), *entry)], groups, 1), np.split(kernel[at], groups, 1), strict=True)
            wanted[(slice(None), *place)] += np.concatenate([part @ weights.T for part, weights in pairs], 1)
    kept = (slice(sides[0], -sides[1] or None),) * count

    def declare(b: TensorBackend, tensor: Any) -> Any:
        windows = [Window.transposed(size, stride, dilation, sides, added)] * count
        convolve = owned(b, "layer", None, groups)
        return transposed_convolution(b, tensor, kernel, windows, [added] * count, groups, convolve)

    check(declare, x, wanted[(slice(None), *kept)], True)


def test_windows_that_can_not_be_declared_are_rejected() -> None:
    b, x = TensorBackend(), rg.placeholder("x", (None, None, None, 4))
    with pytest.raises(UnreadableError, match="both axes of its input are symbolic"):
        max_pool(b, x, [Window(2), Window(3)])
    with pytest.raises(UnreadableError, match="does not fit 4 channels in 3 groups"):
        convolution(b, x, np.ones((1, 1, 2, 6)), [Window(1)] * 2, 3, owned(b, "layer", None, 3))
    y = rg.placeholder("y", (None, None, 4))
    window = Window.along(y.type.shape[1], 3, 2, 1, "same")
    with pytest.raises(UnreadableError, match="depends on the symbolic size"):
        mean_pool(b, y, [window], True)
    assert window.ceiled(y.type.shape[1]) is None


@pytest.mark.parametrize("counts", [{1: 1}, {1: 3, 2: 5}, {1: 4, 2: 7}, {2: 9}])
@pytest.mark.parametrize("is_max", [True, False])
def test_adaptive_pools(counts: dict[int, int], is_max: bool) -> None:
    """Window i of n spans floor(i * size / n) to ceil((i + 1) * size / n)."""
    rows = np.random.default_rng(5).normal(size=(2, 6, 7, 3)).astype(np.float32)
    x, wanted = rg.placeholder("x", (None, 6, 7, 3)), rows.astype(np.float64)
    for axis, count in counts.items():
        size = rows.shape[axis]
        bounds = [(place * size // count, -(-(place + 1) * size // count)) for place in range(count)]
        parts = [np.take(wanted, range(*pair), axis) for pair in bounds]
        wanted = np.concatenate([(np.max if is_max else np.mean)(part, axis, keepdims=True) for part in parts], axis)
    actual = rg.compile({"y": adaptive_pool(TensorBackend(), x, counts, is_max)}).inference(x=rows)["y"]
    np.testing.assert_allclose(actual, wanted, rtol=1e-6, atol=1e-6)
