"""Batched matrix products, in every form that the compiler computes, against NumPy in float64."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from test_gradients import check_differences

import rnngraph as rg
from rnngraph.ir.graph import Graph
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.text.parser import parse

SIZES = (1, 2, 3, 7, 17, 25, 63, 100)
CLOSE = {"float32": {"rtol": 2e-4, "atol": 2e-5}, "float64": {"rtol": 1e-10, "atol": 1e-11}}


def swapped(x: Any) -> Any:
    """Return x with its last two axes swapped."""
    if isinstance(x, rg.Tensor):
        return rg.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))
    return np.swapaxes(x, -1, -2)


def normal(seed: int, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def declared(name: str, array: np.ndarray, leading: int = 0) -> rg.Tensor:
    """Return a placeholder for an array, whose first ``leading`` axes are symbolic."""
    shape = tuple(f"axis{i}" if i < leading else dim for i, dim in enumerate(array.shape))
    return rg.placeholder(name, shape, str(array.dtype))


@pytest.mark.parametrize("seed", range(5))
def test_values(seed: int) -> None:
    check_values(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(5, 400))
def test_many_values(seed: int) -> None:
    check_values(seed)


def check_values(seed: int) -> None:
    """Check plain and transposed operands, and fixed and symbolic axes, with an addend and a following op."""
    draw = random.Random(seed)
    rows, depth, columns = (draw.choice(SIZES) for _ in range(3))
    leading = draw.choice([(1,), (2,), (7,), (2, 3), (3, 1, 2)])
    dtype = draw.choice(["float32", "float32", "float64"])
    left, right = normal(seed, (*leading, rows, depth), dtype), normal(seed + 1, (*leading, depth, columns), dtype)
    start = normal(seed + 2, draw.choice([(), (columns,), (*leading, rows, columns)]), dtype)
    turned = [draw.random() < 0.5 for _ in range(2)]
    arrays = [np.ascontiguousarray(swapped(x)) if turn else x for x, turn in zip((left, right), turned, strict=True)]
    feeds = {"a": arrays[0], "b": arrays[1], "c": start}
    many = draw.choice([0, len(leading)])
    a, b = (
        swapped(x) if turn else x
        for x, turn in zip((declared(name, feeds[name], many) for name in "ab"), turned, strict=True)
    )
    c = declared("c", start, many if start.ndim > 1 else 0)
    program = rg.compile({"y": rg.tanh(a @ b * depth**-0.5 + c), "plain": rg.matmul(a, b)}, threads=draw.choice([1, 2]))
    actual = program.inference(feeds)
    expected = left.astype(float) @ right.astype(float)
    np.testing.assert_allclose(actual["plain"], expected, **CLOSE[dtype])
    np.testing.assert_allclose(actual["y"], np.tanh(expected * depth**-0.5 + start), **CLOSE[dtype])
    meant = interpret(program.inference.graph, feeds)
    np.testing.assert_allclose(meant["plain"], expected, **CLOSE[dtype])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 1, 2, 5), (4, 5, 6)),
        ((2, 5), (4, 5, 6)),
        ((4, 2, 5), (1, 5, 6)),
        ((1, 2, 5), (4, 5, 6)),
        ((5,), (4, 5, 6)),
        ((5,), (2, 3, 5, 1)),
        ((2, 5), (1, 1, 5, 6)),
        ((4, 3, 2, 5), (3, 5, 6)),
        ((3, 4, 5), (5, 6)),
        ((5,), (5, 6)),
    ],
)
def test_leading_axes_are_numpys(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    feeds = {"a": normal(0, left), "b": normal(1, right)}
    a, b = (declared(name, array) for name, array in feeds.items())
    expected = np.matmul(feeds["a"], feeds["b"])
    assert (a @ b).shape == expected.shape
    np.testing.assert_allclose(rg.compile(a @ b).inference(feeds), expected, **CLOSE["float32"])
    assert (feeds["a"] @ b).shape == (a @ feeds["b"]).shape == np.matmul(feeds["a"], b).shape == expected.shape  # type: ignore[attr-defined]


def test_axes_without_entries() -> None:
    """Slices of nonempty feeds may be empty: no matrix, no row, no column, or an empty sum."""
    a, b = normal(0, (3, 4, 5)), normal(1, (3, 5, 6))
    x, y = declared("a", a), declared("b", b)
    outputs = {
        "matrices": x[:0] @ y[:0],
        "rows": x[:, :0] @ y,
        "depth": x[:, :, :0] @ y[:, :0],
        "columns": x @ y[:, :, :0],
    }
    loss = rg.reduce_sum(rg.concat([rg.reshape(value, (-1,)) for value in outputs.values()], 0) + rg.reduce_sum(x * 2))
    program = rg.compile(outputs, loss=loss)
    actual = program.inference(a=a, b=b)
    shapes = {name: value.shape for name, value in actual.items()}
    assert shapes == {"matrices": (0, 4, 6), "rows": (3, 0, 6), "depth": (3, 4, 6), "columns": (3, 4, 0)}
    assert not actual["depth"].any()
    _, gradients = program.training.gradients({"a": a, "b": b}, wrt=["a", "b"])
    np.testing.assert_array_equal(gradients["a"], np.full(a.shape, 2 * 72))
    assert not gradients["b"].any()


def test_matrices_of_parameters_alone_are_computed_ahead() -> None:
    u, v = rg.parameter("u", (3, 5, 7)), rg.parameter("v", (3, 17, 7))
    x = rg.placeholder("x", (3, "rows", 5))
    program = rg.compile({"y": x @ u @ swapped(v), "ahead": x @ (u @ swapped(v))})
    fed = normal(0, (3, 25, 5))
    for seed in range(2):
        program.parameters["u"], program.parameters["v"] = normal(seed, (3, 5, 7)), normal(seed + 7, (3, 17, 7))
        expected = fed @ program.parameters["u"] @ swapped(program.parameters["v"])
        for value in program.inference(x=fed).values():
            np.testing.assert_allclose(value, expected, **CLOSE["float32"])


@pytest.mark.parametrize("shape", [(5, 1, 64, 100), (5, 25, 63, 17), (3, 100, 200, 130)])
def test_bits_are_those_of_a_matrix_alone(shape: tuple[int, int, int, int]) -> None:
    """Bits agree for a single matrix, for one of many, for several threads, and for a symbolic batch.

    Transposed operands give the same bits, because sums have one order.
    """
    count, rows, depth, columns = shape
    a, b = normal(0, (count, rows, depth)), normal(1, (count, depth, columns))
    x, y = rg.placeholder("a", (None, rows, depth)), rg.placeholder("b", (None, depth, columns))
    turned = rg.placeholder("b", (None, columns, depth))
    program = rg.compile(rg.tanh(x @ y))
    expected = program.inference(a=a, b=b)
    shared = rg.compile(rg.tanh(x @ y), threads=2)
    other = rg.compile(rg.tanh(x @ swapped(turned)))
    plain = rg.compile(rg.tanh(declared("a", a[0]) @ declared("b", b[0])))
    np.testing.assert_array_equal(shared.inference(a=a, b=b), expected)
    np.testing.assert_array_equal(other.inference(a=a, b=np.ascontiguousarray(swapped(b))), expected)
    for index in range(count):
        np.testing.assert_array_equal(program.inference(a=a[index:], b=b[index:]), expected[index:])
        np.testing.assert_array_equal(plain.inference(a=a[index], b=b[index]), expected[index])


DERIVED = {
    "both": lambda a, b: a @ b,
    "transposed": lambda a, b: swapped(b) @ swapped(a),
    "right transposed": lambda a, b: a @ rg.transpose(rg.reshape(b, (3, 7, 4)), (0, 2, 1)),
    "itself": lambda a, b: a @ swapped(a) + rg.reduce_sum(b),
    "repeated": lambda a, b: rg.matmul(a[:1], b) + a[0] @ b,
    "a row": lambda a, b: rg.matmul(a[0, 0], b),
    "one row": lambda a, b: a[:, :1] @ b,
    "one column": lambda a, b: a @ b[:, :, :1],
    "added": lambda a, b: rg.tanh(a @ b + a @ rg.parameter("w", (4, 7), dtype="float64") + b[:, :1]),
    "weights": lambda a, b: a @ rg.parameter("w", (3, 4, 17), dtype="float64") + rg.reduce_sum(b),
    "heads": lambda a, b: rg.transpose(
        rg.transpose(rg.reshape(a, (3, 5, 2, 2)), (0, 2, 1, 3)) @ rg.reshape(b, (3, 2, 2, 7)), (0, 2, 1, 3)
    ),
}


@pytest.mark.parametrize("name", DERIVED)
def test_derivatives(name: str) -> None:
    feeds = {"a": normal(2, (3, 5, 4), "float64"), "b": normal(3, (3, 4, 7), "float64")}
    value = DERIVED[name](declared("a", feeds["a"]), declared("b", feeds["b"]))
    weights = normal(4, value.shape, "float64")
    check_differences(rg.reduce_sum(rg.tanh(value) * weights), feeds, ["a", "b"])


class Attends(rg.Cell):
    """Cell that reads a memory [batch, entries, width] with several heads at every step, and carries a matrix."""

    def __init__(self, memory: rg.Tensor, heads: int, turned: bool) -> None:
        self.memory, self.heads = memory, heads
        self.keys = swapped(memory) if turned else None

    def state(self) -> Any:
        return self.heads * self.memory.width

    def step(self, p: Any, x: rg.Tensor, h: rg.Tensor) -> Any:
        width = self.memory.width
        h = rg.reshape(h, (None, self.heads, width))
        query = rg.reshape(x @ p.kernel("q", (x.width, self.heads * width)), (None, self.heads, width)) + h
        score = query @ (swapped(self.memory) if self.keys is None else self.keys)
        context = rg.softmax(score) @ self.memory
        h = rg.tanh(context + 0.5 * h @ swapped(h) @ h / width)
        return rg.reduce_sum(h, 1), rg.reshape(h, (None, self.heads * width))


def attends(turned: bool, heads: int, dtype: str, lengths: bool) -> tuple[rg.Tensor, rg.Tensor]:
    memory = rg.placeholder("memory", (None, 7, 3), dtype)
    x = rg.placeholder("x", (None, "time", 5), dtype)
    count = rg.placeholder("n", (None,), "int32") if lengths else None
    outputs, state = rg.dynamic_rnn(Attends(memory, heads, turned), x, sequence_length=count)
    return outputs, state


@pytest.mark.parametrize(("turned", "heads", "lengths"), [(False, 2, False), (True, 1, False), (False, 1, True)])
def test_in_a_loop(turned: bool, heads: int, lengths: bool) -> None:
    """Products within a step, over carried and constant operands: derivatives, threads, and a stream."""
    feeds = {"memory": normal(0, (3, 7, 3), "float64"), "x": normal(1, (3, 4, 5), "float64")}
    if lengths:
        feeds["n"] = np.asarray([4, 1, 3])
    outputs, state = attends(turned, heads, "float64", lengths)
    program = check_differences(rg.reduce_sum(outputs * outputs) + rg.reduce_sum(state), feeds, ["memory", "x"])
    outputs, _ = attends(turned, heads, "float64", lengths)
    alone, shared = (rg.compile(outputs, threads=threads) for threads in (1, 2))
    for name, array in program.parameters.items():
        alone.parameters[name] = shared.parameters[name] = array
    expected = alone.inference(feeds)
    np.testing.assert_array_equal(shared.inference(feeds), expected)
    meant = interpret(alone.inference.graph, {**feeds, **program.parameters})
    np.testing.assert_allclose(expected, next(iter(meant.values())), **CLOSE["float64"])
    for row in range(3):
        single = alone.inference({name: array[row : row + 1] for name, array in feeds.items()})
        np.testing.assert_array_equal(single, expected[row : row + 1])
    if not lengths:
        stream = alone.inference.stream(batch=3)
        steps = [stream.step(x=feeds["x"][:, t], memory=feeds["memory"]) for t in range(4)]
        np.testing.assert_array_equal(np.stack(steps, 1), expected)


def test_self_attention_over_a_recurrence() -> None:
    """Queries, keys and values are all steps of a recurrence; padded rows have lengths."""
    x = rg.placeholder("x", (None, "time", 5), "float64")
    y, _ = rg.dynamic_rnn(rg.GRUCell(6), x)
    heads = [rg.transpose(rg.reshape(rg.dense(y, 6, name=name), (-1, "time", 2, 3)), (0, 2, 1, 3)) for name in "qkv"]
    query, key, value = heads
    weights = rg.softmax(query @ swapped(key) * 3**-0.5)
    attended = rg.reshape(rg.transpose(weights @ value, (0, 2, 1, 3)), (-1, "time", 6))
    feeds = {"x": normal(0, (3, 9, 5), "float64")}
    program = check_differences(rg.reduce_sum(rg.square(attended)), feeds, ["x"])
    meant = interpret(rg.compile(attended).inference.graph, {**feeds, **program.parameters})
    actual = rg.compile(attended)
    for name, array in program.parameters.items():
        actual.parameters[name] = array
    np.testing.assert_allclose(actual.inference(feeds), next(iter(meant.values())), **CLOSE["float64"])


@pytest.mark.peers
@pytest.mark.parametrize("seed", range(40))
def test_torchs_products(seed: int) -> None:
    """``bmm`` and ``einsum`` of multi-head attention equal torch's, with their derivatives."""
    torch, draw = pytest.importorskip("torch"), random.Random(seed)
    count, rows, depth, columns = draw.choice((1, 2, 3, 7)), *(draw.choice(SIZES) for _ in range(3))
    heads = draw.random() < 0.5
    shapes = (
        [(count, rows, 3, depth), (count, columns, 3, depth)]
        if heads
        else [(count, rows, depth), (count, depth, columns)]
    )
    feeds = {name: normal(seed + i, shape) for i, (name, shape) in enumerate(zip("ab", shapes, strict=True))}
    theirs = [torch.tensor(array, requires_grad=True) for array in feeds.values()]
    value = torch.einsum("bqhd,bkhd->bhqk", *theirs) if heads else torch.bmm(*theirs)
    torch.tanh(value / depth**0.5).sum().backward()
    a, b = (declared(name, array) for name, array in feeds.items())
    ours = rg.transpose(a, (0, 2, 1, 3)) @ rg.transpose(b, (0, 2, 3, 1)) if heads else a @ b
    program = rg.compile({"y": ours}, loss=rg.reduce_sum(rg.tanh(ours / depth**0.5)))
    np.testing.assert_allclose(program.inference(feeds)["y"], value.detach().numpy(), **CLOSE["float32"])
    _, gradients = program.training.gradients(feeds, wrt=["a", "b"])
    for name, tensor in zip("ab", theirs, strict=True):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=2e-3, atol=2e-4)


