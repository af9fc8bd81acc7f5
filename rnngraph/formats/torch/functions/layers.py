"""Handlers of embeddings, adaptive pools, interpolation, dropout and normalization."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ....declare.functions import basic
from ....declare.functions.arrays.moves import repeat
from ....declare.functions.layers import embedding
from ....declare.functions.normalization import group_norm, layer_norm, rms_norm, standardize
from ....declare.functions.randomness import dropout as drop
from ....ir.types import Dim
from ...layers import declare_batch_normalization
from ...operators.dropouts import alpha_dropout, shared_dropout
from ...operators.pools import adaptive_pool
from ...steps import Value
from ..composed.axes import interpolate_entries, nearest
from ..tracing.calls import array_of
from ..tracing.kinds import Argument, Extents, Function, Operand, Result
from ..tracing.moved_axes import unviewed, viewed
from ..tracing.numbers import Extent, dim_of, fixed
from ..tracing.registry import Handler, UnreadableError, reads, reads_module
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, dtype_of, shape_of
from .backend import TorchBackend
from .products import layer_of
from .shapes import axis_of

# Embeddings -----------------------------------------------------------------------------------------


_BY_FREQUENCY = (
    "scale_grad_by_freq=True divides a row's gradient by the number of its uses in a batch; the net that was read does "
    "not, and so trains frequent rows faster; leave it out to train both alike"
)
_NO_MOMENTUM = (
    "BatchNorm with momentum=None averages all batches of training; the net that was read trains with momentum=0.1; "
    "pass a number to train both alike"
)


@reads("embedding")
def _embedding(
    tracer: Tracer,
    ids: Operand,
    weight: Operand,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Result:
    if max_norm is not None:
        raise UnreadableError("max_norm changes the table in place, which is not supported; leave it out")
    if scale_grad_by_freq:
        tracer.warnings[_BY_FREQUENCY, tracer.sizes.place(), UserWarning] = None
    ids, options = tracer.value(ids), {}
    if padding_idx is not None:
        rows = weight.shape[0] if isinstance(weight, torch.Tensor) else shape_of(tracer.value(weight))[0]
        options["padding_id"] = int(padding_idx) if padding_idx >= 0 else int(padding_idx) + _known_rows(rows)
    if not isinstance(weight, torch.Tensor):
        return tracer.call(embedding, ids, tracer.value(weight), **options)
    is_shared = tracer.use(weight)
    tracer.uses["table", id(weight)] = 2
    if is_shared or dtype_of(ids) not in ("int32", "int64") or weight.dtype != torch.float32:
        return tracer.call(embedding, ids, tracer.parameter(weight), **options)
    scope = tracer.script.scope(layer_of(tracer.path_of(weight)))
    tracer.script.own(scope, {"table": array_of(weight)})
    return tracer.call(embedding, ids, *weight.shape, name=scope, **options)


def _known_rows(rows: Dim) -> int:
    if not isinstance(rows, int):
        raise UnreadableError("padding_idx counts from the end of a table of symbolic size; count from its start")
    return rows


# Resizing -------------------------------------------------------------------------------------------


@reads("interpolate")
def _interpolate(
    tracer: Tracer,
    x: Operand,
    size: Extents | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    *_: object,
    **__: object,
) -> Result:
    """Declare ``interpolate`` along time: repeat steps, copy nearest ones to a size, or interpolate linearly.

    Raise ``UnreadableError`` for other modes, fractional factors, a size in linear mode, and inputs of other ranks.
    """
    scales = [scale_factor or 1] if isinstance(scale_factor, float | int | None) else scale_factor
    factor = scales[0]
    x = tracer.value(x)
    if mode == "nearest" and size is not None and len(shape_of(x)) == 3:
        return tracer.by_torch(nearest, x, size if isinstance(size, int) else size[0])
    is_known = mode in ("nearest", "nearest-exact", "linear") and not align_corners
    if not is_known or size is not None or len(shape_of(x)) != 3 or factor != fixed(factor):
        raise UnreadableError(
            f"mode={mode!r}, scale_factor={scale_factor}, size={size} of rank {len(shape_of(x))} is not supported; "
            "give [batch, width, time], a whole scale_factor, and mode='nearest' or 'linear'"
        )
    if mode == "linear":
        return tracer.by_torch(interpolate_entries, x, fixed(factor))
    return tracer.call(repeat, x, fixed(factor), 2) if factor > 1 else x


@reads("repeat_interleave")
def _interleave(
    tracer: Tracer, x: Operand, repeats: int, dim: int | None = None, output_size: int | None = None
) -> Result:
    if not isinstance(repeats, int) or isinstance(repeats, Extent) or dim is None:
        raise UnreadableError("repeats must be an int, and dim must be given; otherwise the shape depends on the data")
    axis = axis_of(len(shape_of(x)), dim)
    return tracer.call(repeat, tracer.value(x), repeats, axis) if repeats != 1 else x


def _adaptive(axes: int, is_max: bool) -> Handler:
    """Return a function that translates torch's adaptive max or average pooling along ``axes`` axes.

    An axis that is divided into several windows gets a fixed size.
    """

    def pool(
        tracer: Tracer, x: Operand, output_size: int | Sequence[int | None], return_indices: bool = False
    ) -> Result:
        if return_indices or isinstance(tracer.expected, tuple):
            raise UnreadableError("indices are not supported; use torch.nn.functional without return_indices")
        x = tracer.value(x)
        rank = len(shape_of(x))
        windows = output_size if isinstance(output_size, list | tuple) else [output_size] * axes
        requested = {rank - axes + place: count for place, count in enumerate(windows) if count is not None}
        counts = {axis: fixed(count) for axis, count in requested.items() if dim_of(count) != shape_of(x)[axis]}
        for axis, count in counts.items():
            if count > 1:
                tracer.sizes.fix(shape_of(x)[axis])
        return adaptive_pool(TorchBackend(tracer), x, counts, is_max)

    return pool


reads("adaptive_avg_pool1d")(_adaptive(1, False))
reads("adaptive_avg_pool2d")(_adaptive(2, False))
reads("adaptive_max_pool1d")(_adaptive(1, True))
reads("adaptive_max_pool2d")(_adaptive(2, True))


# Dropout --------------------------------------------------------------------------------------------


_DROPS_ALWAYS = (
    "this dropout acts in evaluation mode, too, but in the net that was read in training only; to do the same in "
    "torch, pass training=self.training"
)


def warn_of_dropout(tracer: Tracer, drops_always: bool) -> None:
    """Warn of a call that drops entries in evaluation mode, too. The net never drops in inference."""
    if drops_always:
        tracer.warnings[_DROPS_ALWAYS, tracer.sizes.place(), UserWarning] = None


def _channel_dropout(function: Function, unbatched: int | None = None) -> Handler:
    """Return a function that translates ``dropout1d`` or a like function, which drops whole channels.

    Args:
        function: ``shared_dropout`` or ``alpha_dropout``.
        unbatched: Rank of inputs without a batch axis, for functions that accept such inputs.
    """

    def read(tracer: Tracer, x: Argument, p: float = 0.5, training: bool = True) -> Result:
        if p == 0 or isinstance(x, Filled):
            return x
        warn_of_dropout(tracer, training)
        value = tracer.value(x)
        rank = len(shape_of(value))
        axes = range(1 if rank == unbatched else 2, rank)
        return function(TorchBackend(tracer), value, 1 - float(p), axes)

    return read


reads("feature_dropout", "dropout2d")(_channel_dropout(shared_dropout))
reads("dropout1d")(_channel_dropout(shared_dropout, 2))
reads("feature_alpha_dropout")(_channel_dropout(alpha_dropout))


@reads("alpha_dropout")
def _alpha_dropout(tracer: Tracer, x: Argument, p: float = 0.5, training: bool = False) -> Result:
    if p == 0 or isinstance(x, Filled):
        return x
    warn_of_dropout(tracer, training)
    return alpha_dropout(TorchBackend(tracer), tracer.value(x), 1 - float(p))


@reads("dropout")
def _dropout(tracer: Tracer, x: Argument, p: float = 0.5, training: bool = True) -> Result:
    if p == 0 or isinstance(x, Filled):
        return x
    warn_of_dropout(tracer, training)
    return tracer.call(drop, tracer.value(x), 1 - float(p))


# Normalizations -------------------------------------------------------------------------------------


@reads_module(nn.BatchNorm1d)
def _batch_norm_module(tracer: Tracer, module: nn.BatchNorm1d, x: Operand) -> Operand:
    if module.momentum is None and module.running_mean is not None:
        tracer.warnings[_NO_MOMENTUM, tracer.sizes.place(), UserWarning] = None
    momentum = 0.1 if module.momentum is None else module.momentum
    return batch_norm(
        tracer,
        x,
        module.running_mean,
        module.running_var,
        module.weight,
        module.bias,
        module.running_mean is None,
        momentum,
        module.eps,
    )


@reads("batch_norm")
def batch_norm(
    tracer: Tracer,
    x: Operand,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Result:
    x = tracer.value(x)
    if training or running_mean is None:
        axes = [axis for axis in range(len(shape_of(x))) if axis != 1]
        return _of_channels(tracer, x, axes, weight, bias, eps)
    tracer.sizes.unify(shape_of(x)[1], running_mean.shape[0])
    if tracer.use(running_mean):
        return _by_parameters(tracer, x, running_mean, running_var, weight, bias, eps)
    path = tracer.path_of(running_mean, "running_mean")
    scope = tracer.script.scope(path.rpartition("/")[0] or "batch_normalization")
    arrays = {"moving_mean": running_mean, "moving_variance": running_var, "gamma": weight, "beta": bias}
    own = {name: array_of(item) for name, item in arrays.items() if item is not None}
    source, steps, axis = unviewed(x, 1)
    y = declare_batch_normalization(tracer.script, source, own, scope, axis, float(eps), 1 - momentum)
    return viewed(tracer.script, y, steps)


def _by_parameters(
    tracer: Tracer,
    x: Value,
    mean: torch.Tensor,
    variance: torch.Tensor | None,
    weight: Operand | None,
    bias: Operand | None,
    eps: float,
) -> Value:
    """Declare batch normalization by the running statistics. Its arrays are parameters that several calls share."""
    assert variance is not None
    arrays = {name: tracer.value(item) for name, item in (("gamma", weight), ("beta", bias)) if item is not None}
    statistics = tracer.parameter(mean), tracer.parameter(variance)
    return tracer.call(standardize, x, *statistics, **arrays, axis=1, epsilon=float(eps))


def _of_channels(
    tracer: Tracer, x: Value, axes: list[int], weight: Operand | None, bias: Operand | None, eps: float
) -> Value:
    """Declare normalization of x [batch, channels, …] over axes, followed by a scale and a shift per channel."""
    trailing = len(shape_of(x)) - 2

    def spread(item: Operand) -> Value:
        value = tracer.value(item)
        return tracer.call(basic.reshape, value, (-1, *(1,) * trailing)) if trailing else value

    arrays = {name: spread(item) for name, item in (("gamma", weight), ("beta", bias)) if item is not None}
    return tracer.call(layer_norm, x, **arrays, epsilon=float(eps), axis=tuple(axes) if len(axes) > 1 else axes[0])


@reads("layer_norm")
def _layer_norm(
    tracer: Tracer,
    x: Operand,
    normalized_shape: Sequence[int],
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
) -> Result:
    x = tracer.value(x)
    rank, count = len(shape_of(x)), len(normalized_shape)
    for have, want in zip(shape_of(x)[rank - count :], normalized_shape, strict=True):
        tracer.sizes.unify(have, want)
    affine = [None if item is None else tracer.value(item) for item in (weight, bias)]
    options = {"epsilon": float(eps), **_last_axes(rank, count)}
    return tracer.call(layer_norm, x, *(affine if affine != [None, None] else []), **options)


def _last_axes(rank: int, count: int) -> dict[str, object]:
    """Return the option ``axis`` for the last ``count`` axes; {} for the last axis, which is the default."""
    return {} if count == 1 else {"axis": tuple(range(rank - count, rank))}


@reads("rms_norm")
def _rms_norm(
    tracer: Tracer, x: Operand, normalized_shape: Sequence[int], weight: Operand | None = None, eps: float | None = None
) -> Result:
    x = tracer.value(x)
    epsilon = torch.finfo(tracer.expected.dtype).eps if eps is None else eps
    gamma = [] if weight is None else [tracer.value(weight)]
    axes = _last_axes(len(shape_of(x)), len(normalized_shape))
    return tracer.call(rms_norm, x, *gamma, **axes, epsilon=float(epsilon))


@reads("group_norm")
def _group_norm(
    tracer: Tracer,
    x: Operand,
    num_groups: int,
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
) -> Result:
    x = tracer.value(x)
    tracer.sizes.fix(shape_of(x)[1])
    return _of_groups(tracer, x, fixed(num_groups), weight, bias, eps)


def _of_groups(
    tracer: Tracer, x: Value, groups: int, weight: Operand | None, bias: Operand | None, eps: float
) -> Value:
    """Declare group normalization of x [batch, channels, …]."""
    affine = {name: tracer.value(item) for name, item in (("gamma", weight), ("beta", bias)) if item is not None}
    return tracer.call(group_norm, x, groups, **affine, axis=1, epsilon=float(eps))


@reads("instance_norm")
def _instance_norm(
    tracer: Tracer,
    x: Operand,
    running_mean: torch.Tensor | None = None,
    running_var: torch.Tensor | None = None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Result:
    x = tracer.value(x)
    if not use_input_stats:
        return batch_norm(tracer, x, running_mean, running_var, weight, bias, False, momentum, eps)
    channels = tracer.sizes.fix(shape_of(x)[1])
    return _of_groups(tracer, x, channels, weight, bias, eps)
