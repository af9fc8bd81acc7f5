"""Reads onnxruntime's fused ops, which optimized files contain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ....declare.functions import activations, basic
from ....declare.functions.arrays.moves import swapped_order
from ....declare.functions.normalization import layer_norm
from ...steps import Value
from ..core.functions import thresholded_relu
from ..core.known import Expanded, Known, Operand, number_like, shape_of
from ..core.sizes import UnreadableError
from ..core.table import Call, Outputs, reads
from ..core.values import shortest
from .convolutions import convolved
from .elementwise import combined
from .products import gemm, product_of

E = "com.microsoft"
_ACTIVATIONS: Mapping[str, Callable[..., Any]] = {
    "Relu": activations.relu,
    "Tanh": basic.tanh,
    "Sigmoid": basic.sigmoid,
    "LeakyRelu": activations.leaky_relu,
    "Clip": basic.clip,
    "HardSigmoid": activations.hard_sigmoid,
    "Elu": activations.elu,
    "Selu": activations.selu,
    "Softplus": activations.softplus,
    "Softsign": activations.softsign,
    "ThresholdedRelu": thresholded_relu,
}
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Elu": ("alpha",),
    "Selu": ("alpha", "gamma"),
    "ThresholdedRelu": ("alpha",),
}
"""Parameters of activations that FusedGemm must have, in the order of the functions' arguments."""


def _activate(call: Call, x: Operand, numbers: list[Any]) -> Outputs:
    """Apply the activation that the node names, with the parameters ``numbers``."""
    name = call.text("activation", "")
    if not name:
        return x
    if name not in _ACTIVATIONS:
        raise UnreadableError(f"activation {name!r} is not supported")
    return call.script.call(_ACTIVATIONS[name], call.tensors.value(x), *map(shortest, numbers))


@reads("FusedConv", domain=E)
def _fused_conv(call: Call) -> Outputs:
    bias = call.array(2, "its bias") if call.maybe(2) is not None else None
    result = convolved(call, call.input(0), call.array(1, "its kernel"), bias)
    if call.maybe(3) is not None:
        result = combined(call, "Add", result, call.input(3))
    return _activate(call, result, call.entries("activation_params") or [])


@reads("FusedGemm", domain=E)
def _fused_gemm(call: Call) -> Outputs:
    """Read a product with an activation. Attributes of parameters that the activation lacks are ignored."""
    names = [f"activation_{name}" for name in _PARAMETERS.get(call.text("activation", ""), ())]
    if missing := [name for name in names if name not in call.node.attributes]:
        raise UnreadableError(f"its attribute {missing[0]} is missing")
    return _activate(call, gemm(call), [call.number(name, 0.0) for name in names])


@reads("FusedMatMul", domain=E)
def _fused_matmul(call: Call) -> Outputs:
    """Read a matrix product with transposes and a factor. With ``transBatch``, rows precede the batch axes."""
    tensors, sides = call.tensors, []
    for number, name in enumerate("AB"):
        side, rank = call.input(number), call.rank(number)
        if call.whole(f"transBatch{name}", 0) and rank > 2:
            side = tensors.transpose(side, (*range(1, rank - 1), 0, rank - 1))
        if call.whole(f"trans{name}", 0) and rank > 1:
            side = tensors.transpose(side, swapped_order(rank, -2, -1))
        sides.append(tensors.value(side) if isinstance(side, Expanded) else side)
    product, alpha = product_of(tensors, sides[0], sides[1]), call.number("alpha", 1.0)
    return product if alpha == 1 else combined(call, "Mul", product, number_like(alpha, product))


@reads("BiasGelu", "FastGelu", domain=E)
def _gelu(call: Call) -> Outputs:
    x = call.input(0) if call.maybe(1) is None else combined(call, "Add", call.input(0), call.input(1))
    options = {} if call.op == "BiasGelu" else {"approximate": True}
    return call.script.call(activations.gelu, call.tensors.value(x), **options)


@reads("QuickGelu", domain=E)
def _quick_gelu(call: Call) -> Outputs:
    return call.script.call(activations.swish, call.value(0), shortest(call.number("alpha", 1.702)))


@reads("SkipLayerNormalization", domain=E)
def _skip_layer_normalization(call: Call) -> Outputs:
    """Return the outputs: the normalized sum of two inputs and a bias, two that are not supported, and the sum."""
    x = combined(call, "Add", call.input(0), call.input(1))
    if call.maybe(4) is not None:
        x = combined(call, "Add", x, call.input(4))
    gamma, beta = (_vector(call, number) for number in (2, 3))
    options = {} if beta is None else {"beta": beta}
    epsilon = shortest(call.number("epsilon", 1e-12))
    total = call.tensors.value(x)
    return [call.script.call(layer_norm, total, gamma, **options, epsilon=epsilon), None, None, total]


def _vector(call: Call, number: int) -> Value | None:
    """Return the scale (input 2) or the shift (input 3); None if the input is absent."""
    vector = call.maybe(number)
    if vector is None:
        return None
    if not isinstance(vector, Known) or len(shape_of(vector)) != 1:
        raise UnreadableError("its scale and shift must be vectors that the file contains")
    return call.tensors.value(vector, "gamma" if number == 2 else "beta")
