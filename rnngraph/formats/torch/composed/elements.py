"""Functions of single elements and of pairs, and products."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..tracing.registry import UnreadableError, composed

# Whole numbers and what is left ---------------------------------------------------------------------


@composed("frac")
def _frac(x: Any) -> Any:
    return x - torch.trunc(x)


@composed("remainder", "__mod__")
def _remainder(x: Any, other: Any) -> Any:
    """What is left, of the divisor's sign."""
    x, other = _wide(x, other)
    return x - torch.floor_divide(x, other) * other


@composed("fmod")
def _fmod(x: Any, other: Any) -> Any:
    """What is left, of x's sign."""
    x, other = _wide(x, other)
    return x - torch.div(x, other, rounding_mode="trunc") * other


def _wide(x: Any, other: Any) -> tuple[Any, Any]:
    """Floats in float64, where a quotient of float32s is not rounded up to a whole number."""
    floats = [item for item in (x, other) if isinstance(item, float) or _is_float(item)]
    if not floats or _is_power_of_two(other):
        return x, other
    narrow = not any(_is_float(item) and item.dtype == torch.float64 for item in floats)
    x, other = (torch.tensor(item).item() if isinstance(item, float) and narrow else item for item in (x, other))
    return tuple(item.double() if isinstance(item, torch.Tensor) else item for item in (x, other))


def _is_float(item: Any) -> bool:
    return isinstance(item, torch.Tensor) and item.is_floating_point()


def _is_power_of_two(number: Any) -> bool:
    """Whether a quotient by it is exact."""
    return isinstance(number, int | float) and number != 0 and math.frexp(abs(number))[0] == 0.5


# Single elements ------------------------------------------------------------------------------------


@composed("deg2rad")
def _deg2rad(x: Any) -> Any:
    return x * (math.pi / 180)


@composed("rad2deg")
def _rad2deg(x: Any) -> Any:
    return x * (180 / math.pi)


@composed("erfc", "special_erfc")
def _erfc(x: Any) -> Any:
    return 1 - torch.erf(x)


@composed("special_ndtr")
def _ndtr(x: Any) -> Any:
    return 0.5 * (1 + torch.erf(x * math.sqrt(0.5)))


@composed("tan")
def _tan(x: Any) -> Any:
    return torch.sin(x) / torch.cos(x)


@composed("sinc", "special_sinc")
def _sinc(x: Any) -> Any:
    angle = torch.where(x == 0, 1.0, x * math.pi)
    return torch.where(x == 0, 1.0, torch.sin(angle) / angle)


@composed("logit", "special_logit")
def _logit(x: Any, eps: Any = None) -> Any:
    x = x if eps is None else torch.clamp(x, eps, 1 - eps)
    return torch.log(x / (1 - x))


@composed("asin", "arcsin")
def _asin(x: Any) -> Any:
    return torch.atan(x / torch.sqrt((1 - x) * (1 + x)))


@composed("acos", "arccos")
def _acos(x: Any) -> Any:
    return 2 * torch.atan(torch.sqrt((1 - x) / (1 + x)))


@composed("asinh", "arcsinh")
def _asinh(x: Any) -> Any:
    far = torch.abs(x)
    return torch.sign(x) * torch.log1p(far + far * far / (1 + torch.sqrt(far * far + 1)))


@composed("acosh", "arccosh")
def _acosh(x: Any) -> Any:
    return torch.log(x + torch.sqrt(x * x - 1))


@composed("atanh", "arctanh")
def _atanh(x: Any) -> Any:
    return 0.5 * (torch.log1p(x) - torch.log1p(-x))


@composed("sgn")
def _sgn(x: Any) -> Any:
    return torch.sign(x)


@composed("isinf")
def _isinf(x: Any) -> Any:
    return torch.abs(x) == math.inf


@composed("isposinf")
def _isposinf(x: Any) -> Any:
    return x == math.inf


@composed("isneginf")
def _isneginf(x: Any) -> Any:
    return x == -math.inf


@composed("signbit")
def _signbit(x: Any) -> Any:
    return (x < 0) | (1 / torch.where(x == 0, x, 1.0) < 0)


@composed("special_entr")
def _entr(x: Any) -> Any:
    return torch.where(x == 0, 0.0, -x * torch.log(x))


@composed("isreal")
def _isreal(x: Any) -> Any:
    return torch.ones_like(x, dtype=torch.bool)


# Pairs ----------------------------------------------------------------------------------------------


