"""Reads ops that subtract means and divide by deviations."""

from __future__ import annotations

from collections.abc import Sequence

from ....declare.functions import basic
from ....declare.functions.arrays.moves import repeat
from ....declare.functions.normalization import group_norm, layer_norm, rms_norm, standardize
from ....declare.functions.norms import vector_norm
from ...layers import declare_batch_normalization
from ...steps import Value
from ..core.known import Known, Operand, number_like, shape_of
from ..core.sizes import UnreadableError, axis_of
from ..core.table import Call, Outputs, reads
from ..core.values import shortest
from .elementwise import combined


@reads("BatchNormalization")
def _batch_normalization(call: Call) -> Outputs:
    epsilon, tensors = shortest(call.number("epsilon", 1e-5)), call.tensors
    if call.whole("training_mode", 0) or not call.whole("spatial", 1):
        raise UnreadableError("it normalizes by the batch, or over other axes")
    x, weights = call.value(0), [call.input(number) for number in range(1, 5)]
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    rank = call.rank()
    if rank < 2:
        raise UnreadableError(f"it normalizes an array of rank {rank}, which is not supported")
    if not all(isinstance(array, Value) or (isinstance(array, Known) and not array.is_symbolic) for array in weights):
        return [_by_arithmetic(call, x, weights, epsilon)]
    if any(not isinstance(array, Known) or array.array.ndim != 1 for array in weights):
        gamma, beta, mean, variance = (tensors.value(item) for item in weights)
        return call.script.call(standardize, x, mean, variance, gamma, beta, axis=1, epsilon=epsilon)
    transposed = tensors.transpose_source(x)
    source, order = transposed if transposed is not None else (x, tuple(range(rank)))
    scope = call.script.scope("batch_normalization")
    size = source.tensor.type.shape[order[1]]
    arrays = {name: array.array for name, array in zip(names, weights, strict=True) if isinstance(array, Known)}
    if any(array.shape != (size,) for array in arrays.values()):
        raise UnreadableError(f"its arrays must have {size} entries, one for each channel")
    result = declare_batch_normalization(call.script, source, arrays, scope, order[1], epsilon)
    return [tensors.transposed(result, order)]


def _by_arithmetic(call: Call, x: Operand, weights: Sequence[Operand], epsilon: float) -> Operand:
    """Normalize by arrays of one repeated number, of a size that only a call knows.

    A script cannot name that size. tf2onnx writes layer normalization so, with as many channels as there are rows and
    steps.
    """
    rank, tensors = call.rank(), call.tensors
    gamma, beta, mean, variance = (tensors.reshape(item, [*shape_of(item), *(1,) * (rank - 2)]) for item in weights)
    small = number_like(epsilon, variance)
    deviation = call.script.call(basic.sqrt, tensors.value(combined(call, "Add", variance, small)))
    scaled = combined(call, "Div", combined(call, "Sub", x, mean), deviation)
    return combined(call, "Add", combined(call, "Mul", scaled, gamma), beta)


@reads("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization")
def _layer_normalization(call: Call) -> Outputs:
    epsilon, rank = shortest(call.number("epsilon", 1e-5)), call.rank()
    axis = call.axis(-1, rank)
    scale, shift = call.input(1), call.maybe(2)
    if axis == rank - 1 and call.op == "LayerNormalization":
        size = call.shape()[axis]
        arrays = [
            None if item is None else call.tensors.value(_as_vector(call, item, size), base)
            for item, base in ((scale, "gamma"), (shift, "beta"))
        ]
        options = {} if arrays[1] is None else {"beta": arrays[1]}
        result = call.script.call(layer_norm, call.value(0), arrays[0], **options, epsilon=epsilon)
        return [result, *_mean_and_deviation(call, [axis], epsilon)]
    axes = list(range(axis, rank))
    is_centred = call.op == "LayerNormalization"
    normalized = _normalized(call, call.value(0), axes, epsilon, scale, shift, is_centred)
    return [normalized, *(_mean_and_deviation(call, axes, epsilon) if is_centred else [])]


