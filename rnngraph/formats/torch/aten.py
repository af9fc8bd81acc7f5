"""Maps ATen's operators to torch's public functions, where the name, arguments or results differ.

An operator that is not listed here is computed by torch's function or method of the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from .tracing.kinds import Function, Number
from .tracing.registry import UnreadableError

Sizes = Sequence[int]
Results = tuple[torch.Tensor | None, ...]
"""Results of an operator; None for a result that no graph reads."""
CHECKS = (
    "_assert_async",
    "_assert_scalar",
    "_assert_tensor_metadata",
    "sym_constrain_range",
    "sym_constrain_range_for_size",
)
"""ATen's operators that only check values, sizes or dtypes. They are skipped."""
END = (1 << 63) - 1
"""ATen's stop of a slice that extends to the end of its axis: the largest int64."""


FUNCTIONS: dict[str, Function] = {}
"""Functions that compute ATen's operators with torch's public functions, by the operator's name."""


def operator(*names: str) -> Callable[[Function], Function]:
    """Register the function that computes ATen's operators of these names."""

    def register(function: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(names, function))
        return function

    return register


def function_of(name: str) -> Function | None:
    """Return the function that computes an ATen operator; None if neither this table nor torch has one."""
    places = (torch, torch.Tensor, functional)
    return FUNCTIONS.get(name) or next((getattr(place, name) for place in places if hasattr(place, name)), None)


@operator("slice")
def _slice(
    x: torch.Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> torch.Tensor:
    dim %= x.dim()
    stop = None if isinstance(end, int) and end == END else end
    return x[(*(slice(None),) * dim, slice(start, stop, step))]


@operator("broadcast_tensors")
def _broadcast_tensors(tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    return torch.broadcast_tensors(*tensors)


@operator("index")
def _index(x: torch.Tensor, indices: Sequence[torch.Tensor | None]) -> torch.Tensor:
    return x[tuple(slice(None) if item is None else item for item in indices)]


@operator("index_put")
def _index_put(
    x: torch.Tensor, indices: Sequence[torch.Tensor | None], values: torch.Tensor, accumulate: bool = False
) -> torch.Tensor:
    if accumulate:
        raise UnreadableError("accumulate=True is not supported; add to the entries with index_add or scatter_add")
    result = x.clone()
    result[tuple(slice(None) if item is None else item for item in indices)] = values
    return result


@operator("embedding")
def _embedding(
    weight: torch.Tensor, ids: torch.Tensor, padding_idx: int = -1, scale: bool = False, sparse: bool = False
) -> torch.Tensor:
    return functional.embedding(ids, weight, None if padding_idx < 0 else padding_idx, scale_grad_by_freq=scale)


@operator("softmax", "_softmax")
def _softmax(x: torch.Tensor, dim: int, dtype: torch.dtype | bool | None = None) -> torch.Tensor:
    return functional.softmax(x, dim, dtype=None if isinstance(dtype, bool) else dtype)


@operator("log_softmax", "_log_softmax")
def _log_softmax(x: torch.Tensor, dim: int, dtype: torch.dtype | bool | None = None) -> torch.Tensor:
    return functional.log_softmax(x, dim, dtype=None if isinstance(dtype, bool) else dtype)


@operator("layer_norm")
def _layer_norm(
    x: torch.Tensor,
    shape: Sizes,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    *_: object,
) -> torch.Tensor:
    return functional.layer_norm(x, shape, weight, bias, eps)


@operator("native_layer_norm")
def _native_layer_norm(
    x: torch.Tensor, shape: Sizes, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
) -> Results:
    return functional.layer_norm(x, shape, weight, bias, eps), None, None


@operator("_fused_rms_norm")
def _fused_rms_norm(x: torch.Tensor, shape: Sizes, weight: torch.Tensor | None, eps: float | None) -> Results:
    return functional.rms_norm(x, shape, weight, eps), None


@operator("group_norm")
def _group_norm(
    x: torch.Tensor,
    groups: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    *_: object,
) -> torch.Tensor:
    return functional.group_norm(x, groups, weight, bias, eps)


@operator("native_group_norm")
def _native_group_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    n: int,
    c: int,
    rest: int,
    groups: int,
    eps: float,
) -> Results:
    return functional.group_norm(x, groups, weight, bias, eps), None, None


@operator("batch_norm")
def _batch_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    var: torch.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> torch.Tensor:
    return functional.batch_norm(x, mean, var, weight, bias, training, momentum, eps)


@operator("_native_batch_norm_legit_no_training")
def _native_batch_norm_legit_no_training(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    var: torch.Tensor | None,
    momentum: float,
    eps: float,
) -> Results:
    return functional.batch_norm(x, mean, var, weight, bias, False, momentum, eps), None, None


@operator("instance_norm")
def _instance_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    var: torch.Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> torch.Tensor:
    return functional.instance_norm(x, mean, var, weight, bias, use_input_stats, momentum, eps)


@operator("convolution")
def _convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> torch.Tensor:
    rank = weight.dim() - 2
    if transposed:
        function = getattr(functional, f"conv_transpose{rank}d")
        return function(x, weight, bias, stride, padding, output_padding, groups, dilation)
    return getattr(functional, f"conv{rank}d")(x, weight, bias, stride, padding, dilation, groups)


@operator("constant_pad_nd")
def _constant_pad_nd(x: torch.Tensor, pad: Sizes, value: float = 0) -> torch.Tensor:
    return functional.pad(x, [*pad], value=value)


@operator("pad")
def _pad(x: torch.Tensor, pad: Sizes, mode: str = "constant", value: float | None = None) -> torch.Tensor:
    return functional.pad(x, [*pad], mode, value)


@operator("reflection_pad1d", "reflection_pad2d")
def _reflection_pad(x: torch.Tensor, pad: Sizes) -> torch.Tensor:
    return functional.pad(x, [*pad], "reflect")


@operator("replication_pad1d", "replication_pad2d")
def _replication_pad(x: torch.Tensor, pad: Sizes) -> torch.Tensor:
    return functional.pad(x, [*pad], "replicate")


@operator("elu")
def _elu(x: torch.Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> torch.Tensor:
    if input_scale == 1:
        y = functional.elu(x, alpha)
    else:
        y = torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0) * input_scale))
    return y if scale == 1 else y * scale


