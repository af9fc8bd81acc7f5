"""Learning-rate schedules as functions of the global step, and the global step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions.elementary.powers import power
from ...declare.functions.rounding import floor
from ...declare.tensor import Tensor, as_tensor, constant
from ...support.api_guard import api
from ...support.errors import ArgumentError
from ..core.graph import GraphKeys, graph_of, present_session
from ..core.tensors import gives_tensors
from ..core.variables import get_variable


@api
def create_global_step(graph: Any = None) -> Any:
    """Create the variable that counts updates, and return it. Raise ``ArgumentError`` if it exists."""
    if get_global_step(graph) is not None:
        raise ArgumentError("the graph already has a global step; use tf.train.get_or_create_global_step()")
    return get_or_create_global_step(graph)


@api
def get_or_create_global_step(graph: Any = None) -> Any:
    """Return the variable that counts updates, creating it if needed."""
    existing = get_global_step(graph)
    if existing is not None:
        return existing
    graph = graph_of(graph)
    with graph.as_default():
        variable = get_variable("global_step", [], "int64", 0, trainable=False)
    graph.collections[GraphKeys.GLOBAL_STEP].append(variable)
    return variable


@api
def get_global_step(graph: Any = None) -> Any:
    """Return the variable that counts updates; None if it does not exist."""
    graph = graph_of(graph)
    listed = graph.collections[GraphKeys.GLOBAL_STEP]
    return listed[0] if listed else graph.by_name.get("global_step")


@api
def global_step(sess: Any, global_step_tensor: Any) -> int:
    """Return the value of the global step in a session."""
    return int(present_session(sess).run(global_step_tensor))


def _rate(value: Any) -> Tensor:
    """Return a learning rate as a Tensor."""
    return value if isinstance(value, Tensor) else constant(value, "float32")


def _in_dtype_of(value: Any, rate: Tensor) -> Tensor:
    """Return a value as a Tensor of the dtype of ``rate``."""
    return functions.cast(value, rate.dtype) if isinstance(value, Tensor) else constant(value, rate.dtype)


def _power(base: Any, exponent: Tensor) -> Tensor:
    """Return base ** exponent in the exponent's dtype, for a base of 0 or more. 0 ** 0 is 1."""
    wide = functions.cast(exponent, "float64") * functions.log(functions.cast(_in_dtype_of(base, exponent), "float64"))
    if isinstance(base, Tensor) or base == 0:
        wide = functions.where(functions.equal(exponent, 0.0), 0.0, wide)
    return functions.cast(functions.exp(wide), exponent.dtype)  # float64, to be as accurate as TensorFlow's function


def _in_float64(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``function(x)``, computed in float64 and rounded to the dtype of x, so that rates are accurate."""
    return functions.cast(function(functions.cast(x, "float64")), x.dtype)


def _rate_and_progress(learning_rate: Any, step: Any, decay_steps: Any, staircase: bool) -> tuple[Tensor, Tensor]:
    """Return (learning rate, step / decay_steps, rounded down if ``staircase``) as Tensors."""
    if step is None:
        raise ArgumentError("a decayed learning rate needs a global_step; pass tf.train.get_or_create_global_step()")
    rate = _rate(learning_rate)
    progress = _in_dtype_of(as_tensor(step), rate) / _in_dtype_of(decay_steps, rate)
    return rate, floor(progress) if staircase else progress


@gives_tensors
def exponential_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: Any,
    staircase: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return learning_rate · decay_rate ^ (step / decay_steps); ``staircase`` rounds the exponent down."""
    rate, progress = _rate_and_progress(learning_rate, global_step, decay_steps, staircase)
    return rate * _power(decay_rate, progress)


@gives_tensors
def natural_exp_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: Any,
    staircase: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return learning_rate · exp(−decay_rate · step / decay_steps); ``staircase`` rounds the quotient down."""
    rate, progress = _rate_and_progress(learning_rate, global_step, decay_steps, staircase)
    return rate * _in_float64(functions.exp, -progress * _in_dtype_of(decay_rate, rate))


@gives_tensors
def inverse_time_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    decay_rate: Any,
    staircase: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return learning_rate / (1 + decay_rate · step / decay_steps); ``staircase`` rounds the quotient down."""
    rate, progress = _rate_and_progress(learning_rate, global_step, decay_steps, staircase)
    return rate / (1.0 + progress * _in_dtype_of(decay_rate, rate))


@gives_tensors
def polynomial_decay(
    learning_rate: Any,
    global_step: Any,
    decay_steps: Any,
    end_learning_rate: float = 0.0001,
    power: float = 1.0,
    cycle: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return a rate that falls from learning_rate to end_learning_rate as (1 − step / decay_steps) ^ power.

    From step ``decay_steps`` on, the rate is ``end_learning_rate``.
    """
    if cycle:
        raise ArgumentError("tf.train.polynomial_decay: cycle=True is not offered; leave it out")
    rate, progress = _rate_and_progress(learning_rate, global_step, decay_steps, staircase=False)
    remaining = 1.0 - functions.minimum(progress, 1.0)
    end = _in_dtype_of(end_learning_rate, rate)
    return (rate - end) * _power_or_itself(remaining, power) + end


def _power_or_itself(x: Tensor, exponent: float) -> Tensor:
    """Return x ** exponent; x itself for an exponent of 1."""
    return x if exponent == 1 else power(x, exponent)


@gives_tensors
def cosine_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, alpha: float = 0.0, name: str | None = None
) -> Tensor:
    """Return learning_rate · ((1 − alpha) · (1 + cos(π · step / decay_steps)) / 2 + alpha).

    From step ``decay_steps`` on, the rate is learning_rate · alpha.
    """
    rate, progress = _rate_and_progress(learning_rate, global_step, decay_steps, staircase=False)
    wave = (1.0 + _in_float64(functions.cos, functions.minimum(progress, 1.0) * math.pi)) * 0.5
    return rate * (wave * (1.0 - alpha) + alpha)


@gives_tensors
def piecewise_constant(x: Any, boundaries: Sequence[Any], values: Sequence[Any], name: str | None = None) -> Tensor:
    """Return values[i] for boundaries[i - 1] < x <= boundaries[i]; the first and last interval are unbounded."""
    if len(values) != len(boundaries) + 1:
        raise ArgumentError(f"{len(boundaries)} boundaries need {len(boundaries) + 1} values, not {len(values)}")
    rate = _rate(values[-1])
    for boundary, value in reversed(list(zip(boundaries, values, strict=False))):
        limit = np.asarray(boundary, as_tensor(x).dtype)
        rate = functions.where(as_tensor(x) <= constant(limit), _rate(value), rate)
    return rate
