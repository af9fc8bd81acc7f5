"""Declares layers without recurrence or windows: dense, embedding, masking, noise, and reshaping layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...declare.functions.basic import (
    cast,
    expand_dims,
    not_equal,
    one_hot,
    reduce_max,
    reduce_sum,
    reshape,
    transpose,
    where,
)
from ...declare.functions.layers import dense, embedding
from ...declare.functions.padding import pad
from ...declare.functions.randomness import by_graph, dropout, random_normal
from ...declare.functions.statistics import reduce_any
from ..layers import declare_affine
from ..operators.backend import ScriptBackend
from ..operators.dropouts import alpha_dropout, shared_dropout
from ..steps import Value
from .activations import activation, number
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable, dtype_of
from .operands import as_floats


def _dense(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x, units, has_bias = inputs.one, layer.config.count("units", maximum=1 << 24), layer.config.flag("use_bias", True)
    name, after = activation(b, layer)
    arrays = {"kernel": b.array(layer, "kernel", x.width, units)}
    if has_bias:
        arrays["bias"] = b.array(layer, "bias", units)
    if b.is_shared(layer):
        kernel = b.parameter(layer, "kernel", arrays["kernel"])
        y = declare_affine(b.script, x.value, kernel, b.parameter(layer, "bias", arrays["bias"]) if has_bias else None)
        return Signal(after(y if name is None else b.activated(y, name)))
    options: dict[str, object] = {} if name is None else {"activation": name}
    options |= {} if has_bias else {"use_bias": False}
    scope = b.scope(layer)
    b.script.own(scope, arrays)
    return Signal(after(b.script.call(dense, x.value, units, **options, name=scope)))


def _embedding(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x = inputs.one
    table = b.array(layer, "embeddings", layer.config.count("input_dim", maximum=1 << 28), None)
    ids = x.value if x.dtype.startswith("int") else b.script.call(cast, x.value, "int32")
    mask = b.script.call(not_equal, x.value, 0, hint="mask") if layer.config.flag("mask_zero", False) else None
    if b.is_shared(layer) or table.dtype != "float32":
        return Signal(b.script.call(embedding, ids, b.parameter(layer, "table", table)), mask)
    scope = b.scope(layer)
    b.script.own(scope, {"table": table})
    return Signal(b.script.call(embedding, ids, *table.shape, name=scope), mask)


def _category_encoding(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare ``CategoryEncoding``: one-hot rows, multi-hot rows, or counts of the ints in each row."""
    x, depth = inputs.one, layer.config.count("num_tokens", maximum=1 << 24)
    mode, ids = layer.config.text("output_mode", "multi_hot"), x.value
    if layer.config.get("sparse", False) or mode not in ("one_hot", "multi_hot", "count"):
        raise Unreadable(
            f"output_mode={mode!r} with sparse={layer.config.get('sparse', False)} is not supported; use one_hot, "
            "multi_hot or count with sparse=False"
        )
    if inputs.keywords.get("count_weights") is not None:
        raise Unreadable("count_weights is not supported")
    if x.rank < 2:
        raise Unreadable("an input of rank 1 is not supported; it must be [batch, n]")
    if not x.dtype.startswith("int"):
        ids = b.script.call(cast, ids, "int32")
    if mode == "one_hot":
        ids = b.script.item(ids, ..., 0) if x.shape[-1] == 1 else ids
        return Signal(b.script.call(one_hot, ids, depth))
    together = reduce_max if mode == "multi_hot" else reduce_sum
    return Signal(b.script.call(together, b.script.call(one_hot, ids, depth), axis=-2))