@operator("scalar_tensor")
def _scalar_tensor(value: Number, dtype: torch.dtype | None = None, **_: object) -> torch.Tensor:
    return torch.tensor(value, dtype=dtype)


@operator("native_dropout")
def _native_dropout(x: torch.Tensor, p: float, train: bool | None = True) -> Results:
    return functional.dropout(x, p, train is not False), None


@operator("max_pool1d_with_indices")
def _max_pool1d_with_indices(x: torch.Tensor, *args: Any, **kwargs: Any) -> Results:
    return functional.max_pool1d(x, *args, **kwargs), None


@operator("max_pool2d_with_indices")
def _max_pool2d_with_indices(x: torch.Tensor, *args: Any, **kwargs: Any) -> Results:
    return functional.max_pool2d(x, *args, **kwargs), None


@operator("adaptive_max_pool1d")
def _adaptive_max_pool1d(x: torch.Tensor, size: Sizes) -> Results:
    return functional.adaptive_max_pool1d(x, [*size]), None


@operator("adaptive_max_pool2d")
def _adaptive_max_pool2d(x: torch.Tensor, size: Sizes) -> Results:
    return functional.adaptive_max_pool2d(x, [*size]), None


@operator("_scaled_dot_product_flash_attention_for_cpu")
def _scaled_dot_product(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    dropout: float = 0,
    causal: bool = False,
    *,
    attn_mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> Results:
    return functional.scaled_dot_product_attention(q, k, v, attn_mask, dropout, causal, scale=scale), None


def _loss(function: Function, *options: str) -> Function:
    """Return ATen's form of a loss of ``torch.nn.functional``: with options by position, and the reduction as a number.

    ATen passes the reduction as a number: 0 for none, 1 for the mean, 2 for the sum.

    Args:
        function: Loss of ``torch.nn.functional``.
        options: Names of the operator's arguments after the target, in order.
    """

    def loss(x: torch.Tensor, target: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        keywords = dict(zip(options, args, strict=False)) | kwargs
        keywords["reduction"] = ("none", "mean", "sum")[keywords.get("reduction", 1)]
        result: torch.Tensor = function(x, target, **keywords)
        return result

    return loss


operator("mse_loss")(_loss(functional.mse_loss, "reduction"))
operator("l1_loss")(_loss(functional.l1_loss, "reduction"))
operator("smooth_l1_loss")(_loss(functional.smooth_l1_loss, "reduction", "beta"))
operator("huber_loss")(_loss(functional.huber_loss, "reduction", "delta"))
operator("kl_div")(_loss(functional.kl_div, "reduction"))
operator("binary_cross_entropy")(_loss(functional.binary_cross_entropy, "weight", "reduction"))
operator("binary_cross_entropy_with_logits")(
    _loss(functional.binary_cross_entropy_with_logits, "weight", "pos_weight", "reduction")
)
operator("nll_loss", "nll_loss_nd")(_loss(functional.nll_loss, "weight", "reduction", "ignore_index"))
operator("cross_entropy_loss")(
    _loss(functional.cross_entropy, "weight", "reduction", "ignore_index", "label_smoothing")
)


def _upsample(mode: str) -> Callable[..., torch.Tensor]:
    """Return the function that computes ATen's operator for resizing in a mode of ``interpolate``.

    The operator takes sizes or scale factors. Linear modes have an argument ``align_corners`` between the two.
    """

    def upsample(
        x: torch.Tensor, size: Sizes | None = None, *args: Any, scale_factors: Sequence[float] | None = None
    ) -> torch.Tensor:
        align: bool | None = args[0] if mode in ("linear", "bilinear") and args else None
        if any(isinstance(item, float) and item % 1 for item in args):
            raise UnreadableError("its scale factors must be whole numbers; give the module itself")
        factors = next((item for item in args if isinstance(item, list | tuple)), scale_factors)
        if factors is not None and size is None:
            return functional.interpolate(x, scale_factor=tuple(factors), mode=mode, align_corners=align)
        return functional.interpolate(x, size=tuple(size or ()), mode=mode, align_corners=align)

    return upsample


operator("upsample_nearest1d", "upsample_nearest2d")(_upsample("nearest"))
operator("upsample_linear1d")(_upsample("linear"))
operator("upsample_bilinear2d")(_upsample("bilinear"))


@operator("_adaptive_avg_pool2d", "adaptive_avg_pool2d")
def _adaptive_avg_pool2d(x: torch.Tensor, size: Sizes) -> torch.Tensor:
    return functional.adaptive_avg_pool2d(x, size)


@operator("sym_size")
def _sym_size(x: torch.Tensor, dim: int) -> int:
    return x.shape[dim]


@operator("sym_numel")
def _sym_numel(x: torch.Tensor) -> int:
    return x.numel()


@operator("copy")
def _copy(x: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    return source.to(x.dtype).expand(x.shape)


@operator("fill")
def _fill(x: torch.Tensor, value: Number) -> torch.Tensor:
    return torch.full_like(x, value)


@operator("_reshape_alias")
def _reshape_alias(x: torch.Tensor, size: Sizes, stride: Sizes) -> torch.Tensor:
    return x.reshape(size)


@operator("lift_fresh_copy", "lift_fresh")
def _lift_fresh_copy(x: torch.Tensor) -> torch.Tensor:
    return x


@operator("_weight_norm_interface")
def _weight_norm_interface(v: torch.Tensor, g: torch.Tensor, dim: int = 0) -> Results:
    return torch._weight_norm(v, g, dim), None