@composed("atan2", "arctan2")
def _atan2(y: Any, x: Any) -> Any:
    ahead = torch.atan(y / torch.where(x == 0, 1.0, x))
    side = torch.where(y < 0, -math.pi, math.pi)
    found = torch.where(x < 0, ahead + side, ahead)
    return torch.where(x == 0, torch.sign(y) * (math.pi / 2), found)


@composed("copysign")
def _copysign(x: Any, other: Any) -> Any:
    far = torch.abs(x)
    if not isinstance(other, torch.Tensor):
        return far if math.copysign(1, other) > 0 else -far
    return torch.where(torch.signbit(other), -far, far)


@composed("heaviside")
def _heaviside(x: Any, values: Any) -> Any:
    return torch.where(x == 0, values, (x > 0).to(values.dtype))


@composed("fmax")
def _fmax(x: Any, other: Any) -> Any:
    return torch.where(other != other, x, torch.where(x != x, other, torch.maximum(x, other)))


@composed("fmin")
def _fmin(x: Any, other: Any) -> Any:
    return torch.where(other != other, x, torch.where(x != x, other, torch.minimum(x, other)))


@composed("logaddexp")
def _logaddexp(x: Any, other: Any) -> Any:
    more = torch.log1p(torch.exp(-torch.abs(x - other)))
    return torch.where(x == other, x + math.log(2), torch.maximum(x, other) + more)


@composed("logaddexp2")
def _logaddexp2(x: Any, other: Any) -> Any:
    more = torch.log1p(torch.exp2(-torch.abs(x - other))) / math.log(2)
    return torch.where(x == other, x + 1, torch.maximum(x, other) + more)


@composed("xlogy", "special_xlogy")
def _xlogy(x: Any, other: Any) -> Any:
    return torch.where(x == 0, 0.0, x * torch.log(other))


@composed("ldexp")
def _ldexp(x: Any, other: Any) -> Any:
    return x * torch.exp2(other.to(x.dtype))


@composed("float_power")
def _float_power(x: Any, exponent: Any) -> Any:
    return torch.pow(x.double(), exponent.double() if isinstance(exponent, torch.Tensor) else exponent)


@composed("addcdiv")
def _addcdiv(x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    return x + (tensor1 / tensor2 if value == 1 else value * (tensor1 / tensor2))


@composed("isclose")
def _isclose(x: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    near = torch.abs(x - other) <= atol + rtol * torch.abs(other)
    near = near | (x == other)
    return near | ((x != x) & (other != other)) if equal_nan else near


@composed("dist")
def _dist(x: Any, other: Any, p: float = 2) -> Any:
    return torch.linalg.vector_norm(x - other, p)


@composed("pairwise_distance")
def _pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    return torch.linalg.vector_norm(x1 - x2 + eps, p, -1, keepdim)


@composed("cdist")
def _cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = None) -> Any:
    return torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


@composed("cross", "linalg_cross")
def _cross(x: Any, other: Any, dim: int = -1) -> Any:
    a, b = x.unbind(dim), other.unbind(dim)
    pairs = ((1, 2), (2, 0), (0, 1))
    return torch.stack([a[i] * b[j] - a[j] * b[i] for i, j in pairs], dim)


# Products -------------------------------------------------------------------------------------------


@composed("inner")
def _inner(x: Any, other: Any) -> Any:
    if x.dim() == 1 or other.dim() == 1:
        return (x * other).sum(-1)
    if other.dim() != 2:
        raise UnreadableError("it is read with a second operand of one or two axes")
    return x @ other.transpose(0, 1)


@composed("tensordot")
def _tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    if isinstance(dims, int):
        dims = [*range(a.dim() - dims, a.dim())], [*range(dims)]
    first = [chr(ord("a") + axis) for axis in range(a.dim())]
    second = [chr(ord("A") + axis) for axis in range(b.dim())]
    for one, other in zip(*dims, strict=True):
        second[other] = first[one]
    rest = [letter for letter in first if letter not in second] + [letter for letter in second if letter.isupper()]
    return torch.einsum(f"{''.join(first)},{''.join(second)}->{''.join(rest)}", a, b)


@composed("linalg_multi_dot", "chain_matmul")
def _multi_dot(tensors: Any, *more: Any) -> Any:
    first, *others = [tensors, *more] if isinstance(tensors, torch.Tensor) else tensors
    for other in others:
        first = first @ other
    return first


@composed("addbmm")
def _addbmm(x: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return beta * x + alpha * (batch1 @ batch2).sum(0)


@composed("addmv")
def _addmv(x: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return beta * x + alpha * (mat @ vec)


@composed("addr")
def _addr(x: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return beta * x + alpha * torch.outer(vec1, vec2)
