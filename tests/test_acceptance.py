"""Edge cases of the public interface: feeds, results, names, ranges, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

import rnngraph as rg

RANDOM = np.random.default_rng(3)


def tokens_program() -> rg.Program:
    ids = rg.placeholder("ids", (None, None), "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), rg.embedding(ids, 10, 5))
    return rg.compile({"outputs": outputs})


def loss_program(lengths: bool) -> rg.Program:
    logits = rg.placeholder("logits", ("B", "T", 4))
    labels = rg.placeholder("labels", ("B", "T"), "int64")
    real = rg.placeholder("lengths", ("B",), "int32") if lengths else None
    loss = rg.sparse_softmax_cross_entropy(labels, logits, lengths=real)
    return rg.compile({"logits": logits}, loss=loss)


def dropout_program() -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(rg.GRUCell(4), output_keep_prob=0.5), x)
    return rg.compile({"outputs": outputs})


# Parameters of several programs -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*drawn anew:UserWarning")
def test_programs_with_common_parameters_follow_each_other() -> None:
    x = rg.placeholder("x", (None, None, 5))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(6), x)
    first = rg.compile({"scores": rg.dense(outputs[:, -1], 3)}, seed=1)
    second = rg.compile({"outputs": outputs, "other": rg.dense(outputs[:, 0], 2)}, parameters=first, seed=2)
    feed = RANDOM.normal(size=(2, 3, 5))
    kernel = "rnn/gru_cell/gates/kernel"
    before = second.inference(x=feed)["outputs"]
    np.testing.assert_array_equal(second.parameters[kernel], first.parameters[kernel])

    first.parameters[kernel] = np.zeros((11, 12))

    assert not second.parameters[kernel].any()
    assert not np.array_equal(second.inference(x=feed)["outputs"], before)


def test_a_new_scope_takes_no_name_of_the_other_program() -> None:
    x = rg.placeholder("x", (None, 6))
    shared = rg.dense(x, 3)
    first = rg.compile(shared)
    with pytest.warns(UserWarning, match="drawn anew"):
        second = rg.compile(shared + rg.dense(x, 3), parameters=first)
    assert list(first.parameters) == ["dense/kernel", "dense/bias"]
    assert list(second.parameters) == ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]


def test_parameters_are_renamed_by_a_function() -> None:
    program = rg.compile(rg.dense(rg.placeholder("x", (None, 6)), 3))
    values = {f"model/{name}": array + 1 for name, array in program.parameters.items()}
    program.parameters.load(values, rename=lambda name: name.removeprefix("model/"))
    np.testing.assert_array_equal(program.parameters["dense/kernel"], values["model/dense/kernel"])
    with pytest.raises(rg.DtypeError, match="give a mapping"):
        program.parameters.load(3)


# Numbers that must lie in a range ---------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [-1, 4])
def test_labels_out_of_range_are_an_error(wrong: int) -> None:
    program = loss_program(lengths=False)
    logits = RANDOM.normal(size=(2, 3, 4))
    with pytest.raises(rg.ShapeError, match=f"feed labels holds {wrong}; labels .* must be in 0..3"):
        program.training(logits=logits, labels=[[0, 1, 2], [3, wrong, 0]])


def test_labels_past_a_length_are_not_read() -> None:
    program = loss_program(lengths=True)
    logits = RANDOM.normal(size=(2, 3, 4))
    actual = program.evaluate(logits=logits, labels=[[0, 1, 2], [3, -1, 99]], lengths=[3, 1])["loss"]
    shifted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = -(shifted[0, 0, 0] + shifted[0, 1, 1] + shifted[0, 2, 2] + shifted[1, 0, 3]) / 4
    np.testing.assert_allclose(actual, wanted, rtol=1e-5)
    with pytest.raises(rg.ShapeError, match="labels"):
        program.evaluate(logits=logits, labels=[[0, 1, 9], [3, -1, 99]], lengths=[3, 1])


@pytest.mark.parametrize("wrong", [-1, 4])
def test_lengths_of_a_loss_out_of_range_are_an_error(wrong: int) -> None:
    with pytest.raises(rg.ShapeError, match=f"feed lengths holds {wrong}"):
        loss_program(lengths=True).evaluate(
            logits=np.zeros((2, 3, 4)), labels=np.zeros((2, 3), np.int64), lengths=[3, wrong]
        )


def test_the_mean_over_no_step_is_zero() -> None:
    actual = loss_program(lengths=True).evaluate(
        logits=np.zeros((2, 3, 4)), labels=np.zeros((2, 3), np.int64), lengths=[0, 0]
    )
    assert actual["loss"] == 0


def test_lengths_of_gather_last_out_of_range_are_an_error() -> None:
    outputs, lengths = rg.placeholder("outputs", (None, None, 4)), rg.placeholder("lengths", (None,), "int64")
    program = rg.compile(rg.gather_last(outputs, lengths))
    values = RANDOM.normal(size=(3, 6, 4)).astype(np.float32)
    np.testing.assert_array_equal(program.inference(outputs=values, lengths=[6, 2, 1]), values[[0, 1, 2], [5, 1, 0]])
    with pytest.raises(rg.ShapeError, match="lengths"):
        program.inference(outputs=values, lengths=[7, 2, 1])


def test_a_checked_number_is_the_fed_one_not_its_namesake() -> None:
    x, ids = rg.placeholder("x", (None, None, 3)), rg.placeholder("ids", (None,), "int64")
    table = rg.constant(np.arange(12, dtype=np.float32).reshape(6, 2))
    ids = ids + 5

    class Lookup(rg.Cell):
        def state(self) -> dict[str, int]:
            return {"h": 2}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
            h = rg.gather(table, ids) + state["h"]
            return h, {"h": h}

    outputs, _ = rg.dynamic_rnn(Lookup(), x)
    actual = rg.compile(outputs).inference(x=np.zeros((1, 1, 3)), ids=[-4])
    np.testing.assert_array_equal(actual, [[[2, 3]]])


def test_an_index_may_be_nan() -> None:
    indices = rg.cast(rg.placeholder("f", (None,)), "int64")
    table = rg.constant(np.arange(12, dtype=np.float32).reshape(6, 2))
    assert rg.compile(rg.gather(table, indices)).inference(f=[1, np.nan])[0, 0] == 2


@pytest.mark.parametrize("name", ["first_row", "first_step"])
@pytest.mark.parametrize("wrong", [-1, 2**32, 2**70])
def test_first_rows_and_steps_are_within_the_counter(name: str, wrong: int) -> None:
    with pytest.raises(rg.ArgumentError, match=name):
        dropout_program().training(x=np.zeros((1, 2, 3)), seed=1, **{name: wrong})


# Streams ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [-5, 10, 10**14])
def test_a_streams_fast_step_checks_ids(wrong: int) -> None:
    stream = tokens_program().inference.stream(batch=2)
    stream.step(ids=np.array([1, 2]))
    before = stream.state
    with pytest.raises(rg.ShapeError, match=r"must be in 0\.\.9"):
        stream.step(ids=np.array([1, wrong]))
    np.testing.assert_array_equal(stream.state, before)


@pytest.mark.parametrize(
    "out",
    [
        {"outputs": np.empty((3, 4), np.float32)},
        {"outputs": np.empty((2, 4), np.float64)},
        {"outputs": [1.0]},
        {"other": np.empty((2, 4), np.float32)},
        {"loss": np.empty((), np.float32)},
        np.empty((2, 4), np.float32),
    ],
)
def test_a_stream_checks_out_before_it_moves_on(out: Any) -> None:
    stream = tokens_program().inference.stream(batch=2)
    stream.step(ids=[1, 2])
    before = stream.state
    with pytest.raises(rg.RnnGraphError, match="out="):
        stream.step(ids=[1, 2], out=out)
    np.testing.assert_array_equal(stream.state, before)


def test_a_failed_call_does_not_change_a_stream() -> None:
    x, start = rg.placeholder("x", (None, None, 3)), rg.placeholder("start", (None, 4))
    knob = rg.placeholder("knob", (None,))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, initial_state=start)
    stream = rg.compile(outputs * rg.reshape(knob, (1, 1, -1))).inference.stream(batch=1)
    feed = np.ones((1, 3))
    with pytest.raises(rg.ShapeError):
        stream.step(x=np.ones((2, 3)), start=np.full((1, 4), 9.0), knob=np.ones(4))
    first = stream.step(x=feed, start=np.zeros((1, 4)), knob=np.ones(4))
    stream.reset()
    with pytest.raises(rg.ShapeError):
        stream.step(x=feed, knob=np.ones(5))
    np.testing.assert_array_equal(stream.step(x=feed), first)


def test_a_graph_with_lengths_names_the_line_that_cannot_stream() -> None:
    x, lengths = rg.placeholder("x", (None, None, 3)), rg.placeholder("lengths", (None,), "int32")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, sequence_length=lengths)
    with pytest.raises(rg.GraphError, match=r"sequence_length.*declared at .*test_acceptance\.py:\d+"):
        rg.compile(outputs).inference.stream()


# Operators and functions ------------------------------------------------------------------------------


def test_argmax_keeps_its_axis() -> None:
    values = RANDOM.normal(size=(4, 6, 9)).astype(np.float32)
    for axis in (0, 1, -1):
        actual = rg.compile(rg.argmax(rg.placeholder("x", (None, None, 9)), axis, keepdims=True)).inference(x=values)
        np.testing.assert_array_equal(actual, np.argmax(values, axis, keepdims=True))


def test_a_number_to_the_power_of_a_tensor() -> None:
    values = RANDOM.normal(size=(4, 5)).astype(np.float32)
    actual = rg.compile(2 ** rg.placeholder("x", (None, 5))).inference(x=values)
    np.testing.assert_allclose(actual, 2**values, rtol=1e-6)


def test_reshape_takes_the_sizes_of_a_shape() -> None:
    x = rg.placeholder("x", ("B", "T", 8))
    batch, time, _ = x.shape
    values = RANDOM.normal(size=(4, 3, 8)).astype(np.float32)
    actual = rg.compile(rg.reshape(x, (batch, time, 2, 4))).inference(x=values)
    np.testing.assert_array_equal(actual, values.reshape(4, 3, 2, 4))
    with pytest.raises(rg.ShapeError, match="not a size for a reshape"):
        rg.reshape(x, (2.5, -1))


def test_a_long_chain_of_operations_compiles() -> None:
    x = y = rg.placeholder("x", (None, 8))
    for _ in range(600):
        y = rg.abs(y) * x
    np.testing.assert_array_equal(rg.compile(y).inference(x=np.ones((2, 8))), np.ones((2, 8)))


# Errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x, p: p.inference({x: 1, "x": 2}), ValueError, "x is fed twice"),
        (lambda x, p: p.inference.prepare(batch=0), ValueError, "must be at least 1"),
        (lambda x, p: p.inference.prepare(batch="1"), TypeError, "must be an int"),
        (lambda x, p: p.inference.prepare(rows=3), KeyError, "no size is named rows"),
        (lambda x, p: rg.compile({3: x}), TypeError, "an output needs a name"),
        (lambda x, p: rg.one_hot(x, 3), TypeError, "one_hot needs ints"),
        (lambda x, p: rg.placeholder("seed", ()), ValueError, "which is reserved"),
        (lambda x, p: x @ rg.placeholder("w", (6, 3)), ValueError, r"f32\[\?,\?,3\] and f32\[6,3\]"),
    ],
)
def test_errors_name_the_line_and_the_mistake(
    call: Callable[[rg.Tensor, rg.Program], Any], kind: type[Exception], message: str
) -> None:
    x = rg.placeholder("x", (None, None, 3))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(4), x)[0])
    with pytest.raises(rg.RnnGraphError, match=rf"test_acceptance\.py:\d+: .*{message}") as caught:
        call(x, program)
    assert isinstance(caught.value, kind)


def test_an_unknown_state_in_a_step_is_an_error_with_the_valid_names() -> None:
    class Wrong(rg.Cell):
        def state(self) -> dict[str, int]:
            return {"h": 3}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
            return state["c"], state

    with pytest.raises(rg.NameLookupError, match=r"test_acceptance\.py:\d+: no state is named 'c'; .* carries h"):
        rg.dynamic_rnn(Wrong(), rg.placeholder("x", (None, None, 3)))


def test_full_unrolling_of_an_open_length_fails_when_compiled() -> None:
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), rg.placeholder("x", (None, None, 3)))
    with pytest.raises(rg.GraphError, match="declare the time axis of the placeholder as an int"):
        rg.compile(outputs, unroll="full")


@pytest.mark.skipif(llvm.get_host_cpu_features().get("avx512f", False), reason="the processor has AVX-512")
def test_code_for_another_processor_is_shown_and_not_run() -> None:
    program = rg.compile(rg.tanh(rg.placeholder("x", (None, 64))), target="x86-64-v4")
    assert "zmm" in program.inference.show("asm")
    with pytest.raises(rg.GraphError, match="avx512f"):
        program.inference(x=np.ones((1, 64)))
