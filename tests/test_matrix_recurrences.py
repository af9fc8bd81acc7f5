"""Recurrences with matrix states: equal to equations in NumPy, with equal bits in every way to run.

A rule is a function of the state ``[rows, heads, keys, values]`` and of vectors that broadcast with it, which returns
the output and the next state. Each rule is written once, and runs in NumPy and as a step of a cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from systems import levels

import rnngraph as rg
from rnngraph.codegen.schedule.plan.planner import _Planner
from rnngraph.runtime.native import worker_pool
from rnngraph.support.errors import VerifyError

Rule = Callable[..., tuple[Any, Any]]


def total(value: Any, axis: int, keepdims: bool = False) -> Any:
    if isinstance(value, np.ndarray):
        return value.sum(axis, keepdims=keepdims)
    return rg.reduce_sum(value, axis, keepdims=keepdims)


def gated(S: Any, q: Any, k: Any, v: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Gated linear attention: a decay for each key."""
    S = a * S + k * v
    return total(q * S, 2), S


def decays_by_head(S: Any, q: Any, k: Any, v: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Mamba-2: a decay for each head; the state is read before the update and after it."""
    before = total(k * S, 2)
    S = a[:, :, :1] * S + k * (b * v)
    return total(q * S, 2) - before, S


def delta(S: Any, q: Any, k: Any, v: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Gated delta rule (Yang et al. 2024)."""
    S = a[:, :, :1] * S
    S = S + k * (b * (v - total(k * S, 2, keepdims=True)))
    return total(q * S, 2), S


def delta_of_rank_two(S: Any, q: Any, k: Any, v: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Delta rule with two corrections in each step. The second one reads the result of the first."""
    S = a * S + k * (b * (v - total(k * S, 2, keepdims=True)))
    S = S - q * (0.5 * b * total(q * S, 2, keepdims=True))
    return total(k * S, 2), S


def values_first(S: Any, q: Any, k: Any, v: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Delta rule with keys on the last axis of the state, so that reads sum along rows."""
    turned = (0, 1, 3, 2)
    if isinstance(S, np.ndarray):
        q, k, v, a = (x.transpose(turned) for x in (q, k, v, a))
    else:
        q, k, v, a = (rg.transpose(x, turned) for x in (q, k, v, a))
    S = a * S + k * v
    return total(q * S, 3), S


RULES: list[Rule] = [gated, decays_by_head, delta, delta_of_rank_two, values_first]


class MatrixCell(rg.Cell):
    """Cell that carries the state of a rule flat, and passes parts of its input to the rule."""

    def __init__(self, rule: Rule, heads: int, keys: int, values: int) -> None:
        self.rule, self.heads, self.keys, self.values = rule, heads, keys, values
        self.widths = [heads * keys] * 3 + [heads * values, heads]

    def state(self) -> Any:
        return {"S": rg.memory(self.heads * self.keys * self.values)}

    @property
    def output_size(self) -> int:
        return self.heads * self.values

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        q, k, a, v, b = rg.split(x, self.widths, 1)
        q, k, a = (rg.reshape(part, (None, self.heads, self.keys, 1)) for part in (q, k, rg.sigmoid(a)))
        v, b = rg.reshape(v, (None, self.heads, 1, self.values)), rg.reshape(rg.sigmoid(b), (None, self.heads, 1, 1))
        shape = (self.keys, self.values) if self.rule is not values_first else (self.values, self.keys)
        read, S = self.rule(rg.reshape(state["S"], (None, self.heads, *shape)), q, k, v, a, b)
        flat = rg.reshape(S, (None, self.heads * self.keys * self.values))
        return rg.reshape(read, (None, self.output_size)), {"S": flat}


def in_numpy(cell: MatrixCell, x: np.ndarray, S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, heads, ends = len(x), cell.heads, np.cumsum(cell.widths)[:-1]
    shape = (cell.keys, cell.values) if cell.rule is not values_first else (cell.values, cell.keys)
    S, reads = S.reshape(rows, heads, *shape), []
    for t in range(x.shape[1]):
        q, k, a, v, b = np.split(x[:, t], ends, 1)
        a, b = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b))
        q, k, a = (part.reshape(rows, heads, cell.keys, 1) for part in (q, k, a))
        read, S = cell.rule(S, q, k, v.reshape(rows, heads, 1, cell.values), a, b.reshape(rows, heads, 1, 1))
        reads.append(read.reshape(rows, -1))
    return np.stack(reads, 1), S.reshape(rows, -1)


def declared(cell: MatrixCell, dtype: str = "float32", **options: Any) -> rg.Program:
    x = rg.placeholder("x", (None, None, sum(cell.widths)), dtype)
    first = rg.placeholder("S", (None, cell.heads * cell.keys * cell.values), dtype)
    out, state = rg.dynamic_rnn(cell, x, initial_state=first)
    return rg.compile({"out": out, "S": state}, loss=rg.reduce_sum(rg.square(out)), **options)


def feeds(cell: MatrixCell, rows: int, steps: int, dtype: str = "float32") -> dict[str, np.ndarray]:
    generator = np.random.default_rng(steps)
    x = 0.5 * generator.normal(size=(rows, steps, sum(cell.widths)))
    S = generator.normal(size=(rows, cell.heads * cell.keys * cell.values))
    return {"x": x.astype(dtype), "S": S.astype(dtype)}


SIZES = [(1, 1, 1), (2, 7, 3), (3, 2, 25), (1, 17, 16), (4, 32, 48), (1, 63, 100)]


@pytest.mark.parametrize(("heads", "keys", "values"), SIZES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_values(rule: Rule, heads: int, keys: int, values: int) -> None:
    cell = MatrixCell(rule, heads, keys, values)
    program = declared(cell, "float64")
    for rows, steps in ((2, 5), (1, 1)):
        fed = feeds(cell, rows, steps, "float64")
        out, S = in_numpy(cell, fed["x"], fed["S"])
        result = program.inference(fed)
        assert_allclose(result["out"], out, rtol=1e-10, atol=1e-11 * np.abs(out).max())
        assert_allclose(result["S"], S, rtol=1e-10, atol=1e-11 * np.abs(S).max())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(("heads", "keys", "values"), [(2, 7, 25), (1, 32, 48)])
def test_bits(rule: Rule, heads: int, keys: int, values: int) -> None:
    """Bits agree for a stream, chunks of a stream, a single row, and two threads."""
    cell = MatrixCell(rule, heads, keys, values)
    program, fed = declared(cell), feeds(cell, 3, 9)
    fed["S"] *= 0
    whole = program.inference(fed)
    stream = program.inference.stream(batch=3)
    steps = [stream.step(x=fed["x"][:, t], S=fed["S"])["out"] for t in range(3)]
    rest = stream.process(x=fed["x"][:, 3:])
    assert_array_equal(np.concatenate([np.stack(steps, 1), rest["out"]], 1), whole["out"])
    assert_array_equal(rest["S"], whole["S"])
    alone = program.inference({name: array[[1]] for name, array in fed.items()})
    assert_array_equal(alone["out"], whole["out"][[1]])
    threads = declared(cell, threads=2).inference(fed)
    assert_array_equal(threads["out"], whole["out"])
    assert_array_equal(threads["S"], whole["S"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_gradients(rule: Rule) -> None:
    cell = MatrixCell(rule, 2, 5, 7)
    program, fed = declared(cell, "float64"), feeds(cell, 2, 6, "float64")
    _, gradients = program.training.gradients(fed, wrt=["x", "S"])
    generator = np.random.default_rng(1)
    for name in fed:
        direction = generator.normal(size=fed[name].shape)
        moved = [
            (in_numpy(cell, **{**fed, name: fed[name] + sign * direction})[0] ** 2).sum() for sign in (1e-6, -1e-6)
        ]
        slope = (moved[0] - moved[1]) / 2e-6
        assert_allclose((gradients[name] * direction).sum(), slope, rtol=1e-5, atol=1e-6)


def test_a_step_updates_and_reads_its_state_in_place() -> None:
    """Each step passes over the matrix once, without temporaries of its size."""
    text = declared(MatrixCell(gated, 4, 64, 64)).inference.show("plan")
    scan = text[text.index("scan ") :]
    assert "f32[1,4,64,64] in place" in scan
    assert scan.count("64,64]") == 2, scan  # the state and the kernel
    assert "f32[T,1,4,64,64]" not in text


@pytest.mark.parametrize(
    ("heads", "keys", "values", "cut"), [(4, 64, 64, "1 of 4"), (1, 128, 128, "of 128"), (2, 8, 8, "")]
)
def test_a_state_too_large_for_caches_is_split_along_independent_axes(
    heads: int, keys: int, values: int, cut: str
) -> None:
    cell = MatrixCell(delta, heads, keys, values)
    text = declared(cell, target="x86-64-v3").inference.show("plan")
    assert ("; all steps of a block before the next" in text) == bool(cut)
    assert cut in text
    fed = feeds(cell, 3, 5)
    wanted, _ = in_numpy(cell, fed["x"].astype(np.float64), fed["S"].astype(np.float64))
    whole = declared(cell).inference(fed)
    assert_allclose(whole["out"], wanted, atol=2e-5 * np.abs(wanted).max())
    for rows in ([0], [1, 2]):
        some = declared(cell, threads=2).inference({name: array[rows] for name, array in fed.items()})
        assert_array_equal(some["out"], whole["out"][rows])
        assert_array_equal(some["S"], whole["S"][rows])


def stacked(cells: list[MatrixCell], both_ways: bool, dropout: float = 0.0, **options: Any) -> rg.Program:
    """Return layers with weights in between, over rows with lengths."""
    x = rg.placeholder("x", (None, None, sum(cells[0].widths)))
    lengths = rg.placeholder("lengths", (None,), "int64")
    value = x
    for number, cell in enumerate(cells):
        value = rg.dense(value, sum(cell.widths), name=f"in_{number}")
        kept = rg.DropoutWrapper(cell, output_keep_prob=1 - dropout) if dropout else cell
        if both_ways:
            outputs, _ = rg.bidirectional_dynamic_rnn(
                kept, kept, value, sequence_length=lengths, scope=f"layer_{number}"
            )
            value = rg.concat(outputs, 2)
        else:
            value, _ = rg.dynamic_rnn(kept, value, sequence_length=lengths, scope=f"layer_{number}")
    return rg.compile(value, loss=rg.reduce_sum(rg.square(value)), **options)


@pytest.mark.parametrize(("both_ways", "dropout", "threads"), [(False, 0.25, 1), (True, 0.0, 1), (False, 0.0, 2)])
def test_states_that_are_computed_again_have_the_same_bits(both_ways: bool, dropout: float, threads: int) -> None:
    cells = [MatrixCell(delta, 2, 16, 48), MatrixCell(gated, 4, 32, 32)]
    program = stacked(cells, both_ways, dropout, threads=threads)
    generator = np.random.default_rng(5)
    for lengths in ([70], [67, 3, 64], [1, 0, 2]):
        x = generator.normal(size=(len(lengths), max(lengths), sum(cells[0].widths))).astype(np.float32)
        fed = {"x": x, "lengths": np.array(lengths)}
        loss, kept = program.training.gradients(fed, seed=1, wrt=["x"], recompute=None)
        for steps in ("auto", 5):
            same, second = program.training.gradients(fed, seed=1, wrt=["x"], recompute=steps)
            assert same == loss
            for name, gradient in kept.items():
                assert_array_equal(second[name], gradient, err_msg=f"{name} {lengths} {steps}")


@pytest.mark.slow
def test_states_are_recomputed_with_a_convolution_between_recurrences() -> None:
    """Recomputation works if two recurrences, with a convolution between them, have backward passes in two loops."""
    y = x = rg.placeholder("x", (None, None, 16))
    for _ in range(2):
        y = y + rg.dynamic_rnn(rg.GatedDeltaNetCell(1, 16), rg.conv1d(y, 16, 3, groups=16))[0]
    program = rg.compile({"y": y}, loss=rg.reduce_mean(rg.square(y)), seed=0)
    fed = np.random.default_rng(0).standard_normal((2, 70, x.width)).astype(np.float32)
    (loss, second), (same, kept) = (program.training.gradients(x=fed, recompute=how) for how in ("auto", None))
    assert loss == same
    for name, gradient in kept.items():
        assert_array_equal(second[name], gradient, err_msg=name)


def test_a_derivative_reads_the_states_of_a_block_in_cache() -> None:
    """Memory holds states of a single block of steps, of one row and head."""
    program = stacked([MatrixCell(gated, 4, 64, 64)], both_ways=False)
    text = str(program.training.show("plan"))
    assert (
        "in blocks of 1 of 4; all steps of a block before the next, each directly after that of the previous scan"
        in text
    )
    memory = program.training.memory(batch=8, time=512)
    assert memory.arena < 60e6
    assert memory.arena < program.training.memory(batch=8, time=512, recompute=None).arena / 4


def test_columns_of_a_large_state_are_in_all_sets_of_a_cache() -> None:
    """Rows of 128 numbers have an odd number of cache lines if a block has a part of their columns."""
    text = str(declared(MatrixCell(gated, 4, 128, 128), target="x86-64-v4").inference.show("loops"))
    assert "144*i0" in text
    assert "144*i0" not in str(declared(MatrixCell(gated, 4, 64, 64), target="x86-64-v4").inference.show("loops"))


def test_values_along_a_row_are_loaded_before_the_loop_over_keys() -> None:
    text = str(declared(MatrixCell(gated, 4, 64, 64), target="x86-64-v4").inference.show("loops"))
    loop = text[text.index("fold i0") :].partition("gives")[0]
    vectors = re.findall(r"%(\w+)\.\d+ = load .* : f32x16", loop)
    assert vectors == ["S"] * 4


def test_workers_that_run_different_blocks_share_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "cores", lambda: 2)  # a process of one core plans for one worker
    program = declared(MatrixCell(delta, 4, 64, 64), threads=2)
    assert "1 of 4" in program.inference.show("plan")
    whole = _Planner._allocate_step_value
    monkeypatch.setattr(_Planner, "_allocate_step_value", lambda self, value, is_shared: whole(self, value, False))
    with pytest.raises(VerifyError, match="workers that run different blocks of a scan write"):
        declared(MatrixCell(delta, 4, 64, 64), threads=2).inference.show("plan")


@pytest.mark.parametrize("rule", [gated, delta], ids=lambda rule: rule.__name__)
def test_rows_that_have_ended_are_not_computed(rule: Rule) -> None:
    """Each row has the bits that it has alone, and values past its end are not read."""
    cell = MatrixCell(rule, 2, 32, 48)
    x, first = rg.placeholder("x", (None, None, sum(cell.widths))), rg.placeholder("S", (None, 2 * 32 * 48))
    lengths = rg.placeholder("lengths", (None,), "int64")
    out, state = rg.dynamic_rnn(cell, x, initial_state=first, sequence_length=lengths)
    program = rg.compile({"out": out, "S": state}, loss=rg.reduce_sum(rg.square(out)) + rg.reduce_sum(state))
    ends = np.array([40, 0, 17, 33])
    fed = feeds(cell, 4, 40) | {"lengths": ends}
    for row, end in enumerate(ends):
        fed["x"][row, end:] = np.nan
    whole = program.inference(fed)
    assert "active rows" in str(program.inference.show("plan"))
    _, gradients = program.training.gradients(fed, wrt=["x", "S"])
    _, kept = program.training.gradients(fed, wrt=["x", "S"], recompute=None)
    for row, end in enumerate(ends):
        alone = {name: array[row : row + 1] for name, array in fed.items()}
        one = program.inference(alone)
        assert_array_equal(one["out"][0], whole["out"][row])
        assert_array_equal(one["S"][0], whole["S"][row])
        assert not whole["out"][row, end:].any()
        _, of_one = program.training.gradients(alone, wrt=["x", "S"])
        for name in ("x", "S"):
            assert_array_equal(of_one[name][0], gradients[name][row])
            assert_array_equal(kept[name][row], gradients[name][row])
        if end:
            wanted, last = in_numpy(
                cell, np.float64(fed["x"][row : row + 1, :end]), np.float64(fed["S"][row : row + 1])
            )
            assert_allclose(whole["S"][row], last[0], atol=1e-5 * np.abs(last).max())
            assert_allclose(whole["out"][row, :end], wanted[0], atol=2e-5 * np.abs(wanted).max())


class ChannelCell(rg.Cell):
    """Mamba's recurrence with several decaying states for each channel, and their maximum as a second output."""

    def __init__(self, channels: int, states: int) -> None:
        self.channels, self.states = channels, states

    def state(self) -> Any:
        return {"h": rg.memory(self.channels * self.states)}

    @property
    def output_size(self) -> int:
        return 2 * self.channels

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        u, dt, b, c = rg.split(x, [self.channels, self.channels, self.states, self.states], 1)
        h = rg.reshape(state["h"], (None, self.channels, self.states))
        u, dt = rg.reshape(u, (None, self.channels, 1)), rg.reshape(dt, (None, self.channels, 1))
        b, c = rg.reshape(b, (None, 1, self.states)), rg.reshape(c, (None, 1, self.states))
        h = rg.exp(-rg.exp(dt)) * h + u * b
        read = rg.concat([rg.reduce_sum(h * c, 2), rg.reduce_max(h, 2)], 1)
        return read, {"h": rg.reshape(h, (None, self.channels * self.states))}


@pytest.mark.parametrize("target", ["host", *levels("x86-64-v3", "x86-64-v2")])
@pytest.mark.parametrize(("channels", "states"), [(7, 16), (17, 32), (4, 4), (3, 48), (9, 5)])
def test_a_channel_has_the_same_bits_at_every_place(channels: int, states: int, target: str) -> None:
    """A channel's bits don't depend on its position: rows are reduced together, each in the order of a single row."""
    generator = np.random.default_rng(channels)
    u, dt = generator.normal(size=(2, 2, 6, channels)).astype(np.float32)
    b, c = generator.normal(size=(2, 2, 6, states)).astype(np.float32)
    cell, x = ChannelCell(channels, states), rg.placeholder("x", (None, None, 2 * channels + 2 * states))
    program = rg.compile(rg.dynamic_rnn(cell, x)[0], target=target)
    every = program.inference(np.concatenate([u, dt, b, c], 2)).reshape(2, 6, 2, channels)
    for shift in range(1, channels):
        rolled = [np.roll(u, shift, 2), np.roll(dt, shift, 2), b, c]
        moved = program.inference(np.concatenate(rolled, 2)).reshape(2, 6, 2, channels)
        assert_array_equal(np.roll(moved, -shift, 3), every)
    h, decay = np.zeros((2, channels, states)), np.exp(-np.exp(np.float64(dt)))
    for t in range(6):
        h = decay[:, t, :, None] * h + u[:, t, :, None] * np.float64(b[:, t, None])
        assert_allclose(every[:, t, 0], (h * c[:, t, None]).sum(2), atol=1e-5)
        assert_allclose(every[:, t, 1], h.max(2), atol=1e-5)


def test_a_chunk_counts_rows_of_products_where_weights_are_large() -> None:
    """Chunk lengths count rows of products, not heads, so that large weights are read once for many steps."""
    cell = MatrixCell(gated, 8, 16, 16)
    x = rg.placeholder("x", (None, None, 64))
    outputs = []
    for units in (64, 1024):
        wide = rg.dense(rg.dense(x, units, name=f"a_{units}"), sum(cell.widths), name=f"b_{units}")
        outputs.append(rg.dense(rg.dynamic_rnn(cell, wide, scope=f"rnn_{units}")[0], 3, name=f"c_{units}"))
    small, large = (str(rg.compile(out, target="x86-64-v3").inference.show("plan")) for out in outputs)
    assert "forward, 16 steps at a time" in small
    assert "forward, 128 steps at a time" in large
