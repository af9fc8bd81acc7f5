"""What torch's activations mean."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from ....declare.functions import activations as ours
from ....declare.functions import basic
from ..tracing.kinds import Function, Operand, Result
from ..tracing.registry import meaning
from ..tracing.tracer import Tracer
from ..tracing.values import shape_of
from .elementwise import unary

meaning("relu", "threshold_relu")(unary(ours.relu, torch.relu))
meaning("relu6")(unary(ours.relu6, torch.nn.functional.relu6))
meaning("selu")(unary(ours.selu, torch.selu))
meaning("silu")(unary(ours.swish, torch.nn.functional.silu))
meaning("softsign")(unary(ours.softsign, torch.nn.functional.softsign))
meaning("hardsigmoid")(unary(ours.hard_sigmoid_keras3, torch.nn.functional.hardsigmoid))
meaning("hardswish")(unary(ours.hard_swish, torch.nn.functional.hardswish))
meaning("mish")(unary(ours.mish, torch.nn.functional.mish))
meaning("tanhshrink")(unary(ours.tanh_shrink, torch.nn.functional.tanhshrink))
meaning("logsigmoid", "log_sigmoid")(unary(ours.log_sigmoid, torch.nn.functional.logsigmoid))


_WITH_NUMBERS: dict[str, tuple[Function, dict[str, float]]] = {
    "leaky_relu": (ours.leaky_relu, {"negative_slope": 0.01}),
    "elu": (ours.elu, {"alpha": 1.0}),
    "celu": (ours.celu, {"alpha": 1.0}),
    "softshrink": (ours.soft_shrink, {"lambd": 0.5}),
    "hardshrink": (ours.hard_shrink, {"lambd": 0.5}),
}
"""Activations with a number, and torch's default of it."""


def _with_number(function: Function, name: str, usual: float) -> Function:
    own = inspect.signature(function).parameters
    default = [parameter.default for parameter in own.values()][1]

    def mean(tracer: Tracer, x: Operand, *given: Any, **named: Any) -> Result:
        number = float(given[0] if given else named.get(name, usual))
        return tracer.call(function, tracer.value(x), *([] if number == default else [number]))

    return mean


for _name, (_function, _usual) in _WITH_NUMBERS.items():
    meaning(_name)(_with_number(_function, *next(iter(_usual.items()))))


@meaning("softplus")
def _softplus(tracer: Tracer, x: Operand, beta: float = 1.0, threshold: float = 20.0) -> Result:
    x = tracer.value(x)
    scaled = x if beta == 1 else tracer.script.operation("*", x, float(beta))
    found = tracer.call(ours.softplus, scaled)
    found = found if beta == 1 else tracer.script.operation("/", found, float(beta))
    if threshold > 16:  # from which on both are the same number
        return found
    return tracer.call(basic.where, tracer.script.operation(">", scaled, float(threshold)), x, found)


@meaning("gelu")
def _gelu(tracer: Tracer, x: Operand, approximate: str = "none") -> Result:
    return tracer.call(ours.gelu, tracer.value(x), **({} if approximate == "none" else {"approximate": True}))


@meaning("rrelu")
def _rrelu(tracer: Tracer, x: Operand, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Result:
    """A net that predicts takes the middle of the slopes."""
    return tracer.call(ours.leaky_relu, tracer.value(x), (lower + upper) / 2)


@meaning("threshold", "_threshold")
def _threshold(tracer: Tracer, x: Operand, threshold: float, value: float) -> Result:
    return tracer.call(ours.threshold, tracer.value(x), float(threshold), float(value))


@meaning("glu")
def _glu(tracer: Tracer, x: Operand, dim: int = -1) -> Result:
    tracer.sizes.fix(shape_of(x)[dim])
    half, gate = tracer.call(basic.split, tracer.value(x), 2, dim, hint=("half", "gate"))
    return tracer.script.operation("*", half, tracer.call(basic.sigmoid, gate))


@meaning("prelu")
def _prelu(tracer: Tracer, x: Operand, weight: torch.Tensor) -> Result:
    x, alpha = tracer.value(x), tracer.parameter(weight)
    rank = len(shape_of(x))
    if weight.numel() > 1 and rank > 2:
        alpha = tracer.call(basic.reshape, alpha, (-1, *(1,) * (rank - 2)))
    return tracer.call(ours.leaky_relu, x, alpha)
