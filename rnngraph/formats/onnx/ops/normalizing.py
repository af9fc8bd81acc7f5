"""Reads normalizations."""

from __future__ import annotations

from collections.abc import Sequence

from ....declare.functions import basic
from ....declare.functions.arrays.moves import repeat
from ....declare.functions.elementary.powers import rsqrt
from ....declare.functions.normalization import group_norm, layer_norm, rms_norm, standardize
from ....declare.functions.norms import vector_norm
from ....declare.functions.statistics import reduce_std, reduce_var
from ...layers import declare_batch_normalization
from ...operators.backend import ScriptBackend
from ...operators.elementwise import div_no_nan
from ...steps import Value
from ..core.known import Expanded, Known, Operand, shape_of
from ..core.sizes import UnreadableError, axis_of, texts
from ..core.table import Call, Outputs, reads
from ..core.values import shortest
from .elementwise import combined


@reads("BatchNormalization")
def _batch_normalization(call: Call) -> Outputs:
    epsilon, tensors = shortest(call.number("epsilon", 1e-5)), call.tensors
    if call.whole("training_mode", 0) or not call.whole("spatial", 1):
        raise UnreadableError("training_mode=1 and spatial=0 are not supported; export the model for inference")
    x, weights = call.value(0), [call.input(number) for number in range(1, 5)]
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    rank = call.rank()
    if rank < 2:
        raise UnreadableError(f"it normalizes an array of rank {rank}; it must have rank 2 or more")
    if any(not isinstance(array, Known) or array.is_symbolic or array.array.ndim != 1 for array in weights):
        gamma, beta, mean, variance = (tensors.value(_unrepeated(call, item)) for item in weights)
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


def _unrepeated(call: Call, x: Operand) -> Operand:
    """Return an array [1] in place of one number that is repeated along axes; other operands as they are.

    tf2onnx writes layer normalization as a batch normalization with one channel for each row and step.
    """
    is_repeated = isinstance(x, Expanded) and set(shape_of(x.source)) <= {1}
    return call.tensors.reshape(x.source, [1]) if is_repeated and isinstance(x, Expanded) else x


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
    """Return [mean, 1 / standard deviation] if the node outputs one of them; else []."""
    if not any(call.node.outputs[1:]):
        return []
    script, x = call.script, call.value(0)
    axis = axes[0] if len(axes) == 1 else tuple(axes)
    mean = script.call(basic.reduce_mean, x, axis=axis, keepdims=True)
    variance = script.call(reduce_var, x, axis=axis, keepdims=True)
    return [mean, script.call(rsqrt, script.operation("+", variance, epsilon))]


def _as_vector(call: Call, x: Operand, size: object) -> Operand:
    """Reshape x to a vector, unless x is one of this size or the size is symbolic."""
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
    """Return x normalized to mean 0 and deviation 1 over axes, then scaled and shifted.

    If ``is_centred`` is False, x is divided by its root mean square instead.
    """
    axis = axes[0] if len(axes) == 1 else tuple(axes)
    arrays = {"gamma": scale, **({"beta": shift} if is_centred else {})}
    options = {name: call.tensors.value(item, name) for name, item in arrays.items() if item is not None}
    result = call.script.call(layer_norm if is_centred else rms_norm, x, **options, axis=axis, epsilon=epsilon)
    return result if is_centred or shift is None else combined(call, "Add", result, shift)


@reads("InstanceNormalization")
def _instance_normalization(call: Call) -> Outputs:
    if call.rank() < 3:
        raise UnreadableError(f"it normalizes an array of rank {call.rank()}; it must have rank 3 or more")
    return _groups_normalized(call, _channels(call), [call.input(1), call.input(2)])


def _channels(call: Call) -> int:
    """Return the number of channels: the size of the input's axis 1 or, if that is symbolic, of the scales."""
    have = call.shape()[1]
    channels = have if isinstance(have, int) else call.shape(1)[0]
    if not isinstance(channels, int):
        raise UnreadableError("its number of channels is symbolic; fix the size")
    return channels


def _groups_normalized(call: Call, groups: int, weights: Sequence[Operand]) -> Value:
    """Normalize the entries of each row and group of channels. ``weights`` are the scale and the shift [channels]."""
    gamma, beta = (call.tensors.value(item) for item in weights)
    epsilon = shortest(call.number("epsilon", 1e-5))
    return call.script.call(group_norm, call.value(0), groups, gamma, beta, axis=1, epsilon=epsilon)


@reads("GroupNormalization")
def _group_normalization(call: Call) -> Outputs:
    own, count = call.shape(), call.whole("num_groups", 1)
    channels = own[1] if len(own) > 2 else None
    if not isinstance(channels, int) or count < 1 or channels % count:
        raise UnreadableError(
            f"it normalizes {count} groups of channels of {texts(own)}; the size of axis 1 must be a number that the "
            "groups divide, and the rank 3 or more"
        )
    weights = [call.input(number) for number in (1, 2)]
    if shape_of(weights[0]) == (count,) != (channels,):  # Before opset 21, weights have one number per group.
        weights = [call.script.call(repeat, call.tensors.value(item), channels // count, 0) for item in weights]
    return _groups_normalized(call, count, weights)


@reads("MeanVarianceNormalization")
def _mean_variance(call: Call) -> Outputs:
    axes = tuple(sorted(axis_of(axis, call.rank()) for axis in call.entries("axes", [0, 2, 3]) or []))
    script, x = call.script, call.value(0)
    mean = script.call(basic.reduce_mean, x, axis=axes, keepdims=True)
    deviation = script.call(reduce_std, x, axis=axes, keepdims=True)
    return script.operation("/", script.operation("-", x, mean), script.operation("+", deviation, 1e-9))


@reads("LpNormalization")
def _lp_normalization(call: Call) -> Outputs:
    axis, script, x = call.axis(-1, call.rank()), call.script, call.value(0)
    options = {"ord": 1} if call.whole("p", 2) == 1 else {}
    total = script.call(vector_norm, x, **options, axis=axis, keepdims=True)
    return div_no_nan(ScriptBackend(script), x, total)