def test_in_a_pipeline() -> None:
    """Workers that share a pipeline, one stage of which packs matrices, have the bits of one worker."""
    x = rg.placeholder("x", ("time", 3, 8))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.GRUCell(48), rg.GRUCell(48)]), x, time_major=True)
    mixed = rg.tanh(outputs @ rg.transpose(outputs, (0, 2, 1)))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(5), mixed, time_major=True)
    fed = normal(0, (300, 3, 8))
    alone, shared = (rg.compile(outputs, threads=threads, seed=0) for threads in (1, 2))
    assert "pipeline" in shared.inference.show("loops")
    np.testing.assert_array_equal(shared.inference(x=fed), alone.inference(x=fed))


@pytest.mark.filterwarnings("ignore:.*changes nothing:UserWarning")
@pytest.mark.parametrize("form", ["int8", "bfloat16"])
def test_matrices_of_parameters_stay_floats(form: str) -> None:
    """Only single matrices are narrowed: not the batched parameter, but the dense layer after it."""
    x, own = rg.placeholder("x", (3, None, 128)), rg.parameter("own", (3, 128, 64))
    exact, narrow = (rg.compile(rg.tanh(x @ own), weights=weights, seed=1) for weights in ("float32", form))
    fed = normal(0, (3, 5, 128))
    np.testing.assert_array_equal(narrow.inference(x=fed), exact.inference(x=fed))
    program = rg.compile(rg.dense(rg.tanh(x @ own), 128), weights=form, seed=1)
    assert f"'{form}'" in program.inference.show("fission")


