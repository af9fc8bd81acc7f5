"""Self-attention over all steps: products whose columns are steps, and softmax; one program for any length."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from test_batched_products import CLOSE, normal, swapped
from test_gradients import check_differences

import rnngraph as rg
from rnngraph.ir.interpreter import interpret

exhaustive = partial(pytest.param, marks=pytest.mark.exhaustive)
LENGTHS = (1, 2, 3, 7, 16, 17, 25, 63, 100)


def attended(y: rg.Tensor, heads: int, width: int) -> tuple[rg.Tensor, rg.Tensor]:
    """Return the attended values of each step, and the attention weights, by heads."""
    parts = (rg.reshape(rg.dense(y, heads * width, name=name), (-1, y.shape[1], heads, width)) for name in "qkv")
    query, key, value = (rg.transpose(part, (0, 2, 1, 3)) for part in parts)
    shares = rg.softmax(query @ swapped(key) * width**-0.5)
    return rg.reshape(rg.transpose(shares @ value, (0, 2, 1, 3)), (-1, y.shape[1], heads * width)), shares


def alone(dtype: str = "float32") -> dict[str, rg.Tensor]:
    read, shares = attended(rg.placeholder("x", ("rows", "time", 5), dtype), 2, 3)
    return {"read": read, "shares": shares}


def recurrent(dtype: str = "float32") -> dict[str, rg.Tensor]:
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(6), rg.placeholder("x", ("rows", "time", 5), dtype))
    read, shares = attended(outputs, 1, 7)
    return {"read": read, "shares": shares, "largest": rg.reduce_max(shares, -1)}


def causal(dtype: str = "float32") -> dict[str, rg.Tensor]:
    """Declare attention to earlier steps only, over rows with lengths."""
    x, count = rg.placeholder("x", ("rows", "time", 5), dtype), rg.placeholder("n", ("rows",), "int32")
    score = rg.dense(x, 4, name="q") @ swapped(rg.dense(x, 4, name="k"))
    steps = rg.positions(x[0], 0)
    there = steps[None, None] < rg.cast(count, steps.dtype)[:, None, None]
    before = steps[None, :, None] >= steps[None, None, :]
    return {"read": rg.softmax(rg.where(rg.logical_and(before, there), score, -1e9)) @ x}


def memory(dtype: str = "float32") -> dict[str, rg.Tensor]:
    """Declare a recurrence that attends to a memory of another length."""
    x, entries = rg.placeholder("x", ("rows", "time", 5), dtype), rg.placeholder("m", ("rows", "entries", 4), dtype)
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), x)
    score = outputs @ swapped(entries)
    return {"read": rg.softmax(score) @ entries, "total": rg.reduce_sum(rg.exp(-score), 2)}


def turned_weights(dtype: str = "float32") -> dict[str, rg.Tensor]:
    """Declare a product whose columns are steps, with one matrix for all rows."""
    x = rg.placeholder("x", ("time", 5), dtype)
    return {"read": rg.parameter("w", (3, 5), dtype=dtype) @ rg.transpose(x), "all": rg.tanh(x @ rg.transpose(x))}


CASES: dict[str, Callable[..., dict[str, rg.Tensor]]] = {
    "alone": alone,
    "recurrent": recurrent,
    "causal": causal,
    "memory": memory,
    "one matrix": turned_weights,
}


def feeds_of(program: rg.Program, rows: int, steps: int, entries: int = 7) -> dict[str, np.ndarray]:
    sizes = {"rows": rows, "time": steps, "entries": entries}
    results = {}
    for number, (name, kind) in enumerate(program.inference.compiled.input_types().items()):
        shape = tuple(sizes.get(str(dim), dim) for dim in kind.shape)
        results[name] = (
            normal(steps + number, shape, kind.dtype) if name != "n" else np.arange(rows) % max(1, steps) + 1
        )
    return results


def check(program: rg.Program, feeds: dict[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    result = program.inference(feeds)
    meant = interpret(program.inference.graph, {**feeds, **program.parameters}, wide=True)
    for name, array in result.items():
        np.testing.assert_allclose(array, meant[name], **CLOSE[dtype], err_msg=name)
    return result


@pytest.mark.parametrize("dtype", ["float32", exhaustive("float64")])
@pytest.mark.parametrize("case", CASES)
def test_any_length_by_one_code(case: str, dtype: str) -> None:
    program = rg.compile(CASES[case](dtype), seed=0)
    for steps in LENGTHS:
        check(program, feeds_of(program, 2, steps, steps // 2 + 1), dtype)
    assert len(program.inference.compiled._entries) == 1


@pytest.mark.parametrize("case", [exhaustive("alone"), "causal"])
def test_bits_are_a_rows_own(case: str) -> None:
    """Bits agree for single rows, one thread and two, and with a program compiled for any batch."""
    program, shared = (rg.compile(CASES[case](), seed=0, threads=threads) for threads in (1, 2))
    for steps in (3, 63):
        feeds = feeds_of(program, 6, steps)
        expected = program.inference(feeds)
        for name, array in shared.inference(feeds).items():
            np.testing.assert_array_equal(array, expected[name])
        for row in range(6):
            single = program.inference({name: array[row : row + 1] for name, array in feeds.items()})
            for name, array in single.items():
                np.testing.assert_array_equal(array, expected[name][row : row + 1])
    for rows in range(1, 6):  # more sizes than get specialised code
        some = program.inference({name: array[:rows] for name, array in feeds.items()})
        np.testing.assert_array_equal(some["read"], expected["read"][:rows])


@pytest.mark.parametrize(
    ("case", "steps"), [exhaustive("alone", 5), exhaustive("recurrent", 3), ("causal", 18), exhaustive("memory", 2)]
)
def test_derivatives(case: str, steps: int) -> None:
    outputs = CASES[case]("float64")
    names = ["x", "m"] if case == "memory" else ["x"]
    feeds = feeds_of(rg.compile(outputs), 2, steps, 17)
    loss = sum((rg.reduce_sum(rg.square(value)) for value in outputs.values()), 0.5 * rg.reduce_sum(outputs["read"]))
    program = check_differences(loss, feeds, names)
    program.training.gradients(feeds_of(program, 2, steps + 1, 18), seed=0)
    assert len(program.training.compiled._entries) <= 2


@pytest.mark.peers
@pytest.mark.parametrize("steps", [1, 3, 17, 100])
@pytest.mark.parametrize("is_causal", [False, True])
def test_torchs_attention(steps: int, is_causal: bool) -> None:
    torch = pytest.importorskip("torch")
    q, k, v = (rg.placeholder(name, (None, 3, None, 7)) for name in "qkv")
    feeds = {name: normal(number, (2, 3, steps, 7)) for number, name in enumerate("qkv")}
    score: Any = q @ swapped(k) * 7**-0.5
    if is_causal:
        order = rg.positions(q[0, 0], 0)
        score = rg.where(order[None, None, :, None] >= order[None, None, None, :], score, -1e30)
    actual = rg.compile(rg.softmax(score) @ v).inference(feeds)
    tensors = [torch.tensor(array) for array in feeds.values()]
    expected = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=is_causal)
    np.testing.assert_allclose(actual, expected.numpy(), **CLOSE["float32"])
