"""User-defined functions and methods with a wrong number of parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1

FEEDS = {"x": np.ones((4, 3), np.float32), "y": np.zeros(4, np.int64)}


def sequence() -> rg.Tensor:
    return rg.placeholder("x", (None, None, 3))


def first() -> rg.Tensor:
    return rg.placeholder("first", (None, 3))


@functools.cache
def trainer() -> rg.Trainer:
    x, y = rg.placeholder("x", (None, 3)), rg.placeholder("y", (None,), "int64")
    logits = rg.dense(x, 2)
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits)
    return rg.Trainer(rg.compile({"logits": logits}, loss=loss), rg.SGD(0.1))


def driven(**methods: Callable[..., Any]) -> Any:
    """Declare a driver around a cell with given methods."""
    plain = {"state": lambda self: {"h": 3}, "step": lambda self, p, x, state: (x, {"h": x})}
    return rg.dynamic_rnn(type("Own", (rg.Cell,), plain | methods)(), sequence())


def wrapped(**methods: Callable[..., Any]) -> Any:
    return rg.dynamic_rnn(type("Around", (rg.Wrapper,), methods)(rg.GRUCell(3)), sequence())


def optimizer(**methods: Callable[..., Any]) -> rg.Trainer:
    return rg.Trainer(trainer().program, type("Own", (rg.SGD,), methods)(0.1))


def attends(**methods: Callable[..., Any]) -> Any:
    attention = type("Own", (rg.LuongAttention,), methods)(3, rg.placeholder("memory", (None, 5, 3)))
    return rg.dynamic_rnn(rg.AttentionWrapper(rg.GRUCell(3), attention), sequence())


MISTAKES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "rate": (lambda: rg.Adam(lambda: 1), "the learning rate is called with (update)", "takes ()"),
    "rate of two": (lambda: rg.SGD(lambda a, b: 1), "called with (update)", "takes (a, b); declare it with (update)"),
    "rate by keyword": (lambda: rg.SGD(lambda update, *, b: 1), "called with (update)", "takes (update, *, b)"),
    "rate in part": (lambda: rg.SGD(functools.partial(max, key=3)), "called with (update)", "not iterable"),
    "rate of a built-in": (lambda: rg.SGD(min), "called with (update)", "not iterable"),
    "schedule": (lambda: rg.SGD(type("Own", (rg.Schedule,), {"__call__": lambda self: 1})()), "(update)", "takes ()"),
    "warm-up": (lambda: rg.WarmUp(3, lambda: 1), "the learning rate is called with (update)", "takes ()"),
    "rate that is set": (lambda: setattr(trainer(), "learning_rate", lambda: 3), "called with (update)", "takes ()"),
    "metric": (
        lambda: trainer().fit(FEEDS, metrics={"own": lambda result: 1}),
        "metric 'own' is called with (result, feeds)",
        "takes (result)",
    ),
    "metric of a built-in": (lambda: trainer().evaluate(FEEDS, metrics={"own": max}), "(result, feeds)", "max"),
    "callback": (lambda: trainer().fit(FEEDS, callbacks=[lambda row: 1]), "called with (trainer, row)", "takes (row)"),
    "rename": (
        lambda: trainer().program.parameters.load({"a": 1}, rename=lambda: "b"),
        "rename is called with (name)",
        "takes ()",
    ),
    "activation": (lambda: rg.dense(first(), 3, activation=lambda: 1), "an activation is called with (x)", "takes ()"),
    "activation of a cell": (lambda: rg.GRUCell(3, activation=lambda a, b: a), "called with (x)", "takes (a, b)"),
    "initializer": (
        lambda: rg.parameter("w", (3,), initializer=lambda shape: 1),
        "called with (shape, generator)",
        "takes (shape)",
    ),
    "step": (lambda: driven(step=lambda self, p, x: x), "Own.step is called with (p, x, state)", "takes (p, x)"),
    "state": (lambda: driven(state=lambda self, n: 3), "Own.state is called with ()", "takes (n)"),
    "initial_state": (lambda: driven(initial_state=lambda self: None), "initial_state is called with (p)", "takes ()"),
    "state of a wrapper": (lambda: wrapped(state=lambda self, n: 3), "state is called with ()", "takes (n)"),
    "nested_step": (
        lambda: wrapped(nested_step=lambda self, x: None),
        "nested_step is called with (p, x, state)",
        "takes (x)",
    ),
    "map": (
        lambda: wrapped(step=lambda self, p, x, state: p.map(lambda t: t).cell(None, self.cell)(x, state)),
        "the function of p.map is called with (name, tensor)",
        "takes (t)",
    ),
    "update": (
        lambda: optimizer(update=lambda self, p, g: p),
        "called with (parameter, gradient, slots, numbers)",
        "takes (p, g)",
    ),
    "numbers": (lambda: optimizer(numbers=lambda self: {}), "Own.numbers is called with (update)", "takes ()"),
    "slots": (lambda: optimizer(slots=lambda self, n: {}), "Own.slots is called with ()", "takes (n)"),
    "score": (lambda: attends(score=lambda self, p: p), "Own.score is called with (p, query)", "takes (p)"),
    "next_input": (
        lambda: rg.dynamic_decode(rg.GRUCell(3), first(), lambda output: output, 3),
        "next_input is called with (output, x_t)",
        "takes (output)",
    ),
    "stop": (
        lambda: rg.dynamic_decode(rg.GRUCell(3), first(), lambda output, _: output, 3, stop=lambda: True),
        "stop is called with (output)",
        "takes ()",
    ),
    "residual_fn": (
        lambda: tf1.nn.rnn_cell.ResidualWrapper(rg.GRUCell(3), lambda a: a),
        "called with (input, output)",
        "takes (a)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_another_number_of_arguments(name: str) -> None:
    call, counted, takes = MISTAKES[name]
    with pytest.raises(rg.RnnGraphError) as caught:
        call()
    assert isinstance(caught.value, TypeError)
    assert counted in caught.value.what
    assert takes in caught.value.what
    assert caught.value.where is not None
    assert caught.value.where.file == __file__


def test_errors_of_a_users_function_are_passed_on() -> None:
    def rate(update: int) -> float:
        raise TypeError("own")

    def step(self: rg.Cell, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
        raise TypeError("own")

    for call in (lambda: rg.SGD(rate), lambda: driven(step=step)):
        with pytest.raises(TypeError, match=r"^own$"):
            call()


def test_functions_of_any_kind_that_take_the_arguments() -> None:
    """Functions with defaults or ``*arguments``, classes, bound methods and unsigned built-ins are accepted."""
    rates: list[Any] = [lambda update, scale=2: 0.5, lambda *_: 0.5, dict.fromkeys([0], 0.5).__getitem__, {0: 0.5}.get]
    for rate in rates:
        assert rg.SGD(rate).numbers(0)["rate"] == rate(0)
    relu = rg.relu
    assert rg.GRUCell(3, activation=relu).activation is relu
