"""Declares activations: by name if rnngraph has the function, otherwise as operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...declare.functions.activations import (
    ACTIVATIONS,
    elu,
    leaky_relu,
    relu,
    relu6,
    threshold,
)
from ...declare.functions.basic import minimum, where
from ..reading import Record
from ..steps import Value
from .core.configuration import Layer
from .core.declaration import Declaration, Inputs, Signal, Unreadable

_NAMES: Mapping[str, str] = {
    "linear": "",
    "silu": "swish",
    "exponential": "exp",
    "hard_silu": "hard_swish",
    **{
        name: name
        for name in (
            "tanh",
            "sigmoid",
            "relu",
            "relu6",
            "softmax",
            "log_softmax",
            "softplus",
            "softsign",
            "elu",
            "selu",
            "gelu",
            "swish",
            "leaky_relu",
            "hard_swish",
            "hard_tanh",
            "log_sigmoid",
            "mish",
            "celu",
            "hard_shrink",
            "soft_shrink",
            "tanh_shrink",
        )
    },
}
"""{Keras' name: rnngraph's name} of activations. ``hard_sigmoid`` is left out: it differs between versions of Keras."""


def name_of(version: int, name: str) -> str | None:
    """Return rnngraph's name of an activation; ``""`` for the identity, None if rnngraph has no such function."""
    if name == "hard_sigmoid":
        return "hard_sigmoid_keras3" if version >= 3 else "hard_sigmoid"
    return _NAMES.get(name)


def problem_of(version: int, layer: Layer) -> str | None:
    """Return the reason why a layer's activations are not supported; None if they are."""
    in_cell = layer.kind.removesuffix("Cell") in ("LSTM", "GRU", "SimpleRNN")
    for key in ("activation", "recurrent_activation"):
        option = layer.config.get(key, None)
        if isinstance(option, str) and name_of(version, option) is None:
            return f"its {key} {option!r} is not supported"
        if isinstance(option, Mapping) and (in_cell or option.get("class_name") not in LAYERS):
            return f"its {key} of class {option.get('class_name')!r} is not supported"
    return None


def cell_activation(b: Declaration, layer: Layer, key: str, default: str) -> str:
    """Return rnngraph's name of the activation in a cell's option ``key``, which is ``default`` if missing."""
    return name_of(b.version, layer.config.text(key, default)) or "linear"


def activation(b: Declaration, layer: Layer) -> tuple[str | None, Callable[[Value], Value]]:
    """Return (argument ``activation`` for a layer's call, function to apply to the layer's output).

    If rnngraph has the activation by name, that is the argument, and the function is the identity. For a layer such as
    ``LeakyReLU`` as activation, the argument is None, and the function declares the layer.
    """
    option = layer.config.get("activation", None)
    if isinstance(option, Mapping):
        record = layer.config.record("activation")
        inner = Layer(record.text("class_name"), layer.name, layer.path, record.record("config"))
        return None, lambda x: b.call(inner, Inputs((Signal(x),)))[0].value
    name = "" if option is None else name_of(b.version, layer.config.text("activation"))
    return name or None, lambda x: x


def _of(b: Declaration, sign: str, left: object, right: object) -> Value:
    return b.script.operation(sign, left, right)


# Layers -------------------------------------------------------------------------------------------


def _activation(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    name, after = activation(b, layer)
    x = inputs.one.value
    return Signal(after(x if name is None else b.activated(x, name)))


def number(record: Record, key: str, default: float) -> float:
    """Return a numeric option as a float; ``default`` if the option is None or missing."""
    value = record.get(key, default)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise record.error(f"{record.at}.{key} is not a number")
    return float(value)


def _relu(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare ReLU: min(x, max_value) above the threshold, slope * (x - threshold) below, and 0 at the threshold."""
    x = inputs.one.value
    limit = layer.config.get("max_value", None)
    slope, bound = number(layer.config, "negative_slope", 0.0), number(layer.config, "threshold", 0.0)
    if limit == 6 and not slope and not bound:
        return Signal(b.script.call(relu6, x))
    if bound and slope:
        below = _of(b, "*", _of(b, "-", x, bound), slope)
        y = b.script.call(where, b.script.operation("<=", x, bound), below, x)
    elif bound:
        y = b.script.call(threshold, x, bound)
    else:
        y = b.script.call(leaky_relu, x, alpha=slope) if slope else b.script.call(relu, x)
    return Signal(y if limit is None else b.script.call(minimum, number(layer.config, "max_value", 0.0), y))


def _leaky_relu(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    slope = number(layer.config, "negative_slope" if "negative_slope" in layer.config else "alpha", 0.3)
    return Signal(b.script.call(leaky_relu, inputs.one.value, alpha=slope))


def _thresholded_relu(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    return Signal(b.script.call(threshold, inputs.one.value, number(layer.config, "theta", 1.0), 0.0))


def _elu(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    alpha = number(layer.config, "alpha", 1.0)
    return Signal(b.script.call(elu, inputs.one.value, **({} if alpha == 1.0 else {"alpha": alpha})))


def _softmax(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x = inputs.one
    if x.mask is not None:
        raise Unreadable("a mask on its input is not supported")
    axis = layer.config.get("axis", -1)
    if not isinstance(axis, int):
        raise Unreadable(f"its axis {axis!r} is not supported; it must be one number")
    return Signal(b.script.call(ACTIVATIONS["softmax"], x.value, **({} if axis == -1 else {"axis": axis})))


def _prelu(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x = inputs.one
    array = b.array(layer, "alpha", *(None,) * (x.rank - 1))
    if any(have not in (1, want) for have, want in zip(array.shape, x.shape[1:], strict=True)):
        raise layer.config.error(
            f"alpha of {layer} has shape {list(array.shape)}, which does not broadcast to its input"
        )
    return Signal(b.script.call(leaky_relu, x.value, b.parameter(layer, "alpha", array)))


LAYERS: Mapping[str, Callable[[Declaration, Layer, Inputs], object]] = {
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ThresholdedReLU": _thresholded_relu,
    "ELU": _elu,
    "Softmax": _softmax,
    "PReLU": _prelu,
}