def _masking(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x, value = inputs.one, number(layer.config, "mask_value", 0.0)
    is_real = b.script.call(not_equal, x.value, int(value) if value == int(value) else value)
    mask = b.script.call(reduce_any, is_real, axis=-1, hint="mask")
    masked = b.script.call(where, b.script.call(expand_dims, mask, -1), x.value, 0)
    return Signal(masked, mask, x.value)


def _identity(_: Declaration, __: Layer, inputs: Inputs) -> Signal:
    return Signal(inputs.one.value)


# Noise --------------------------------------------------------------------------------------------


def _rate(layer: Layer) -> float:
    rate = number(layer.config, "rate", 0.0)
    if not 0 <= rate < 1:
        raise Unreadable(f"its rate is {rate}; it must be in [0, 1)")
    return rate


def keep_prob(rate: float) -> float:
    """Return the keep probability of a dropout rate."""
    return round(1 - rate, 12)


def _dropout(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x, rate = inputs.one, b.drops(_rate(layer))
    if not rate:
        return Signal(x.value)
    axes = _shared_axes(layer, x.rank)
    if axes is None:
        return Signal(b.script.call(dropout, x.value, keep_prob(rate)))
    return _shared_dropout(b, x.value, rate, axes)


def _shared_axes(layer: Layer, rank: int) -> list[int] | None:
    """Return the axes along which all entries share a dropout mask; None if the layer has no ``noise_shape``.

    The shared axes are those of size 1 in ``noise_shape``.
    """
    shape = layer.config.get("noise_shape", None)
    if shape is None:
        return None
    if not isinstance(shape, list) or len(shape) != rank:
        raise layer.config.error(f"noise_shape of {layer} must have {rank} entries, the rank of its input")
    return [axis for axis, size in enumerate(shape) if size == 1]


def _spatial_dropout(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare spatial dropout, with one mask for all steps or positions of a row."""
    x, rate = inputs.one, b.drops(_rate(layer))
    if layer.config.get("data_format", None) == "channels_first":
        raise Unreadable("data_format='channels_first' is not supported")
    return _shared_dropout(b, x.value, rate, range(1, x.rank - 1)) if rate else Signal(x.value)


def _alpha_dropout(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x, rate = inputs.one, b.drops(_rate(layer))
    if not rate:
        return Signal(x.value)
    axes = _shared_axes(layer, x.rank) or ()
    return Signal(alpha_dropout(ScriptBackend(b.script), x.value, keep_prob(rate), axes))


def _shared_dropout(b: Declaration, x: Value, rate: float, axes: Sequence[int]) -> Signal:
    """Declare dropout whose mask is shared by all entries along ``axes``."""
    return Signal(shared_dropout(ScriptBackend(b.script), x, keep_prob(rate), axes))


def _noise(b: Declaration, x: Value, noisy: Value) -> Signal:
    """Return a tensor that is ``noisy`` in the training graph, and x in the inference graph."""
    return Signal(b.script.call(by_graph, training=noisy, inference=x))


def _gaussian_noise(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x, deviation = inputs.one.value, b.drops(number(layer.config, "stddev", 0.0))
    if deviation <= 0:
        return Signal(x)
    drawn = b.script.call(random_normal, x, stddev=deviation)
    return _noise(b, x, b.script.operation("+", x, drawn))


def _gaussian_dropout(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x, rate = inputs.one.value, b.drops(_rate(layer))
    if not rate:
        return Signal(x)
    drawn = b.script.call(random_normal, x, mean=1.0, stddev=round(math.sqrt(rate / (1 - rate)), 12))
    return _noise(b, x, b.script.operation("*", x, drawn))


# Reshaping ----------------------------------------------------------------------------------------


def sizes(layer: Layer, key: str, count: int | None, minimum: int = 1, maximum: int = 1 << 24) -> list[int]:
    """Return an option as a list of ``count`` ints. A single int is repeated ``count`` times.

    Args:
        key: Name of the option.
        count: Length of the list; None for any length, and a single int once.
        minimum, maximum: Inclusive bounds of the ints.
    """
    value = layer.config.get(key)
    numbers = [value] * (count or 1) if isinstance(value, int) else value
    if not isinstance(numbers, list) or not all(
        isinstance(size, int) and not isinstance(size, bool) and minimum <= size <= maximum for size in numbers
    ):
        raise layer.config.error(f"{key} of {layer} is not a list of whole numbers of {minimum} to {maximum}")
    if count is not None and len(numbers) != count:
        raise layer.config.error(f"{key} of {layer} has {len(numbers)} entries; it must have {count}")
    return numbers


def _reshape(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    target = sizes(layer, "target_shape", None, minimum=-1)
    return Signal(b.script.call(reshape, inputs.one.value, (None, *target)))


def _flatten(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x = inputs.one
    if layer.config.get("data_format", "channels_last") == "channels_first" and x.rank > 2:
        raise Unreadable("data_format='channels_first' is not supported")
    if x.rank == 2:
        return Signal(x.value)
    return Signal(b.script.call(reshape, x.value, (None, -1 if x.rank > 1 else 1)))


def _permute(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x = inputs.one
    return Signal(b.script.call(transpose, x.value, (0, *sizes(layer, "dims", x.rank - 1))))


def _repeat_vector(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    wide = b.script.call(expand_dims, inputs.one.value, 1)
    (count,) = sizes(layer, "n", 1)
    return Signal(b.script.call(pad, wide, {1: (0, count - 1)}, mode="edge"))


def _rescaling(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x, width = as_floats(b, inputs.one.value), inputs.one.shape[-1]
    scale, offset = _rescaling_factor(b, layer, "scale", 1.0, width), _rescaling_factor(b, layer, "offset", 0.0, width)
    y = b.script.operation("*", x, scale)
    return Signal(b.script.operation("+", y, offset) if offset != 0.0 else y)


def _rescaling_factor(b: Declaration, layer: Layer, key: str, default: float, width: object) -> object:
    """Return the factor or summand of ``Rescaling``: a number, or a non-trainable parameter for a list of numbers."""
    factor = layer.config.get(key, default)
    if not isinstance(factor, list):
        return number(layer.config, key, default)
    if not all(isinstance(item, int | float) and not isinstance(item, bool) for item in factor):
        raise layer.config.error(f"{layer.config.at}.{key} has entries that are not numbers")
    if len(factor) not in (1, width):
        raise layer.config.error(f"{key} of {layer} has {len(factor)} numbers, but its input has {width} units")
    return b.parameter(layer, key, np.array(factor, np.float32), trainable=False)


def _input(_: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    raise layer.config.error(f"{layer} is called on a tensor; an input layer takes none")


LAYERS: Mapping[str, Handler] = {
    "Dense": _dense,
    "Embedding": _embedding,
    "CategoryEncoding": _category_encoding,
    "Masking": _masking,
    "Dropout": _dropout,
    "SpatialDropout1D": _spatial_dropout,
    "SpatialDropout2D": _spatial_dropout,
    "AlphaDropout": _alpha_dropout,
    "ActivityRegularization": _identity,
    "Identity": _identity,
    "GaussianNoise": _gaussian_noise,
    "GaussianDropout": _gaussian_dropout,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Permute": _permute,
    "RepeatVector": _repeat_vector,
    "Rescaling": _rescaling,
    "InputLayer": _input,
}


def input_shape(layer: Layer) -> tuple[list[object], str]:
    """Return (sizes after the batch axis, dtype) of an input layer. Raises ``Unreadable`` if unsupported."""
    config = layer.config
    shape = config.get("batch_shape", None) or config.get("batch_input_shape", None)
    kind = dtype_of(config.get("dtype", "float32"))
    if (
        not isinstance(shape, list)
        or not shape
        or not all(
            size is None or (isinstance(size, int) and not isinstance(size, bool) and size > 0) for size in shape[1:]
        )
    ):
        raise Unreadable(f"its shape is {shape!r}; it must be a list of positive whole numbers and None")
    if not kind:
        raise Unreadable(f"its dtype {config.get('dtype', None)!r} is not supported")
    if config.get("ragged", False) or config.get("sparse", False):
        raise Unreadable("ragged and sparse inputs are not supported")
    return shape[1:], kind