def _mean_and_deviation(call: Call, axes: Sequence[int], epsilon: float) -> list[Value]:
    """Return the mean and the inverse deviation, if the node has them as outputs."""
    if not any(call.node.outputs[1:]):
        return []
    script, x = call.script, call.value(0)
    axis = axes[0] if len(axes) == 1 else tuple(axes)
    mean = script.call(basic.reduce_mean, x, axis=axis, keepdims=True)
    centred = script.operation("-", x, mean)
    spread = script.call(basic.reduce_mean, script.call(basic.square, centred), axis=axis, keepdims=True)
    return [mean, script.operation("/", 1.0, script.call(basic.sqrt, script.operation("+", spread, epsilon)))]


def _as_vector(call: Call, x: Operand, size: object) -> Operand:
    return call.tensors.reshape(x, [-1]) if shape_of(x) != (size,) and isinstance(size, int) else x


def _normalized(
    call: Call,
    x: Value,
    axes: Sequence[int],
    epsilon: float,
    scale: Operand | None,
    shift: Operand | None,
    is_centred: bool = True,
) -> Operand:
    """Return x with mean 0 and deviation 1 over axes, scaled and shifted."""
    axis = axes[0] if len(axes) == 1 else tuple(axes)
    arrays = {"gamma": scale, **({"beta": shift} if is_centred else {})}
    options = {name: call.tensors.value(item, name) for name, item in arrays.items() if item is not None}
    result = call.script.call(layer_norm if is_centred else rms_norm, x, **options, axis=axis, epsilon=epsilon)
    return result if is_centred or shift is None else combined(call, "Add", result, shift)


@reads("InstanceNormalization")
def _instance_normalization(call: Call) -> Outputs:
    rank, tensors = call.rank(), call.tensors
    if rank < 3:
        raise UnreadableError(f"it normalizes an array of rank {rank}, which is not supported")
    scale, shift = (tensors.reshape(call.input(number), [*call.shape(number), *(1,) * (rank - 2)]) for number in (1, 2))
    return _normalized(call, call.value(0), list(range(2, rank)), shortest(call.number("epsilon", 1e-5)), scale, shift)


@reads("GroupNormalization")
def _group_normalization(call: Call) -> Outputs:
    own, count, tensors, rank = call.shape(), call.whole("num_groups", 1), call.tensors, call.rank()
    channels = own[1] if rank > 2 else None
    if not isinstance(channels, int) or count < 1 or channels % count:
        raise UnreadableError(f"{channels} channels are not divisible into {count} groups")
    epsilon, weights = shortest(call.number("epsilon", 1e-5)), [call.input(number) for number in (1, 2)]
    if shape_of(weights[0]) == (count,) != (channels,):  # one number a group, as up to opset 20
        weights = [call.script.call(repeat, tensors.value(item), channels // count, 0) for item in weights]
    gamma, beta = (tensors.value(item) for item in weights)
    return call.script.call(group_norm, call.value(0), count, gamma, beta, axis=1, epsilon=epsilon)


@reads("MeanVarianceNormalization")
def _mean_variance(call: Call) -> Outputs:
    axes = tuple(sorted(axis_of(axis, call.rank()) for axis in call.entries("axes", [0, 2, 3]) or []))
    script, x = call.script, call.value(0)
    centred = script.operation("-", x, script.call(basic.reduce_mean, x, axis=axes, keepdims=True))
    spread = script.call(basic.reduce_mean, script.call(basic.square, centred), axis=axes, keepdims=True)
    return script.operation("/", centred, script.operation("+", script.call(basic.sqrt, spread), 1e-9))


@reads("LpNormalization")
def _lp_normalization(call: Call) -> Outputs:
    axis, script, x = call.axis(-1, call.rank()), call.script, call.value(0)
    options = {"ord": 1} if call.whole("p", 2) == 1 else {}
    total = script.call(vector_norm, x, **options, axis=axis, keepdims=True)
    return script.call(basic.where, script.call(basic.equal, total, 0), 0, script.operation("/", x, total))
