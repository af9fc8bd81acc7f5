"""Errors of wrong arguments: texts, lengths, and pickling to another process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1
from rnngraph.support import errors


def sequence(time: Any = None) -> rg.Tensor:
    return rg.placeholder("x", (None, time, 3))


def program(**outputs: rg.Tensor) -> rg.Program:
    state = rg.dynamic_rnn(rg.GRUCell(4), sequence())[1]
    return rg.compile(outputs or {"logits": rg.dense(state, 2)})


def trainer() -> rg.Trainer:
    y = rg.dense(sequence(), 2)
    return rg.Trainer(rg.compile(y, loss=rg.reduce_mean(rg.square(y))), rg.SGD(0.1))


def masked(*rows: int) -> Any:
    return np.ma.masked_less(np.zeros((*rows, 3, 3)), 1)


TORCH = {"weight_ih": np.ones((3, 2)), "weight_hh": np.ones((3, 3))}
KERAS = {"kernel": np.ones((2, 3)), "recurrent_kernel": np.ones((3, 3))}


class Own(rg.Cell):
    def __init__(self, **options: Any) -> None:
        self.options = options

    def state(self) -> Any:
        return {"h": 3}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
        return x * p.parameter("scale", (3,), **self.options), state


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Nested(rg.Cell):
    def __init__(self, run: Callable[[rg.Tensor], rg.Tensor]) -> None:
        self.run = run

    def state(self) -> dict[str, int]:
        return {"h": 3}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        return self.run(x), {"h": state["h"]}


class Twice(rg.Cell):
    def state(self) -> dict[str, int]:
        return {"class": 3, "h": 3}


def scope_that_is_kept() -> rg.Tensor:
    kept: list[rg.Scope] = []

    class Keeping(rg.GRUCell):
        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            kept.append(p)
            return super().step(p, x, state)

    rg.dynamic_rnn(Keeping(3), sequence())
    return kept[0].kernel("late", (2, 3))


LONG = "a" * 1500
RAGGED = [[1], [2, 3]]

MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "np.tanh": (lambda: np.tanh(sequence()), TypeError, "use rg.tanh"),
    "np.sum": (lambda: np.sum(sequence()), TypeError, "use rg.reduce_sum"),
    "np.concatenate": (lambda: np.concatenate([sequence(), sequence()]), TypeError, "use rg.concat"),
    "np.linalg": (lambda: np.linalg.norm(sequence()), TypeError, "functions of rnngraph"),
    "out": (lambda: np.add(np.ones(3), sequence(), out=np.ones(3)), TypeError, "np.add computes with arrays"),
    "float": (lambda: float(sequence()), TypeError, "no value while declaring"),
    "len": (lambda: len(sequence()), TypeError, "x.shape"),
    "index by an array": (lambda: sequence()[:, np.array([0, 1])], TypeError, "rg.gather"),
    "dtype": (lambda: rg.placeholder("x", (3,), dtype=float), TypeError, "write float32"),
    "driver in a step": (
        lambda: rg.dynamic_rnn(Nested(lambda x: rg.dynamic_rnn(rg.GRUCell(3), rg.expand_dims(x, 0))[0][0]), sequence()),
        ValueError,
        "over an axis of symbolic size inside a cell's step; declare that size",
    ),
    "long driver in a step": (
        lambda: rg.dynamic_rnn(
            Nested(lambda x: rg.dynamic_rnn(rg.GRUCell(3), rg.tile(rg.expand_dims(x, 1), (1, 1001, 1)))[0][:, 0]),
            sequence(),
        ),
        ValueError,
        "a step contains 1001 unrolled steps of inner drivers",
    ),
    "cumsum in a step": (
        lambda: rg.dynamic_rnn(Nested(lambda x: rg.cumsum(x, axis=0)), sequence()),
        ValueError,
        "cumsum runs over",
    ),
    "name of a placeholder": (lambda: rg.placeholder(LONG, (3,)), ValueError, "at most 200 characters"),
    "name of a parameter": (lambda: rg.parameter(LONG, (3,)), ValueError, "at most 200 characters"),
    "name of a layer": (lambda: rg.dense(sequence(), 2, name=LONG), ValueError, "at most 200 characters"),
    "name of a scope": (lambda: rg.dynamic_rnn(rg.GRUCell(2), sequence(), scope=LONG), ValueError, "at most 200"),
    "name of a size": (lambda: sequence("ü"), ValueError, "is not a size"),
    "name of an output": (lambda: program(**{LONG: sequence()}), ValueError, "at most 200"),
    "name of a state": (lambda: rg.dynamic_rnn(Twice(), sequence()), ValueError, "'class' cannot name"),
    "parameter of a scope that is over": (lambda: program(y=scope_that_is_kept()), ValueError, "late was created from"),
    "result": (lambda: program().inference(x=np.ones((2, 3, 3)))["logit"], KeyError, "did you mean logits?"),
    "parameter": (lambda: program().parameters["dense/kernl"], KeyError, "did you mean dense/kernel?"),
    "feed": (lambda: program().inference(X=np.ones((2, 3, 3))), KeyError, "did you mean x?"),
    "two mappings": (lambda: program().inference({}, {}), TypeError, "one mapping from placeholder to array"),
    "batch": (lambda: program().inference.prepare(batch="two"), TypeError, "batch must be an int"),
    "rows": (lambda: program().inference.stream(2).step(x=np.ones((2, 3)), rows=2**63), ValueError, "rows="),
    "rename": (lambda: program().parameters.load({"a": 1}, rename=int), ValueError, "rename=<class 'int'> raises"),
    "initializer": (lambda: rg.parameter("w", (3,), initializer=sequence()), TypeError, "an initializer is a name"),
    "initial shape": (
        lambda: program(y=rg.parameter("w", (3,), initializer=np.ones(4))),
        ValueError,
        "w returns no array",
    ),
    "split in no parts": (lambda: rg.split(rg.constant([1, 2]), 0), ValueError, "parts must be at least 1"),
    "tile by halves": (lambda: rg.tile(rg.constant([1, 2]), [0.5]), TypeError, "a multiple must be an int"),
    "constant that is cut": (lambda: rg.constant(1.5, "int64"), TypeError, "does not fit int64"),
    "constant that wraps": (lambda: rg.placeholder("n", (3,), "int64") + 2**63, TypeError, "does not fit int64"),
    "huge rate": (lambda: rg.Adam(10**400), ValueError, "learning rate"),
    "what has no repr": (lambda: rg.GRUCell(Rude()), TypeError, "num_units must be an int, not an object of Rude"),
    "what has no repr, of any kind": (lambda: rg.matmul(sequence(), Rude()), TypeError, "objects"),
    "what has no repr, asked for a gradient": (
        lambda: trainer().program.training.gradients(x=np.ones((2, 3, 3)), wrt=[Rude()]),
        ValueError,
        "not a float",
    ),
    "a share beyond all": (
        lambda: trainer().fit({"x": np.ones((8, 3, 3))}, validation=1e308, progress=False),
        ValueError,
        "share between",
    ),
    "ragged constant": (lambda: tf1.constant([[1], [2, 3]]), ValueError, "not a constant"),
    "words for logits": (
        lambda: tf1.nn.sigmoid_cross_entropy_with_logits(labels=sequence(), logits="mean"),
        TypeError,
        "not text",
    ),
    "annotated": (lambda: rg.split(sequence(), None), TypeError, "parts must be"),
    "ragged variable": (lambda: tf1.Variable(RAGGED), ValueError, "a variable's initial value must be an array"),
    "ragged assignment": (lambda: tf1.Variable([1.0, 2.0]).assign(RAGGED), ValueError, "can't be set"),
    "ragged load": (lambda: tf1.Variable([1.0, 2.0]).load(RAGGED, tf1.Session()), ValueError, "can't be set"),
    "ragged operand": (lambda: tf1.placeholder(tf1.float32, [None, 2]) + RAGGED, ValueError, "not a constant"),
    "ragged scores": (lambda: tf1.contrib.crf.viterbi_decode(RAGGED, RAGGED), ValueError, "needs arrays"),
    "reuse": (lambda: tf1.variable_scope("a", reuse=np.ones(2)).__enter__(), TypeError, "reuse must be True, False or"),
    "axes": (lambda: rg.placeholder("x", (1,) * 33), ValueError, "33 axes, and a Tensor has 32 at most"),
    "axes of a parameter": (lambda: rg.parameter("w", (1,) * 33), ValueError, "33 axes, and a Tensor has 32 at most"),
    "axes that are added": (lambda: rg.reshape(sequence(), (None,) + (1,) * 40), ValueError, "41 axes, and a Tensor"),
    "a mapping for a shape": (lambda: rg.placeholder("x", {0: 3}), ValueError, "must be a sequence"),
    "a text for a shape": (lambda: rg.placeholder("x", "ab"), ValueError, "must be a sequence"),
    "a set of Tensors": (lambda: rg.concat({sequence(), sequence()}, 1), TypeError, "must be a sequence"),
    "compared with a number": (lambda: rg.where(sequence() == 0, 1.0, 0.0), TypeError, "write rg.equal"),
    "a Tensor for an array": (lambda: np.unique([sequence(), 3]), TypeError, "a Tensor has no numbers"),
    "inputs and labels apart": (lambda: trainer().fit(np.ones(3), np.ones(3)), TypeError, r"write fit((x, y))"),
    "no state": (lambda: rg.GRUCell(3)(rg.placeholder("x", (None, 3))), TypeError, "state = rg.dynamic_rnn"),
    "inputs and units": (lambda: rg.GRUCell(3, 64), TypeError, "give units only"),
    "names of torch": (lambda: program().parameters.load({"weight_ih_l0": 1}), KeyError, "rg.weights.from_torch"),
    "a bound beyond all": (lambda: rg.random_uniform(sequence(), low=10**400), ValueError, "must be a finite number"),
    "a mean that is none": (lambda: rg.random_normal(sequence(), mean="0"), TypeError, "mean must be a number"),
    "a reshape that can never be": (
        lambda: rg.reshape(rg.placeholder("k", (1, "n", 1)), (1, None, 128)),
        ValueError,
        "can't reshape f32[1,n,1]",
    ),
    "a flag of a driver": (
        lambda: rg.dynamic_rnn(rg.GRUCell(2), sequence(), time_major="scope"),
        TypeError,
        "time_major must be True or",
    ),
    "a flag of a layer": (lambda: rg.dense(sequence(), 2, use_bias=None), TypeError, "use_bias must be True or False"),
    "a flag of a parameter": (lambda: rg.parameter("w", (3,), trainable=1), TypeError, "trainable must be True or"),
    "a flag of a cell's parameter": (
        lambda: rg.compile(rg.dynamic_rnn(Own(trainable="no"), sequence())[0]),
        TypeError,
        "trainable must be True or",
    ),
    "a scope that is no name": (
        lambda: rg.dynamic_rnn(rg.GRUCell(2), sequence(), scope=0),
        TypeError,
        "a scope needs a name, not 0",
    ),
    "a layer's name that is none": (lambda: rg.dense(sequence(), 2, name=[]), TypeError, "a scope needs a name, not"),
    "a text as a shape": (lambda: rg.reshape(sequence(), "abc"), TypeError, "the shape must be a sequence, not 'abc'"),
    "a mapping as axes": (lambda: rg.reduce_sum(sequence(), {}), TypeError, "must be a sequence, not {}"),
    "a set as an order": (lambda: rg.transpose(sequence(), {0, 1, 2}), TypeError, "perm must be a sequence, not {0,"),
    "in a Tensor": (lambda: 1 in sequence(), TypeError, "no entries to look through"),
    "a shift": (lambda: sequence() << 1, TypeError, "a Tensor has no & | ^ ~ << >>"),
    "a name that is renamed in vain": (
        lambda: program().parameters.load({}, rename={"there": "dense/kernel"}),
        KeyError,
        "rename= has 'there'",
    ),
    "an array of torch's that no layer has": (
        lambda: rg.weights.from_torch(rg.BasicRNNCell(3), TORCH | {"bias_i": np.ones(3)}),
        KeyError,
        "torch's arrays have bias_i, which this layer does not have; did you mean bias_ih?",
    ),
    "an array of Keras' that no layer has": (
        lambda: rg.weights.from_keras(rg.BasicRNNCell(3), KERAS | {"biases": np.ones(3)}),
        KeyError,
        "you mean bias?",
    ),
    "arrays of two layers of Keras'": (
        lambda: rg.weights.from_keras(rg.BasicRNNCell(3), KERAS | {"other/kernel": 1}),
        ValueError,
        "of several layers",
    ),
    "an array of ONNX' that no node has": (
        lambda: rg.weights.from_onnx(rg.BasicRNNCell(3), {"W": np.ones((3, 2)), "R": np.ones((3, 3)), "b": np.ones(6)}),
        KeyError,
        "ONNX's arrays have b, which",
    ),
    "a parameter that no cell has": (
        lambda: rg.weights.to_keras(rg.BasicRNNCell(3), {"kernel": np.ones((5, 3)), "bias": np.ones(3), "gain": 1}),
        KeyError,
        "have gain, which this layer does not have; it has bias, kernel",
    ),
    "masked": (lambda: program().inference(x=masked(2)), ValueError, "feed x hides entries by a mask"),
    "masked examples": (lambda: trainer().fit({"x": masked(2)}, progress=False), ValueError, "hides entries by a mask"),
    "a masked example": (lambda: trainer().fit({"x": [masked(), masked()]}, progress=False), ValueError, "by a mask"),
    "masked in a list": (lambda: program().inference(x=[*masked(2)]), ValueError, "feed x hides"),
    "a masked constant": (lambda: sequence() + masked(), ValueError, "a constant hides entries by a mask"),
    "masked constants": (lambda: rg.constant([masked(), masked()]), ValueError, "a constant hides entries by a mask"),
    "a masked beginning": (lambda: rg.parameter("w", (3, 3), masked()), ValueError, "an initializer hides entries"),
    "masked beginnings": (
        lambda: rg.compile(rg.parameter("w", (3, 3), lambda _, __: masked())),
        ValueError,
        "the initializer of w returns hides entries",
    ),
    "a masked parameter": (
        lambda: program().parameters.load({"dense/kernel": masked()}, strict=False),
        ValueError,
        "it hides entries",
    ),
    "masked weights": (
        lambda: rg.weights.from_keras(rg.BasicRNNCell(3), [masked()] * 2),
        ValueError,
        "it hides entries by a mask",
    ),
    "a Tensor that is fed": (lambda: program().inference(x=sequence()), TypeError, "feed x is <Tensor x"),
    "a mask of no axis": (lambda: tf1.boolean_mask(0, [True]), ValueError, "axis 0"),
    "a ragged mask": (lambda: tf1.boolean_mask([1, 2], RAGGED), ValueError, "needs a mask of bools"),
    "no handle": (lambda: program().inference.streams().step_async(x=1), TypeError, "needs handle"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    call, kind, words = MISTAKES[name]
    with pytest.raises(rg.RnnGraphError) as caught:
        call()
    error = caught.value
    assert isinstance(error, kind), error
    assert words in error.what
    assert error.where is not None
    assert error.where.file == __file__
    assert str(error) == f"{error.where}: {error.what}"


def test_masks_without_hidden_entries_are_accepted() -> None:
    array = np.ma.masked_less(np.ones((2, 3, 3), np.float32), 0)
    assert program().inference(x=array)["logits"].shape == (2, 2)


def test_numbers_and_dtypes_of_numpy_do_where_those_of_python_do() -> None:
    x = rg.placeholder("x", (None, np.int64(3)), dtype=np.float32)
    w = rg.parameter("w", (np.int64(3),), initializer=np.float64(2), dtype=np.float32)
    y = rg.tile(rg.dense(x * w, np.int32(4)), [np.int64(1), np.int64(2)])
    subject = rg.compile({"y": y, "root": x ** np.int64(2), "n": rg.cast(x, np.int64)})
    subject.inference.prepare(batch=np.int64(3))
    assert subject.inference.memory(batch=np.int64(2)) == subject.inference.memory(batch=2)
    actual = subject.inference(x=-np.ones((2, 3)))
    assert actual["y"].shape == (2, 8)
    np.testing.assert_array_equal(actual["root"], np.ones((2, 3)))
    assert rg.GRUCell(4).zero_state(np.int64(2)).shape == (2, 4)
    assert [part.width for part in rg.split(rg.constant(np.ones(4)), np.int64(2))] == [2, 2]


def test_operators_of_arrays_are_operators_of_tensors() -> None:
    x, a = rg.placeholder("x", (2, 2)), np.array([[1, 2], [3, 4]], np.float32)
    outputs = {
        "add": a + x,
        "sub": a - x,
        "mul": np.float32(3) * x,
        "div": a / x,
        "matmul": a @ x,
        "pow": a**x,
        "less": a < x,
        "greater_equal": a >= x,
    }
    feeds = np.array([[2, 1], [4, 3]], np.float32)
    actual = rg.compile(outputs).inference(x=feeds)
    expected = {
        "add": a + feeds,
        "sub": a - feeds,
        "mul": 3 * feeds,
        "div": a / feeds,
        "matmul": a @ feeds,
        "pow": a**feeds,
        "less": a < feeds,
        "greater_equal": a >= feeds,
    }
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-6)


def test_parameters_are_loaded_of_tensors_that_take_part_in_gradients() -> None:
    class TorchLike:
        def __init__(self, array: np.ndarray, grad: bool = True) -> None:
            self.array, self.grad = array, grad

        def detach(self) -> TorchLike:
            return TorchLike(self.array, False)

        def cpu(self) -> TorchLike:
            return self

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            if self.grad:
                raise RuntimeError(
                    "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
                )
            return self.array

    subject = program()
    arrays = {name: np.full_like(array, 0.25) for name, array in subject.parameters.items()}
    subject.parameters.load({name: TorchLike(array) for name, array in arrays.items()})
    for name, array in arrays.items():
        np.testing.assert_array_equal(subject.parameters[name], array)
    with pytest.raises(rg.ShapeError, match=r"detach\(\)"):
        subject.inference(x=TorchLike(np.ones((2, 3, 3))))


@pytest.mark.peers
def test_parameters_are_loaded_of_torch() -> None:
    torch = pytest.importorskip("torch")
    subject = program()
    shapes = {name: array.shape for name, array in subject.parameters.items()}
    subject.parameters.load({name: torch.ones(shape, requires_grad=True) for name, shape in shapes.items()})
    assert all((array == 1).all() for array in subject.parameters.values())


@pytest.mark.parametrize("over", ["reduce_max", "reduce_min", "softmax", "log_softmax", "attention"])
def test_check_over_no_steps(over: str) -> None:
    """``check`` computes reductions over an empty axis as native code does."""
    outputs, state = rg.dynamic_rnn(rg.GRUCell(4), sequence())
    if over == "attention":
        cell = rg.AttentionWrapper(rg.GRUCell(4), rg.LuongAttention(4, outputs))
        y = rg.dynamic_rnn(cell, rg.placeholder("z", (None, None, 3)))[0]
    else:
        y = getattr(rg, over)(outputs, 1)
    ints = rg.reduce_max(rg.cast(outputs, "int32"), 1)
    subject = rg.compile({"y": y, "ints": ints, "state": state})
    feeds = {"x": np.ones((2, 0, 3))} | ({"z": np.ones((2, 3, 3))} if over == "attention" else {})
    with np.errstate(all="ignore"):
        finding = subject.inference.check(feeds)
    actual = subject.inference(feeds)
    np.testing.assert_array_equal(actual["ints"], np.full((2, 4), np.iinfo(np.int32).min))
    if over.startswith("reduce"):
        assert np.isinf(actual["y"]).all()
        assert finding is not None


def test_check_rejects_the_feeds_that_native_code_rejects() -> None:
    """``check`` and native code both refuse argmax over an empty axis."""
    subject = rg.compile(rg.argmax(rg.dynamic_rnn(rg.GRUCell(4), sequence())[0], 1))
    for call in (subject.inference, subject.inference.check):
        with pytest.raises(rg.ShapeError, match="has no entries to compare"):
            call(x=np.ones((2, 0, 3)))


# Length ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.zeros((300, 300)), [0.5] * 10**5, "a" * 10**5, {i: i for i in range(10**4)}])
def test_messages_are_short(value: Any) -> None:
    for call in (
        lambda: rg.GRUCell(value),
        lambda: rg.dense(sequence(), 2, activation=value),
        lambda: rg.dropout(sequence(), value),
        lambda: rg.placeholder("x", [value]),
        lambda: program().inference.stream(value),
        lambda: program().parameters.load({"a": 1}, rename=value),
        lambda: rg.dense(sequence(), 2, name=value),
    ):
        with pytest.raises(rg.RnnGraphError) as caught:
            call()
        assert len(caught.value.what) <= 1000


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    error = rg.ShapeError(f"{'b' * 5000}; do otherwise")
    assert error.what.startswith("bbb")
    assert error.what.endswith("; do otherwise")
    assert "characters left out" in error.what
    assert len(error.what) < 1000
    assert rg.ShapeError("b" * 900).what == "b" * 900


def test_reprs_are_short() -> None:
    assert errors.shown(np.zeros((30, 40), np.float32)) == "an array of float32 [30, 40]"
    assert errors.shown(np.array([1, 2])) == "array([1, 2])"
    assert errors.shown(Rude()) == "an object of Rude"
    assert len(errors.shown(["x" * 1000] * 1000)) < 1000


# Other processes -------------------------------------------------------------------------------------


def mistaken(kind: str) -> None:
    if kind == "finding":
        raise rg.NonFiniteError("the loss is nan", finding=program().inference.check(x=np.full((2, 3, 3), np.nan)))
    if kind == "file":
        rg.load("/no/such/place")
    program().inference(y=np.ones(3))


@pytest.mark.parametrize("kind", ["finding", "file", "feed"])
def test_an_error_of_another_process_has_one_prefix(kind: str) -> None:
    with pytest.raises(rg.RnnGraphError) as here:
        mistaken(kind)
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(rg.RnnGraphError) as there,
    ):
        pool.submit(mistaken, kind).result()
    assert str(there.value) == str(here.value)
    assert type(there.value) is type(here.value)
    assert there.value.where == here.value.where
    assert there.value.what == here.value.what
    if kind == "finding":
        assert str(there.value.finding) == str(here.value.finding)  # type: ignore[attr-defined]


def test_copies_of_errors_are_the_same() -> None:
    kinds = [getattr(rg, name) for name in rg.__all__ if name.endswith("Error")]
    errors = [kind("what is wrong") for kind in kinds if kind is not rg.OutOfMemoryError]
    for error in (*errors, rg.OutOfMemoryError(3 * 10**9, 10**9, "free", "a table")):
        for other in (
            copy.copy(error),
            copy.deepcopy(error),
            pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error)))),
        ):
            assert str(other) == str(error)
            assert (type(other), other.__dict__) == (type(error), error.__dict__)


@pytest.mark.parametrize("feed", [np.ones((2, 3), np.int64), [[0, 1, 0]], np.ones((1, 3), np.uint8), np.ones((1, 3))])
def test_numbers_for_a_bool_feed(feed: Any) -> None:
    program = rg.compile(rg.cast(rg.placeholder("keep", (None, 3), "bool"), "float32"))
    wanted = r"feed keep is (int64|uint8|float64) and is declared bool; .*: feed array != 0, or array\.astype\(bool\)$"
    with pytest.raises(rg.DtypeError, match=wanted):
        program.inference(keep=feed)
    with pytest.raises(rg.DtypeError, match=r"feed keep is <U1 and is declared bool; give True and False$"):
        program.inference(keep=np.array([["a", "b", "c"]]))


@pytest.mark.parametrize(
    "declare",
    [
        lambda name: rg.placeholder(name, (None, 3)),
        lambda name: rg.parameter(name, (3,)),
        lambda name: rg.dense(rg.placeholder("x", (None, 3)), 3, name=name),
        lambda name: rg.compile({name: rg.placeholder("x", (None, 3)) * 2}),
    ],
)
def test_a_name_of_many_letters(declare: Any) -> None:
    wanted = r"test_error_messages\.py:\d+: an? \w+ needs a name of at most 200 characters, and 'nn.*n' has 300; give a"
    with pytest.raises(rg.ArgumentError, match=wanted) as caught:
        declare("n" * 300)
    assert len(str(caught.value)) < 350


def test_a_size_s_name_of_many_letters() -> None:
    with pytest.raises(
        rg.ShapeError, match=r"not a size; use .* a name that is an identifier of at most 200 characters"
    ):
        rg.placeholder("x", ("n" * 300, 3))