def test_workers_share_matrices() -> None:
    """The leading axis is split first, so that each worker packs its own operands."""
    q, k = rg.placeholder("q", (32, 25, 64)), rg.placeholder("k", (32, 100, 64))
    plan = rg.compile(q @ swapped(k), threads=2).inference.show("plan")
    assert "axis 0" in plan


@pytest.mark.parametrize(("rows", "turns"), [(1, True), (7, True), (130, False)])
def test_few_rows_turn_columns_as_they_read_them(rows: int, turns: bool) -> None:
    """With few rows, columns are transposed as they are read; with more rows, in a panel that all row tiles read."""
    q, k = rg.placeholder("q", (3, rows, 63)), rg.placeholder("k", (3, 25, 63))
    program = rg.compile(q @ swapped(k), target="x86-64-v3")
    loops = program.inference.show("loops")
    assert ("lanes by" in loops) == turns
    assert ("call transpose" in loops) != turns
    assert "test_batched_products.py" in program.inference.show("asm")


@pytest.mark.parametrize("shape", [(100, 256), (3, 40, 256)])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_one_matrix_that_many_rows_read_is_packed(shape: tuple[int, ...], turned: bool, threads: int) -> None:
    """A packed operand gives the bits of a few rows, for which the operand is read in place."""
    left, right = normal(0, shape), normal(1, (256, 83))
    fed = np.ascontiguousarray(right.T) if turned else right

    def program(rows: int) -> Any:
        x, w = rg.placeholder("x", (rows, 256)), declared("w", fed)
        many = x if rows == 3 else rg.reshape(x, shape)
        return rg.compile(rg.tanh(many @ (swapped(w) if turned else w)), threads=threads).inference

    many, small = program(left.size // 256), program(3)
    flat = left.reshape(-1, 256)
    actual = many(x=flat, w=fed).reshape(-1, 83)
    assert "%packed" in many.show("loops") or "call transpose" in many.show("loops")
    assert "%packed" not in small.show("loops")
    assert "call transpose" not in small.show("loops")
    np.testing.assert_allclose(actual, np.tanh(flat.astype(float) @ right), rtol=1e-4, atol=1e-4)
    for first in (0, 63, len(flat) - 3):
        np.testing.assert_array_equal(small(x=flat[first : first + 3], w=fed), actual[first : first + 3])


@pytest.mark.parametrize("depth", [3, 513])
def test_transposed_columns_of_any_depth(depth: int) -> None:
    """At depths beyond one block of a sum, the bits equal those of a contiguous operand."""
    left, right = normal(0, (2, 3, depth)), normal(1, (2, 19, depth))
    a, b, c = declared("a", left), declared("b", right), rg.placeholder("c", (2, depth, 19))
    actual = rg.compile(a @ swapped(b)).inference(a=left, b=right)
    np.testing.assert_array_equal(actual, rg.compile(a @ c).inference(a=left, c=np.ascontiguousarray(swapped(right))))
    np.testing.assert_allclose(actual, left.astype(float) @ swapped(right), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [1, 3, 15, 16])
def test_short_columns_of_many_rows_are_not_transposed_in_blocks(depth: int) -> None:
    """A block of lanes would begin before a column that is shorter, outside of the arrays."""
    left, right = normal(0, (2, 130, depth)), normal(1, (2, 35, depth))
    a, b = declared("a", left), declared("b", right)
    program = rg.compile(a @ swapped(b), target="x86-64-v3").inference  # 8 lanes
    assert ("call transpose" in program.show("loops")) == (depth >= 8)
    np.testing.assert_allclose(program(a=left, b=right), left.astype(float) @ swapped(right), rtol=1e-4, atol=1e-4)
    actual = rg.compile(a @ swapped(b)).inference(a=left, b=right)
    np.testing.assert_allclose(actual, left.astype(float) @ swapped(right), rtol=1e-4, atol=1e-4)


def test_transposed_columns_of_a_depth_that_a_call_tells() -> None:
    a, b = rg.placeholder("a", (2, 3, 4)), rg.placeholder("b", (2, 4, "steps"))
    c = rg.placeholder("c", (2, 19, "steps"))
    program = rg.compile(a @ b @ swapped(c))
    assert "lanes by" in program.inference.show("loops")
    for steps in (1, 6, 1027):
        feeds = {"a": normal(0, (2, 3, 4)), "b": normal(1, (2, 4, steps)), "c": normal(2, (2, 19, steps))}
        expected = feeds["a"].astype(float) @ feeds["b"] @ swapped(feeds["c"])
        np.testing.assert_allclose(program.inference(feeds), expected, rtol=1e-4, atol=1e-3)
    assert len(program.inference.compiled._entries) == 1


def test_text_is_read_back() -> None:
    x = rg.placeholder("x", (None, 5, 4))
    graph = rg.compile(rg.tanh(x @ swapped(x) + 1.0)).inference.graph
    reparsed = parse(str(graph))
    assert isinstance(reparsed, Graph)
    assert str(parse(str(reparsed))) == str(reparsed)
    fed = normal(0, (3, 5, 4))
    expected = np.tanh(fed @ swapped(fed) + 1)
    np.testing.assert_allclose(next(iter(interpret(reparsed, {"x": fed}).values())), expected, **CLOSE["float32"])


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ((3, 2, 5), (4, 5, 6), "leading axes must be equal or 1"),
        ((3, 2, 5), (3, 4, 6), "4 rows"),
        ((2, 3, 2, 5), (4, 3, 5, 6), "leading axes must be equal or 1"),
        ((), (3, 4, 6), "rank"),
        ((3, 2, 5), (4,), "rows of 5 entries do not fit a vector of 4"),
        (("n", 2, 5), (4, 7, 6), "7 rows"),
    ],
)
def test_errors_name_the_line(left: tuple[Any, ...], right: tuple[Any, ...], words: str) -> None:
    a, b = rg.placeholder("a", left), rg.placeholder("b", right)
    with pytest.raises(rg.ShapeError, match=words) as error:
        a @ b
    assert "test_batched_products.py" in str(error.value)


