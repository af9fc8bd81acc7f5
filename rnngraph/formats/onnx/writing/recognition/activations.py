"""Patterns of ONNX's activations of recurrent nodes.

rnngraph's own functions declare the patterns, so that the expressions of cells match them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from .....declare.functions import activations as functions
from .....declare.functions.basic import clip, maximum, minimum, sigmoid, tanh, where
from .....ir.graph import Node
from .layer import Activation
from .patterns import Pattern, matches, numbers, pattern_of

IDENTITY = Activation("Affine", 1.0, 0.0)


@cache
def _patterns() -> tuple[tuple[str, Pattern], ...]:
    """Return (name of an activation, its pattern) pairs, more specific patterns first."""
    forms = (
        ("Tanh", lambda x, alpha, beta: tanh(x)),
        ("Sigmoid", lambda x, alpha, beta: sigmoid(x)),
        ("Relu", lambda x, alpha, beta: functions.relu(x)),
        ("HardSigmoid", lambda x, alpha, beta: clip(x * alpha + beta, 0, 1)),
        ("HardSigmoid", lambda x, alpha, beta: minimum(maximum(x * alpha + beta, 0), 1)),
        ("LeakyRelu", lambda x, alpha, beta: functions.leaky_relu(x, alpha)),
        ("Softsign", lambda x, alpha, beta: functions.softsign(x)),
        ("Softplus", lambda x, alpha, beta: functions.softplus(x)),
        ("Elu", lambda x, alpha, beta: functions.elu(x)),
        ("Elu", lambda x, alpha, beta: functions.elu(x, alpha)),
        ("ThresholdedRelu", lambda x, alpha, beta: where(x > alpha, x, 0)),
        ("ScaledTanh", lambda x, alpha, beta: tanh(x * beta) * alpha),
        ("ScaledTanh", lambda x, alpha, beta: tanh(x) * alpha),
        ("Affine", lambda x, alpha, beta: x * alpha + beta),
    )
    return tuple((name, pattern_of(function)) for name, function in forms)


_TAKES = {
    "HardSigmoid": ("alpha", "beta"),
    "ScaledTanh": ("alpha", "beta"),
    "Affine": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
}


def unwrapped(node: Node) -> Iterator[tuple[Activation, Node]]:
    """Yield (activation, its operand) for each activation whose result is ``node``; last, the identity of ``node``."""
    for name, pattern in _patterns():
        for match in matches(pattern, node, {}):
            parameters = numbers(match)
            values = {key: parameters.get(key, 1.0) for key in _TAKES.get(name, ())}
            yield Activation(name, values.get("alpha"), values.get("beta")), match["x"]
    yield IDENTITY, node
