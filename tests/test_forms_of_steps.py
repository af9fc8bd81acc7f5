"""Steps with matrix states that are declared in several forms: equal numbers, and derivatives of equal cost.

A step may be declared elementwise, by ``einsum`` or by ``matmul``, with the axes of its state in any order, and with a
flat state. The compiler writes all of them as elementwise ops and sums before it differentiates them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg

HEADS, KEYS, VALUES = 2, 20, 24
Form = Callable[..., tuple[rg.Tensor, rg.Tensor]]


def elementwise(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    S = rg.expand_dims(a, 3) * S + rg.expand_dims(k, 3) * rg.expand_dims(v, 2)
    return rg.reduce_sum(rg.expand_dims(q, 3) * S, 2), S


def einsum(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    S = rg.einsum("bhk,bhkv->bhkv", a, S) + rg.einsum("bhk,bhv->bhkv", k, v)
    return rg.einsum("bhk,bhkv->bhv", q, S), S


def matmul(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    S = rg.expand_dims(a, 3) * S + rg.expand_dims(k, 3) @ rg.expand_dims(v, 2)
    return rg.reshape(rg.expand_dims(q, 2) @ S, (None, HEADS, VALUES)), S


def values_first(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    S = rg.expand_dims(a, 2) * S + rg.einsum("bhk,bhv->bhvk", k, v)
    return rg.einsum("bhvk,bhk->bhv", S, q), S


def heads_between(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    S = rg.einsum("bhk,bkhv->bkhv", a, S) + rg.einsum("bhk,bhv->bkhv", k, v)
    return rg.einsum("bhk,bkhv->bhv", q, S), S


def heads_last(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    S = rg.einsum("bhk,bkvh->bkvh", a, S) + rg.einsum("bhk,bhv->bkvh", k, v)
    return rg.einsum("bhk,bkvh->bhv", q, S), S


def read_before_update(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    added = rg.expand_dims(k, 3) * rg.expand_dims(v, 2)
    read = rg.reduce_sum(rg.expand_dims(q, 3) * (S + rg.expand_dims(a, 3) * added), 2)
    return read, rg.expand_dims(a, 3) * S + added


def two_keys(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    """Delta rule of rank two, with its keys as the rows of a matrix."""
    keys = 0.2 * rg.stack([k, q], 2)
    error = rg.expand_dims(v, 2) - rg.einsum("bhrk,bhkv->bhrv", keys, S)
    S = rg.expand_dims(a, 3) * S + rg.einsum("bhrk,bhrv->bhkv", keys, error)
    return rg.einsum("bhk,bhkv->bhv", q, S), S


def two_keys_one_by_one(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    added = rg.expand_dims(a, 3) * S
    for key in (0.2 * k, 0.2 * q):
        error = v - rg.reduce_sum(rg.expand_dims(key, 3) * S, 2)
        added = added + rg.expand_dims(key, 3) * rg.expand_dims(error, 2)
    return rg.reduce_sum(rg.expand_dims(q, 3) * added, 2), added


def transition_as_matrix(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    """Delta rule whose transition is a full matrix: a diagonal matrix minus an outer product."""
    column = rg.expand_dims(0.2 * k, 3)
    transition = rg.constant(np.eye(KEYS, dtype=a.dtype)) * rg.expand_dims(a, 2) - column @ rg.transpose(
        column, (0, 1, 3, 2)
    )
    S = rg.matmul(transition, S) + column @ rg.expand_dims(v, 2)
    return rg.einsum("bhk,bhkv->bhv", q, S), S


def transition_of_vectors(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    key = rg.expand_dims(0.2 * k, 3)
    S = rg.expand_dims(a, 3) * S + key * (rg.expand_dims(v, 2) - rg.reduce_sum(key * S, 2, keepdims=True))
    return rg.reduce_sum(rg.expand_dims(q, 3) * S, 2), S


def transition_on_the_right(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    """Values first, as RWKV-7 is often written: the state times a negative outer product."""
    row = rg.expand_dims(0.2 * k, 2)
    change = S @ -(rg.transpose(row, (0, 1, 3, 2)) @ row)
    S = S * rg.expand_dims(a, 2) + change + rg.expand_dims(v, 3) @ row
    return rg.einsum("bhvk,bhk->bhv", S, q), S


SCALES = np.linspace(0.05, 0.1, 2 * KEYS).reshape(2, KEYS)


def two_scaled_keys(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    """Delta rule of rank two, whose keys are scaled by arrays with fewer axes than the keys."""
    both, each = (rg.constant(scale.astype(a.dtype)) for scale in (SCALES, SCALES[0] * 50))
    keys = each * (both * rg.stack([k, q], 2))
    error = rg.expand_dims(v, 2) - rg.einsum("bhrk,bhkv->bhrv", keys, S)
    S = rg.expand_dims(a, 3) * S + rg.einsum("bhrk,bhrv->bhkv", keys, error)
    return rg.einsum("bhk,bhkv->bhv", q, S), S


def two_scaled_keys_one_by_one(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    added = rg.expand_dims(a, 3) * S
    for number, vector in enumerate((k, q)):
        key = rg.constant((SCALES[number] * SCALES[0] * 50).astype(a.dtype)) * vector
        error = v - rg.reduce_sum(rg.expand_dims(key, 3) * S, 2)
        added = added + rg.expand_dims(key, 3) * rg.expand_dims(error, 2)
    return rg.reduce_sum(rg.expand_dims(q, 3) * added, 2), added


def transition_of_shared_key(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    """Transition whose part of low rank is the same for all heads."""
    column = rg.expand_dims(0.2 * k[:, :1], 3)
    identity = rg.constant(np.eye(KEYS, dtype=a.dtype))
    S = (identity * rg.expand_dims(a, 2) - column @ rg.transpose(column, (0, 1, 3, 2))) @ S
    S = S + rg.expand_dims(k, 3) @ rg.expand_dims(v, 2)
    return rg.einsum("bhk,bhkv->bhv", q, S), S


def transition_of_shared_vectors(S: Any, q: Any, k: Any, v: Any, a: Any) -> Any:
    column = rg.expand_dims(0.2 * k[:, :1], 3)
    S = rg.expand_dims(a, 3) * S - column * rg.reduce_sum(column * S, 2, keepdims=True)
    S = S + rg.expand_dims(k, 3) * rg.expand_dims(v, 2)
    return rg.reduce_sum(rg.expand_dims(q, 3) * S, 2), S


SHAPES = {
    transition_on_the_right: (HEADS, VALUES, KEYS),
    values_first: (HEADS, VALUES, KEYS),
    heads_between: (KEYS, HEADS, VALUES),
    heads_last: (KEYS, VALUES, HEADS),
}


class FormCell(rg.Cell):
    """Cell whose step has one of the forms, with its state in the form's shape, or flat."""

    def __init__(self, form: Form, flat: bool, narrow: bool = False) -> None:
        self.form, self.flat, self.shape = form, flat, SHAPES.get(form, (HEADS, KEYS, VALUES))
        self.dtype = "bfloat16" if narrow else None

    def state(self) -> Any:
        return {"S": rg.memory(HEADS * KEYS * VALUES if self.flat else self.shape, dtype=self.dtype)}

    @property
    def output_size(self) -> int:
        return HEADS * VALUES

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        parts = rg.split(x, [HEADS * KEYS] * 3 + [HEADS * VALUES], 1)
        q, k, a, v = (rg.reshape(part, (None, HEADS, part.width // HEADS)) for part in parts)
        S = rg.reshape(state["S"], (None, *self.shape)) if self.flat else state["S"]
        read, S = self.form(S, q, k, v, rg.sigmoid(a))
        S = rg.reshape(S, (None, HEADS * KEYS * VALUES)) if self.flat else S
        return rg.reshape(read, (None, self.output_size)), {"S": S}


def declared(
    form: Form, flat: bool = False, dtype: str = "float32", narrow: bool = False, **options: Any
) -> rg.Program:
    x = rg.placeholder("x", (None, None, 5), dtype)
    width = HEADS * (3 * KEYS + VALUES)
    out, _ = rg.dynamic_rnn(FormCell(form, flat, narrow), rg.dense(x, width, name="in"), dtype=dtype)
    return rg.compile(out, loss=rg.reduce_mean(rg.square(out)), seed=0, **options)


def step_ops(stream: Any) -> tuple[Any, ...]:
    """Return the ops of a stream's step, outside of its loop."""
    graph = stream._graph
    nodes: tuple[Any, ...] = graph.compiled.optimized(graph.outputs).nodes
    return nodes


def fed(dtype: str) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 40, 5)).astype(dtype)


GROUPS: list[tuple[Form, Form, bool]] = [
    (elementwise, elementwise, True),
    (elementwise, einsum, False),
    (elementwise, einsum, True),
    (elementwise, matmul, False),
    (elementwise, values_first, False),
    (elementwise, values_first, True),
    (elementwise, heads_between, False),
    (elementwise, heads_last, False),
    (two_keys_one_by_one, two_keys, False),
    (transition_of_vectors, transition_as_matrix, False),
    (transition_of_vectors, transition_on_the_right, False),
]


@pytest.mark.parametrize(("one", "other", "flat"), GROUPS, ids=lambda item: getattr(item, "__name__", str(item)))
def test_forms_have_equal_gradients_and_cost(one: Form, other: Form, flat: bool) -> None:
    for dtype, close in (("float64", 1e-12), ("float32", 5e-6)):
        first, second = declared(one, dtype=dtype), declared(other, flat, dtype)
        (loss, wanted), (same, gradients) = (item.training.gradients(x=fed(dtype)) for item in (first, second))
        assert_allclose(same, loss, rtol=close)
        for name, gradient in wanted.items():
            assert_allclose(gradients[name], gradient, atol=close * np.abs(gradient).max(), err_msg=name)
    assert second.training.memory(8, 512).arena <= 1.3 * first.training.memory(8, 512).arena


@pytest.mark.parametrize(
    ("one", "other"),
    [(two_scaled_keys_one_by_one, two_scaled_keys), (transition_of_shared_vectors, transition_of_shared_key)],
    ids=["keys", "transition"],
)
def test_factors_may_broadcast_to_the_state(one: Form, other: Form) -> None:
    programs = [declared(form, dtype="float64") for form in (one, other)]
    (loss, wanted), (same, gradients) = (program.training.gradients(x=fed("float64")) for program in programs)
    assert_allclose(same, loss, rtol=1e-12)
    for name, gradient in wanted.items():
        assert_allclose(gradients[name], gradient, atol=1e-12 * np.abs(gradient).max(), err_msg=name)


BITWISE = [einsum, values_first, heads_between, heads_last, read_before_update, two_keys, transition_as_matrix]


@pytest.mark.parametrize("form", BITWISE)
def test_forms_have_equal_bits_in_every_way_to_run(form: Form) -> None:
    program, x = declared(form), fed("float32")
    whole, stream = program.inference(x=x), program.inference.stream(batch=3)
    steps = [stream.step(x=x[:, t]) for t in range(2)]
    assert_array_equal(np.concatenate([np.stack(steps, 1), stream.process(x=x[:, 2:])], 1), whole)
    assert_array_equal(program.inference(x=x[[1]]), whole[[1]])
    assert_array_equal(declared(form, threads=2).inference(x=x), whole)
    loss, gradients = program.training.gradients(x=x)
    for recompute, threads in ((None, 1), ("auto", 2)):
        same, others = declared(form, threads=threads).training.gradients(x=x, recompute=recompute)
        assert same == loss
        for name, gradient in gradients.items():
            assert_array_equal(others[name], gradient, err_msg=name)


def test_derivatives_of_read_before_update_store_one_block_of_states() -> None:
    """Sums over outer products move into the loop that computes with these products."""
    memory = declared(read_before_update).training.memory(8, 512)
    assert memory.arena < 8e6  # the states of all steps take 16 MB


class DecayedChannels(rg.Cell):
    """Mamba's recurrence: each entry of the state has a decay of its own, an exponential of a product."""

    def state(self) -> Any:
        return {"h": rg.memory((64, 16))}

    @property
    def output_size(self) -> int:
        return 64

    def rates(self, p: Any) -> rg.Tensor:
        return rg.constant(np.tile(np.arange(1, 17, dtype=np.float32), (64, 1)))

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        u, dt, b, c = rg.split(x, [64, 64, 16, 16], 1)
        decay = rg.exp(rg.expand_dims(-rg.exp(dt), 2) * self.rates(p))
        h = decay * state["h"] + rg.expand_dims(u, 2) * rg.expand_dims(b, 1)
        return rg.reduce_sum(h * rg.expand_dims(c, 1), 2), {"h": h}


def test_matrices_that_steps_compute_from_vectors_are_not_stored() -> None:
    """Neither the decays of all steps nor the states are in memory, which would take 17 MB each."""
    x = rg.placeholder("x", (None, None, 160))
    out, _ = rg.dynamic_rnn(DecayedChannels(), x)
    program = rg.compile(out, loss=rg.reduce_mean(rg.square(out)))
    assert program.training.memory(8, 512, wrt=["x"]).arena < 12e6
    assert program.training.memory(8, 512, wrt=["x"], recompute=None).arena > 17e6
    fed = np.random.default_rng(0).normal(size=(2, 20, 160)).astype(np.float32)
    (loss, gradients), (same, kept) = (
        program.training.gradients(x=fed, wrt=["x"], recompute=how) for how in ("auto", None)
    )
    assert loss == same
    for name, gradient in gradients.items():
        assert_array_equal(kept[name], gradient, err_msg=name)


@pytest.mark.parametrize(("flat", "narrow"), [(False, False), (True, False), (False, True)])
def test_transposed_states_have_their_declared_axes_outside_of_loops(flat: bool, narrow: bool, tmp_path: Path) -> None:
    """Steps with values first compute with keys first, and return the state that the script declares."""
    x, shape = fed("float32"), (3, *SHAPES[values_first])
    program, peer = declared(values_first, flat, narrow=narrow), declared(elementwise, flat, narrow=narrow)
    whole = program.inference(x=x)
    close = 2e-2 if narrow else 1e-5
    stream, other = program.inference.stream(batch=3), peer.inference.stream(batch=3)
    for t in range(5):
        assert_array_equal(stream.step(x=x[:, t]), whole[:, t])
        other.step(x=x[:, t])
    assert not any(node.op == "transpose" and len(node.shape) == 4 for node in step_ops(stream))
    state = stream.state
    assert state.shape == ((3, HEADS * KEYS * VALUES) if flat else shape)
    keys_first = other.state.reshape(3, HEADS, KEYS, VALUES)
    assert_allclose(state.reshape(shape), keys_first.swapaxes(2, 3), rtol=close, atol=close)
    stream.save(tmp_path / "stream")
    pool = program.inference.streams()
    handle = pool.open(state=state[:1])
    resumed = [program.inference.stream(batch=3, state=kept) for kept in (stream.state, tmp_path / "stream")]
    resumed.append(program.inference.stream(batch=3))
    resumed[-1].load_state_bytes(stream.state_bytes())
    for t in range(5, 8):
        for item in resumed:
            assert_array_equal(item.step(x=x[:, t]), whole[:, t])
        assert_array_equal(pool.step({handle: {"x": x[0, t]}})[handle], whole[0, t])
    assert_array_equal(pool.state(handle), resumed[0].state[:1])


class LearnedRates(DecayedChannels):
    """``DecayedChannels`` whose rates are a parameter, so that a sum over all steps reads the states."""

    def rates(self, p: Any) -> rg.Tensor:
        return rg.softplus(p.parameter("rates", (64, 16), np.ones((64, 16), np.float32)))


def test_decays_are_computed_again_in_the_loop_of_their_readers() -> None:
    """The states of all steps take 17 MB. The decays, which are as large, are not kept between the loops."""
    x = rg.placeholder("x", (None, None, 160))
    out, _ = rg.dynamic_rnn(LearnedRates(), x)
    program = rg.compile(out, loss=rg.reduce_mean(rg.square(out)))
    for names in ([], ["x"]):
        assert program.training.memory(8, 512, wrt=names).arena < 25e6


@pytest.mark.parametrize("form", [transition_as_matrix, transition_on_the_right])
def test_transitions_of_low_rank_are_not_multiplied_as_matrices(form: Form) -> None:
    program = declared(form)
    for graph in (program.inference, program.training):
        assert not re.search(r"\n    \w+ = matmul", str(graph.show("simplify_last")))
    (recurrence,) = declared(form, chunked=64).summary().recurrences
    assert "A diagonal plus rank 1; training runs chunks" in recurrence


@pytest.mark.parametrize("form", [heads_between, heads_last])
def test_loops_carry_heads_before_keys_and_values(form: Form) -> None:
    program = declared(form)
    for graph in (program.inference, program.training):
        assert re.search(rf"carry \w+ = .*f32\[B,{HEADS},{KEYS},{VALUES}\]", str(graph.show("simplify_last")))