def test_dtypes_must_be_equal_floats() -> None:
    floats, integers = rg.placeholder("a", (3, 2, 5)), rg.placeholder("b", (3, 5, 6), "int32")
    with pytest.raises(rg.DtypeError, match="dtypes"):
        floats @ integers
    with pytest.raises(rg.DtypeError, match="float"):
        swapped(integers) @ integers


def test_open_leading_axes_must_meet_at_a_call() -> None:
    a, b = rg.placeholder("a", (None, 2, 5)), rg.placeholder("b", (None, 5, 6))
    program = rg.compile(a @ b)
    with pytest.raises(rg.ShapeError, match=r"3.*4|4.*3"):
        program.inference(a=normal(0, (3, 2, 5)), b=normal(0, (4, 5, 6)))


class RecurrentHeads(rg.Cell):
    """Cell whose heads have a recurrent matrix each, stored as [heads, outputs, inputs]."""

    output_size = 21

    def state(self) -> Any:
        return {"h": rg.state((3, 7))}

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        weights = p.parameter("weights", (3, 7, 7), lambda shape, generator: generator.standard_normal(shape))
        h = rg.tanh(x + rg.einsum("bhd,hed->bhe", state["h"], weights))
        return rg.reshape(h, (None, 21)), {"h": h}


def test_transposed_weights_of_heads_are_copied_when_parameters_change() -> None:
    """Neither a call nor a step of a loop transposes them; new values take effect, and bits are equal in every way."""
    x = rg.placeholder("x", (None, None, 3, 7))
    weights = rg.parameter("weights", (3, 7, 7), lambda shape, generator: generator.standard_normal(shape))
    y, _ = rg.dynamic_rnn(RecurrentHeads(), rg.einsum("bthd,hed->bthe", x, weights))
    program, threads = (rg.compile(y, loss=rg.reduce_mean(rg.square(y)), seed=0, threads=count) for count in (1, 2))
    fed = normal(0, (3, 6, 3, 7))
    plan = program.inference.show("plan")
    assert plan.partition("over T")[0].count("computes transpose") == plan.count("computes transpose") == 2
    for _ in range(2):
        arrays = {name.rpartition("/")[2] + name[:3]: np.float64(array) for name, array in program.parameters.items()}
        h, wanted = np.zeros((3, 3, 7)), []
        for step in range(6):
            inputs = np.einsum("bhd,hed->bhe", fed[:, step], arrays["weightswei"])
            h = np.tanh(inputs + np.einsum("bhd,hed->bhe", h, arrays["weightsrnn"]))
            wanted.append(h.reshape(3, 21))
        whole, stream = program.inference(x=fed), program.inference.stream(batch=3)
        np.testing.assert_allclose(whole, np.stack(wanted, 1), atol=2e-5)
        np.testing.assert_array_equal(np.stack([stream.step(x=fed[:, step]) for step in range(6)], 1), whole)
        np.testing.assert_array_equal(program.inference(x=fed[1:2]), whole[1:2])
        np.testing.assert_array_equal(threads.inference(x=fed), whole)
        for each in (program, threads):
            rg.Trainer(each, rg.SGD(0.1)).step(x=fed)
