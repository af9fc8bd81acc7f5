"""Handlers of activations."""

from __future__ import annotations

import inspect

import torch

from ....declare.functions import activations as ours
from ....declare.functions import basic
from ..tracing.kinds import Function, Operand, Result
from ..tracing.registry import Handler, UnreadableError, reads
from ..tracing.tracer import Tracer
from ..tracing.values import shape_of
from .elementwise import unary

reads("relu", "threshold_relu")(unary(ours.relu, torch.relu))
reads("relu6")(unary(ours.relu6, torch.nn.functional.relu6))
reads("selu")(unary(ours.selu, torch.selu))
reads("silu")(unary(ours.swish, torch.nn.functional.silu))
reads("softsign")(unary(ours.softsign, torch.nn.functional.softsign))
reads("hardsigmoid")(unary(ours.hard_sigmoid_keras3, torch.nn.functional.hardsigmoid))
reads("hardswish")(unary(ours.hard_swish, torch.nn.functional.hardswish))
reads("mish")(unary(ours.mish, torch.nn.functional.mish))
reads("tanhshrink")(unary(ours.tanh_shrink, torch.nn.functional.tanhshrink))
reads("logsigmoid", "log_sigmoid")(unary(ours.log_sigmoid, torch.nn.functional.logsigmoid))


_WITH_NUMBERS: dict[str, tuple[Function, dict[str, float]]] = {
    "leaky_relu": (ours.leaky_relu, {"negative_slope": 0.01}),
    "elu": (ours.elu, {"alpha": 1.0}),
    "celu": (ours.celu, {"alpha": 1.0}),
    "softshrink": (ours.soft_shrink, {"lambd": 0.5}),
    "hardshrink": (ours.hard_shrink, {"lambd": 0.5}),
}
"""Activations with parameters: torch's name: (function of ``rg``, {name of a parameter: torch's default})."""


def _with_number(function: Function, name: str, default_in_torch: float) -> Handler:
    """Return a function that translates an activation with a parameter ``name`` to a call of the ``rg`` function."""
    parameters = inspect.signature(function).parameters
    default = [parameter.default for parameter in parameters.values()][1]

    def read(tracer: Tracer, x: Operand, *args: float, **kwargs: float) -> Result:
        number = float(args[0] if args else kwargs.get(name, default_in_torch))
        return tracer.call(function, tracer.value(x), *([] if number == default else [number]))

    return read


for _name, (_function, _default) in _WITH_NUMBERS.items():
    reads(_name)(_with_number(_function, *next(iter(_default.items()))))


@reads("softplus")
def _softplus(tracer: Tracer, x: Operand, beta: float = 1.0, threshold: float = 20.0) -> Result:
    x = tracer.value(x)
    scaled = x if beta == 1 else tracer.script.operation("*", x, float(beta))
    y = tracer.call(ours.softplus, scaled)
    y = y if beta == 1 else tracer.script.operation("/", y, float(beta))
    if threshold > 16:  # Above 16, softplus(x) equals x in float32, so the threshold has no effect.
        return y
    return tracer.call(basic.where, tracer.script.operation(">", scaled, float(threshold)), x, y)


@reads("gelu")
def _gelu(tracer: Tracer, x: Operand, approximate: str = "none") -> Result:
    return tracer.call(ours.gelu, tracer.value(x), **({} if approximate == "none" else {"approximate": True}))


@reads("rrelu")
def _rrelu(tracer: Tracer, x: Operand, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Result:
    """Declare randomized leaky ReLU with the mean slope, as torch does without ``training``."""
    if training:
        raise UnreadableError("training=True draws random slopes; pass training=self.training")
    return tracer.call(ours.leaky_relu, tracer.value(x), (lower + upper) / 2)


@reads("threshold", "_threshold")
def _threshold(tracer: Tracer, x: Operand, threshold: float, value: float) -> Result:
    return tracer.call(ours.threshold, tracer.value(x), float(threshold), float(value))


@reads("glu")
def _glu(tracer: Tracer, x: Operand, dim: int = -1) -> Result:
    tracer.sizes.fix(shape_of(x)[dim])
    half, gate = tracer.call(basic.split, tracer.value(x), 2, dim, hint=("half", "gate"))
    return tracer.script.operation("*", half, tracer.call(basic.sigmoid, gate))


@reads("prelu")
def _prelu(tracer: Tracer, x: Operand, weight: torch.Tensor) -> Result:
    x, alpha = tracer.value(x), tracer.parameter(weight)
    rank = len(shape_of(x))
    if weight.numel() > 1 and rank > 2:
        alpha = tracer.call(basic.reshape, alpha, (-1, *(1,) * (rank - 2)))
    return tracer.call(ours.leaky_relu, x, alpha)
