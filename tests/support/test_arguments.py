"""Every argument of programs, streams, parameters and trainers, tried with wrong values of every kind.

Values that the table does not allow raise rnngraph's own errors with the user's line.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from systems import WINDOWS
from training import compiled_once, data

import rnngraph as rg

FLOAT, HUGE = 1.5, 2**70
VALUES: dict[str, Any] = {
    "None": None,
    "word": "abc",
    "no text": "",
    "zero byte": "a\0b",
    "surrogate": "\ud800",
    "bytes": b"ab",
    "float": FLOAT,
    "nan": float("nan"),
    "infinity": float("inf"),
    "negative": -1,
    "zero": 0,
    "huge": HUGE,
    "True": True,
    "object": object(),
    "type": int,
    "function": lambda *arguments: 0,
    "list": [1, 2],
    "none in a list": [None],
    "ragged": [[1], [1, 2]],
    "nothing": (),
    "dict": {"a": 1},
    "other keys": {1: 2},
    "set": {1},
    "array": np.array(3.0),
    "words": np.array(["a"]),
    "complex": np.zeros(3, complex),
    "objects": np.array([None, {}], dtype=object),
    "dates": np.array(["2020-01-01"], "datetime64[D]"),
    "records": np.zeros(2, [("a", "f4")]),
    "generator": None,  # created for each use
}


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


CACHES = {"word", "True"} | ({"surrogate"} if WINDOWS else set())
"""Windows allows unpaired surrogates in a path."""


@cache
def subjects() -> SimpleNamespace:
    """Return a program with dropout, lengths and a loss, and one that streams."""
    x, y = rg.placeholder("x", (None, None, 3)), rg.placeholder("y", (None, None, 2))
    n, keep = rg.placeholder("n", (None,), "int32"), rg.placeholder("keep", ())
    cell = rg.DropoutWrapper(rg.BasicRNNCell(4), output_keep_prob=keep)
    outputs, states = rg.dynamic_rnn(cell, x, n)
    shown = rg.dense(outputs, 2)
    program = rg.compile({"shown": shown, "states": states}, loss=rg.mean_squared_error(y, shown, lengths=n))
    fed = {**data(5), "n": np.array([1, 2, 3, 6, 6]), "keep": np.float32(0.5)}
    running, _ = rg.dynamic_rnn(rg.GRUCell(4), rg.placeholder("z", (None, None, 3)))
    return SimpleNamespace(
        p=program,
        shown=shown,
        fed=fed,
        given={name: fed[name] for name in ("x", "n")},
        streams=rg.compile({"running": running, "twice": running * 2}),
        values={name: np.array(array) for name, array in program.parameters.items()},
    )


def trainer(**options: Any) -> rg.Trainer:
    return rg.Trainer(subjects().p, rg.Adam(1e-3), **options)


def fit(examples: Any = None, **options: Any) -> rg.History:
    options = {"progress": False, **options}
    return trainer().fit(subjects().fed if examples is None else examples, **options)


def stream() -> Any:
    running = subjects().streams.inference.stream(2)
    running.step(z=np.zeros((2, 3)))
    return running


def edited(name: Any) -> None:
    with subjects().p.parameters.edit(name):
        pass


@cache
def history() -> rg.History:
    return fit()


@cache
def saved() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory()
    subjects().p.save(folder.name)
    return folder


def rate(learning_rate: Any) -> None:
    trainer().learning_rate = learning_rate


TEXTS = {"word", "no text", "zero byte", "surrogate"}
NONE, FLAGS, COUNT = {"None"}, {"True"}, set[str]()
ROWS = {"negative", "zero", "nothing"}
RATE, NUMBER, POSITIVE = {"float", "zero", "huge", "function"}, {"float", "zero", "huge"}, {"float", "huge"}
CALLS: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    # rg.compile
    "outputs": (lambda v: rg.compile(v), set()),
    "loss": (lambda v: rg.compile(subjects().shown, loss=v), NONE),
    "seed": (lambda v: rg.compile(subjects().shown, seed=v), {"negative", "zero"}),
    "target": (lambda v: rg.compile(subjects().shown, target=v), NONE),
    "threads": (lambda v: rg.compile(subjects().shown, threads=v), COUNT),
    "unroll": (lambda v: rg.compile(subjects().shown, unroll=v), NONE),
    "weights": (lambda v: rg.compile(subjects().shown, weights=v), set()),
    "activations": (lambda v: rg.compile(subjects().shown, activations=v), set()),
    "parameters": (lambda v: rg.compile(subjects().shown, parameters=v), NONE),
    "cache": (lambda v: rg.compile(subjects().shown, cache=v), CACHES),
    "classes": (lambda v: rg.compile(subjects().shown, classes=v), {"None", "list"}),
    "load": (lambda v: rg.load(v), set()),
    "load threads": (lambda v: rg.load(saved().name, threads=v), COUNT),
    "load target": (lambda v: rg.load(saved().name, target=v), NONE),
    "load cache": (lambda v: rg.load(saved().name, cache=v), CACHES),
    "load weights": (lambda v: rg.load(saved().name, weights=v), NONE),
    "load activations": (lambda v: rg.load(saved().name, activations=v), NONE),
    # inference and training
    "inference": (lambda v: subjects().p.inference(v), set()),
    "inference x": (lambda v: subjects().p.inference(x=v, n=subjects().fed["n"]), set()),
    "inference n": (lambda v: subjects().p.inference(x=subjects().fed["x"], n=v), set()),
    "inference out": (lambda v: subjects().p.inference(subjects().given, out=v), NONE),
    "inference out of one": (lambda v: subjects().p.inference(subjects().given, out={"shown": v}), set()),
    "training": (lambda v: subjects().p.training(v), set()),
    "training y": (lambda v: subjects().p.training(subjects().fed | {"y": v}), set()),
    "training keep": (lambda v: subjects().p.training(subjects().fed | {"keep": v}), FLAGS),
    "training seed": (lambda v: subjects().p.training(subjects().fed, seed=v), NONE | {"negative", "zero"}),
    "first_row": (lambda v: subjects().p.training(subjects().fed, first_row=v), {"zero"}),
    "first_step": (lambda v: subjects().p.training(subjects().fed, first_step=v), {"zero"}),
    "gradients": (lambda v: subjects().p.training.gradients(v), set()),
    "gradients seed": (lambda v: subjects().p.training.gradients(subjects().fed, seed=v), NONE | {"negative", "zero"}),
    "wrt": (lambda v: subjects().p.training.gradients(subjects().fed, wrt=v), {"nothing"}),
    "output_gradients": (lambda v: subjects().p.training.gradients(subjects().fed, output_gradients=v), NONE),
    "an output's gradient": (
        lambda v: subjects().p.training.gradients(subjects().fed, output_gradients={"shown": v}),
        set(),
    ),
    "masks": (lambda v: subjects().p.training.dropout_masks(v, seed=1), set()),
    "samples": (lambda v: subjects().p.training(subjects().fed, samples=v), NONE),
    "taps": (lambda v: subjects().p.inference.taps(v), NONE),
    "training taps": (lambda v: subjects().p.training.taps(v), NONE),
    "taps seed": (lambda v: subjects().p.training.taps(subjects().fed, seed=v), NONE | {"negative", "zero"}),
    "masks seed": (lambda v: subjects().p.training.dropout_masks(subjects().fed, seed=v), {"negative", "zero"}),
    "masks of samples": (lambda v: subjects().p.training.dropout_masks(subjects().fed, seed=1, samples=v), NONE),
    "masks first_row": (lambda v: subjects().p.training.dropout_masks(subjects().fed, seed=1, first_row=v), {"zero"}),
    "check seed": (lambda v: subjects().p.training.check(subjects().fed, seed=v), NONE | {"negative", "zero"}),
    "check": (lambda v: subjects().p.training.check(v), set()),
    "check x": (lambda v: subjects().p.training.check(subjects().fed | {"x": v}), set()),
    "evaluate": (lambda v: subjects().p.evaluate(v), set()),
    "evaluate out": (lambda v: subjects().p.evaluate(subjects().fed, out=v), set()),
    # the program
    "prepare": (lambda v: subjects().p.inference.prepare(v), NONE | {"list", "nothing"}),
    "prepare a size": (lambda v: subjects().p.inference.prepare(1, T=v), set()),
    "memory batch": (lambda v: subjects().p.inference.memory(v), set()),
    "memory time": (lambda v: subjects().p.inference.memory(1, v), set()),
    "show": (lambda v: subjects().p.inference.show(v), set()),
    "initialize": (lambda v: subjects().p.initialize(v), {"negative", "zero"}),
    "threads later": (lambda v: setattr(subjects().p, "threads", v), COUNT),
    "save": (lambda v: subjects().p.save(v), {"word"}),
    # streams
    "stream": (lambda v: subjects().streams.inference.stream(v), COUNT),
    "step": (lambda v: stream().step(v), set()),
    "step z": (lambda v: stream().step(z=v), set()),
    "step out": (lambda v: stream().step(z=np.zeros((2, 3)), out=v), NONE),
    "step rows": (lambda v: stream().step(z=np.zeros((2, 3)), rows=v), NONE | ROWS),
    "process rows": (lambda v: stream().process(z=np.zeros((2, 1, 3)), rows=v), NONE | ROWS),
    "process out": (lambda v: stream().process(z=np.zeros((2, 1, 3)), out=v), NONE),
    "state bytes": (lambda v: stream().load_state_bytes(v), set()),
    "process z": (lambda v: stream().process(z=v), set()),
    "state": (lambda v: setattr(stream(), "state", v), set()),
    "reset": (lambda v: stream().reset(v), NONE | ROWS),
    # parameters
    "a parameter": (lambda v: subjects().p.parameters[v], set()),
    "its value": (lambda v: subjects().p.parameters.__setitem__("dense/bias", v), {"list"}),
    "its name": (lambda v: subjects().p.parameters.__setitem__(v, 1.0), set()),
    "edit": (edited, set()),
    "load parameters": (lambda v: subjects().p.parameters.load(v), set()),
    "load a value": (lambda v: subjects().p.parameters.load(subjects().values | {"dense/bias": v}), {"list"}),
    "rename": (lambda v: subjects().p.parameters.load(subjects().values, rename=v), NONE),
    "strict": (lambda v: subjects().p.parameters.load(subjects().values, strict=v), FLAGS),
    "save parameters": (lambda v: subjects().p.parameters.save(v), set()),
    "initialize parameters": (lambda v: subjects().p.parameters.initialize(v), {"negative", "zero"}),
    # trainers
    "trained program": (lambda v: rg.Trainer(v), set()),
    "optimizer": (lambda v: rg.Trainer(subjects().p, v), NONE),
    "clip_norm": (lambda v: trainer(clip_norm=v), NONE | {"float", "huge"}),
    "clip_value": (lambda v: trainer(clip_value=v), NONE | {"float", "huge"}),
    "only": (lambda v: trainer(only=v), NONE),
    "accumulate": (lambda v: trainer(accumulate=v), COUNT),
    "skip_non_finite": (lambda v: trainer(skip_non_finite=v), FLAGS),
    "train": (lambda v: trainer().step(v), set()),
    "train x": (lambda v: trainer().step(subjects().fed | {"x": v}), set()),
    "carry": (lambda v: trainer().step(subjects().fed, carry=v), FLAGS),
    "fetch": (lambda v: trainer().step(subjects().fed, fetch=v), NONE),
    "train seed": (lambda v: trainer().step(subjects().fed, seed=v), NONE | {"negative", "zero"}),
    "learning_rate": (rate, RATE),
    "a rate of a function": (lambda v: rate(lambda update: v), NUMBER),
    "save a trainer": (lambda v: trainer().save(v), {"word"}),
    "load a trainer": (lambda v: rg.Trainer.load(v, subjects().p), set()),
    "load for": (lambda v: rg.Trainer.load("missing", v), set()),
    # optimizers and schedules
    "sgd rate": (lambda v: rg.SGD(v), RATE),
    "sgd momentum": (lambda v: rg.SGD(0.1, momentum=v), {"zero"}),
    "nesterov": (lambda v: rg.SGD(0.1, 0.5, nesterov=v), FLAGS),
    "sgd weight_decay": (lambda v: rg.SGD(0.1, weight_decay=v), NUMBER),
    "rmsprop decay": (lambda v: rg.RMSProp(0.1, decay=v), {"zero"}),
    "rmsprop momentum": (lambda v: rg.RMSProp(0.1, momentum=v), {"zero"}),
    "rmsprop epsilon": (lambda v: rg.RMSProp(0.1, epsilon=v), POSITIVE),
    "centered": (lambda v: rg.RMSProp(0.1, centered=v), FLAGS),
    "initial_square": (lambda v: rg.RMSProp(0.1, initial_square=v), NUMBER),
    "epsilon_in_root": (lambda v: rg.RMSProp(0.1, epsilon_in_root=v), FLAGS),
    "rate_in_momentum": (lambda v: rg.RMSProp(0.1, rate_in_momentum=v), FLAGS),
    "initial_accumulator": (lambda v: rg.Adagrad(0.1, initial_accumulator=v), NUMBER),
    "adagrad epsilon": (lambda v: rg.Adagrad(0.1, epsilon=v), POSITIVE),
    "rate_decay": (lambda v: rg.Adagrad(0.1, rate_decay=v), NUMBER),
    "adam rate": (lambda v: rg.Adam(v), RATE),
    "beta1": (lambda v: rg.Adam(beta1=v), {"zero"}),
    "beta2": (lambda v: rg.Adam(beta2=v), {"zero"}),
    "adam epsilon": (lambda v: rg.Adam(epsilon=v), POSITIVE),
    "adamw weight_decay": (lambda v: rg.AdamW(weight_decay=v), NUMBER),
    "exponential initial": (lambda v: rg.ExponentialDecay(v, 10, 0.5), POSITIVE),
    "exponential steps": (lambda v: rg.ExponentialDecay(0.1, v, 0.5), POSITIVE),
    "exponential rate": (lambda v: rg.ExponentialDecay(0.1, 10, v), POSITIVE),
    "plateau initial": (lambda v: rg.ReduceOnPlateau(v), POSITIVE),
    "plateau factor": (lambda v: rg.ReduceOnPlateau(0.1, v), set()),
    "plateau patience": (lambda v: rg.ReduceOnPlateau(0.1, patience=v), COUNT),
    "plateau monitor": (lambda v: rg.ReduceOnPlateau(0.1, monitor=v), NONE | TEXTS),
    "plateau mode": (lambda v: rg.ReduceOnPlateau(0.1, mode=v), set()),
    "plateau min_delta": (lambda v: rg.ReduceOnPlateau(0.1, min_delta=v), NUMBER),
    "plateau cooldown": (lambda v: rg.ReduceOnPlateau(0.1, cooldown=v), {"zero"}),
    "plateau final": (lambda v: rg.ReduceOnPlateau(0.1, final=v), NUMBER),
    "staircase": (lambda v: rg.ExponentialDecay(0.1, 10, 0.5, staircase=v), FLAGS),
    "polynomial final": (lambda v: rg.PolynomialDecay(0.1, 10, v), NUMBER),
    "polynomial power": (lambda v: rg.PolynomialDecay(0.1, 10, 0.0, v), POSITIVE),
    "cosine steps": (lambda v: rg.CosineDecay(0.1, v), POSITIVE),
    "boundaries": (lambda v: rg.PiecewiseConstant(v, (0.1, 0.2, 0.3)), {"list"}),
    "a boundary": (lambda v: rg.PiecewiseConstant((v,), (0.1, 0.2)), NUMBER),
    "values": (lambda v: rg.PiecewiseConstant((1,), v), {"list"}),
    "warm-up steps": (lambda v: rg.WarmUp(v, 0.1), POSITIVE),
    "warm-up after": (lambda v: rg.WarmUp(10, v), RATE),
    # cells and wrappers
    "num_units": (lambda v: rg.GRUCell(v), COUNT),
    "num_proj": (lambda v: rg.LSTMCell(3, num_proj=v), NONE),
    # also allowed for a width
    "forget_bias": (lambda v: rg.BasicLSTMCell(3, forget_bias=v), NUMBER - {"huge"} | {"negative"}),
    "reset_after": (lambda v: rg.GRUCell(3, reset_after=v), FLAGS),
    "state_is_tuple": (lambda v: rg.LSTMCell(3, state_is_tuple=v), FLAGS),
    "variational": (lambda v: rg.DropoutWrapper(rg.GRUCell(3), input_keep_prob=0.5, variational_recurrent=v), FLAGS),
    "keepdims": (lambda v: rg.reduce_sum(subjects().shown, 1, keepdims=v), FLAGS),
    "exclusive": (lambda v: rg.cumsum(subjects().shown, 1, exclusive=v), FLAGS),
    # predict and evaluate
    "predict": (lambda v: subjects().p.predict(v), set()),
    "predict x": (lambda v: subjects().p.predict({"x": v}), {"nothing"}),
    "predict a pair": (lambda v: subjects().p.predict((v, v)), {"nothing"}),
    "predict a batch": (lambda v: subjects().p.predict(iter([subjects().given, v])), set()),
    "predict lengths": (lambda v: subjects().p.predict({"x": subjects().fed["x"]}, lengths=v), NONE),
    "predict batch_size": (lambda v: subjects().p.predict(subjects().given, batch_size=v), COUNT),
    "evaluate examples": (lambda v: trainer().evaluate(v), set()),
    "evaluate metrics": (lambda v: trainer().evaluate(subjects().fed, metrics=v), NONE),
    "evaluate lengths": (lambda v: trainer().evaluate(subjects().fed, lengths=v), NONE),
    "evaluate batch_size": (lambda v: trainer().evaluate(subjects().fed, batch_size=v), COUNT),
    # fit
    "class_weights": (lambda v: fit(class_weights=v), NONE),
    "steps_per_epoch": (lambda v: fit([subjects().fed], steps_per_epoch=v), NONE),
    "a batch": (lambda v: fit([subjects().fed, v]), set()),
    "validation pair": (lambda v: fit(validation=(v, v)), set()),
    "validation batch": (lambda v: fit(validation=[subjects().fed, v]), set()),
    "a callback": (lambda v: fit(callbacks=[v]), set()),
    "examples": (lambda v: trainer().fit(v), set()),
    "examples x": (lambda v: fit(subjects().fed | {"x": v}), set()),
    "examples n": (lambda v: fit(subjects().fed | {"n": v}), set()),
    "examples keep": (lambda v: fit(subjects().fed | {"keep": v}), FLAGS),
    "examples x in part": (lambda v: fit(subjects().fed | {"x": v}, validation=0.5), set()),
    "batch_size": (lambda v: fit(batch_size=v), COUNT),
    "epochs": (lambda v: fit(epochs=v), COUNT),
    "lengths": (lambda v: fit(lengths=v), NONE),
    "validation": (lambda v: fit(validation=v), NONE),
    "validation x": (lambda v: fit(validation=subjects().fed | {"x": v}), set()),
    "metrics": (lambda v: fit(metrics=v), NONE),
    "a metric's name": (lambda v: fit(metrics={v: lambda result, feeds: 1.0}), set()),
    "a metric's number": (
        lambda v: fit(metrics={"m": lambda result, feeds: v}),
        {"float", "nan", "infinity", "negative", "zero", "True", "list", "array"},
    ),
    "window": (lambda v: fit(window=v), NONE),
    "warm_up": (lambda v: fit(warm_up=v), {"zero"}),
    "shuffle": (lambda v: fit(shuffle=v), FLAGS),
    "bucket": (lambda v: fit(bucket=v), FLAGS),
    "patience": (lambda v: fit(patience=v), NONE),
    "monitor": (lambda v: fit(monitor=v), NONE),
    "mode": (lambda v: fit(mode=v), set()),
    "keep_best": (lambda v: fit(keep_best=v), NONE | FLAGS),
    "callbacks": (lambda v: fit(callbacks=v), {"nothing"}),
    "checkpoint": (lambda v: fit(checkpoint=v), NONE | {"word"}),
    "checkpoint_every": (lambda v: fit(checkpoint="every", checkpoint_every=v), NONE),
    "resume": (lambda v: fit(resume=v), FLAGS),
    "progress": (lambda v: fit(progress=v), FLAGS),
    # history
    "column": (lambda v: history()[v], set()),
    "best": (lambda v: history().best(v), set()),
    "row": (lambda v: history().row(v), {"negative"}),
    "best of": (lambda v: history().best("loss", v), set()),
    "plot": (lambda v: history().plot(v), NONE),
    "text": (lambda v: rg.History.from_text(v), set()),
}
UNHASHABLE = {
    "list",
    "none in a list",
    "ragged",
    "dict",
    "other keys",
    "set",
    "array",
    "words",
    "complex",
    "objects",
    "dates",
    "records",
}
LEFT_OUT = {
    # not hashable, or like other names
    "a metric's name": UNHASHABLE | {"word", "no text", "zero byte", "surrogate"},
    "a callback": {"type"},
}


LONG = {"a metric's number", "validation batch"}
"""Cases whose values each take a fit of their own."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.exhaustive) if name in LONG else name for name in CALLS]
)
def test_wrong_arguments(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "plot":
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    call, allowed = CALLS[name]
    raised: dict[str, BaseException] = {}
    for kind, value in VALUES.items():
        argument = (number for number in range(3)) if kind == "generator" else value
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(argument)
        except Exception as error:
            raised[kind] = error
    left_out = LEFT_OUT.get(name, set())
    assert VALUES.keys() - raised.keys() - left_out == allowed
    for kind, found in raised.items():
        if kind not in left_out:
            assert isinstance(found, rg.RnnGraphError), f"{name} = {kind} raises {found!r}"
            assert found.where is not None, kind
            assert found.where.file == __file__, kind
            assert str(found).startswith(f"{found.where}: "), kind


@pytest.mark.parametrize("share", [np.float32(0.4), np.float64(0.4), 0.4])
def test_a_share_is_a_number_of_any_kind(share: Any) -> None:
    assert "validation_loss" in fit(validation=share)


def test_resetting_no_rows_changes_nothing() -> None:
    running = stream()
    running.step(z=np.ones((2, 3)))
    before = running.state.copy()
    for rows in ((), [], np.zeros(0), np.zeros(2, bool)):
        running.reset(rows)
        np.testing.assert_array_equal(running.state, before)
    running.reset([True, False])
    assert not running.state[0].any()
    np.testing.assert_array_equal(running.state[1], before[1])
