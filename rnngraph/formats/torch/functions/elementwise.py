"""Handlers of elementwise functions."""

from __future__ import annotations

import torch

from ....declare.functions import activations, basic
from ....declare.functions.elementary import angles, hyperbolic, logarithms, normal, numbers, powers, remainders
from ....declare.functions.rounding import ceil, floor
from ....declare.functions.rounding import round as nearest
from ....declare.tensor import constant
from ....ir.types import FLOATS, Dim
from ...operators.elementwise import sign
from ...steps import Value
from ..tracing.kinds import Argument, Function, Number, Operand, Result
from ..tracing.materialize import number_of
from ..tracing.numbers import Extent, OpenFloat
from ..tracing.registry import Handler, UnreadableError, reads
from ..tracing.tensors import DTYPES, TORCH_DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, Positions, Repeated, dtype_of, shape_of
from .backend import TorchBackend


def _dtype(tracer: Tracer) -> str:
    """Return rnngraph's name of the dtype of torch's result of the current call."""
    return DTYPES[tracer.expected.dtype]


def operand(tracer: Tracer, x: Argument, dtype: str, shape: tuple[Dim, ...] | None = None) -> Value | Number:
    """Return x as an operand of a binary function: a number if x is a number or a constant tensor, otherwise a value.

    A constant x that broadcasts the other operand, of shape ``shape``, to a larger shape stays a tensor.
    """
    if isinstance(x, Extent | OpenFloat):
        return number_of(tracer, x, dtype)
    if isinstance(x, bool | int | float):
        return float(x) if dtype.startswith("float") else bool(x) if dtype == "bool" else int(x)
    if tracer.is_number(x) and (shape is None or tracer.sizes.broadcast(x.shape, shape) == tuple(shape)):
        return operand(tracer, x.number, dtype)
    if isinstance(x, Repeated) and shape is not None and tracer.sizes.broadcast(shape_of(x.of), shape) == x.shape:
        tracer.wrote_numbers = True  # x may be a loop's initial state: one row, which ``rg`` broadcasts
        return tracer.value(x if tracer.keeps_filled else x.of, dtype)
    if isinstance(x, torch.Tensor) and x.numel() == 1 and not isinstance(x, torch.nn.Parameter) and x.dim() == 0:
        return operand(tracer, x.item(), dtype)
    return tracer.value(x, dtype)


def _shape(x: Argument) -> tuple[Dim, ...] | None:
    if isinstance(x, Value | Lazy):
        return shape_of(x)
    return tuple(x.shape) if isinstance(x, torch.Tensor) else None


def pair(tracer: Tracer, a: Argument, b: Argument, dtype: str) -> tuple[Value | Number, Value | Number]:
    """Return both operands of a binary function in a dtype, at least one as a value. Sizes are unified to broadcast."""
    if isinstance(a, Repeated) and not isinstance(b, Value):
        a = tracer.value(a)
    if isinstance(b, Repeated) and not isinstance(a, Value):
        b = tracer.value(b)
    shapes = [shape for shape in map(_shape, (a, b)) if shape is not None]
    if len(shapes) == 2:
        tracer.sizes.broadcast(*shapes)
    first, second = operand(tracer, a, dtype, _shape(b) or ()), operand(tracer, b, dtype, _shape(a) or ())
    if not isinstance(first, Value) and not isinstance(second, Value):
        first = tracer.value(a, dtype)
    return first, second


def _constant_folded(tracer: Tracer, function: Function, a: Argument, b: Argument) -> Filled | None:
    """Return the result of a function of two constant tensors or numbers; None for other operands."""
    filled = [item for item in (a, b) if tracer.is_number(item)]
    others = [item for item in (a, b) if not tracer.is_number(item)]
    if not filled or any(
        isinstance(item, Extent | OpenFloat) or not isinstance(item, bool | int | float) for item in others
    ):
        return None
    numbers = [item.number if isinstance(item, Filled) else item for item in (a, b)]
    tensors = [
        torch.tensor(number, dtype=TORCH_DTYPES[item.dtype] if isinstance(item, Filled) else None)
        for number, item in zip(numbers, (a, b), strict=True)
    ]
    shape = tracer.sizes.broadcast(*(item.shape for item in filled))
    return Filled(function(*tensors).item(), shape, _dtype(tracer))


def _operator(sign: str, theirs: Function, swapped: bool = False) -> Handler:
    """Return a function that translates torch's binary function ``theirs`` to the operator ``sign`` of two values."""

    def read(
        tracer: Tracer, a: Argument, b: Argument, *, alpha: Number = 1, rounding_mode: str | None = None
    ) -> Result:
        if swapped:
            a, b = b, a
        if rounding_mode is not None:
            return _rounded_division(tracer, a, b, rounding_mode)
        folded = _constant_folded(tracer, theirs, a, b) if alpha == 1 else None
        if folded is not None:
            return folded
        moved = _moved_positions(tracer, sign, a, b) if alpha == 1 else None
        if moved is not None:
            return moved
        dtype = _dtype(tracer)
        first, second = pair(tracer, a, b, dtype)
        if alpha != 1:
            factor = operand(tracer, alpha, dtype)
            if isinstance(second, Value) or isinstance(factor, Value):
                second = tracer.script.operation("*", second, factor)
            else:
                second *= factor
        if sign in "+-" and not isinstance(second, Value) and second == 0 and _has_full_shape(tracer, a):
            return first
        return tracer.operation(sign, first, second)

    return read


def _has_full_shape(tracer: Tracer, a: Argument) -> bool:
    """True if an operand has the shape of the result."""
    return isinstance(a, Value | Lazy) and tuple(map(tracer.sizes.value, shape_of(a))) == tuple(tracer.expected.shape)


def _moved_positions(tracer: Tracer, sign: str, a: Argument, b: Argument) -> Positions | None:
    """Return ``a sign b`` as ``Positions`` if a is ``Positions``, b an int, and the dtype unchanged; else None."""
    if not isinstance(b, int) or isinstance(b, bool | Extent):
        return None
    if not isinstance(a, Positions) or sign not in "+-*" or _dtype(tracer) != a.dtype:
        return None
    if sign == "*":
        return Positions(a.count, a.start * b, a.step * b, a.dtype)
    return Positions(a.count, a.start + (b if sign == "+" else -b), a.step, a.dtype)


def _rounded_division(tracer: Tracer, a: Argument, b: Argument, mode: str) -> Operand:
    function = remainders.floor_divide if mode == "floor" else remainders.trunc_divide
    return tracer.call(function, *pair(tracer, a, b, _dtype(tracer)))


def _rounding(function: Function) -> Handler:
    def read(tracer: Tracer, x: Argument, *, decimals: int = 0) -> Result:
        if not _dtype(tracer).startswith("float"):
            return x
        return tracer.call(function, tracer.value(x), *([int(decimals)] if decimals else []))

    return read


reads("floor")(_rounding(floor))
reads("ceil")(_rounding(ceil))
reads("round")(_rounding(nearest))


for _names, _sign, _theirs in (
    (("add", "__add__", "__radd__"), "+", torch.add),
    (("sub", "__sub__", "subtract"), "-", torch.sub),
    (("mul", "__mul__", "__rmul__", "multiply"), "*", torch.mul),
    (("div", "__truediv__", "__div__", "divide", "true_divide"), "/", torch.div),
):
    reads(*_names)(_operator(_sign, _theirs))
reads("__rsub__", "rsub")(_operator("-", torch.sub, True))
reads("__rtruediv__", "__rdiv__")(_operator("/", torch.div, True))


@reads("neg", "__neg__", "negative")
def _negative(tracer: Tracer, x: Argument) -> Result:
    return Filled(-x.number, x.shape, x.dtype) if isinstance(x, Filled) else tracer.script.negative(tracer.value(x))


@reads("pow", "__pow__", "special_pow")
def _power(tracer: Tracer, x: Argument, exponent: Argument) -> Result:
    dtype = _dtype(tracer)
    is_number = not isinstance(exponent, bool | Extent | OpenFloat)
    if not (is_number and isinstance(exponent, int | float)) or not isinstance(x, Value | Lazy | torch.Tensor):
        return tracer.call(powers.power, *pair(tracer, x, exponent, dtype))
    if exponent == 2:
        return tracer.call(basic.square, tracer.value(x, dtype))
    if abs(exponent) == 0.5:
        return tracer.call(basic.sqrt if exponent > 0 else powers.rsqrt, tracer.value(x, dtype))
    is_whole = abs(exponent) <= 64 and exponent == int(exponent)
    return tracer.script.operation("**", tracer.value(x, dtype), int(exponent) if is_whole else float(exponent))


def _of_pair(function: Function, swapped: bool = False) -> Handler:
    def read(tracer: Tracer, a: Argument, b: Argument) -> Result:
        if swapped:
            a, b = b, a
        return tracer.call(function, *pair(tracer, a, b, _dtype(tracer)))

    return read


_OF_PAIRS: dict[tuple[str, ...], Function] = {
    ("fmax",): numbers.fmax,
    ("fmin",): numbers.fmin,
    ("fmod",): remainders.fmod,
    ("remainder", "__mod__"): remainders.remainder,
    ("__floordiv__", "floor_divide"): remainders.floor_divide,
    ("copysign",): numbers.copysign,
    ("atan2", "arctan2"): angles.atan2,
    ("hypot",): powers.hypot,
    ("logaddexp",): logarithms.logaddexp,
    ("logaddexp2",): logarithms.logaddexp2,
    ("xlogy", "special_xlogy"): logarithms.xlogy,
}
_SWAPPED: dict[str, Function] = {
    "__rmod__": remainders.remainder,
    "__rfloordiv__": remainders.floor_divide,
    "__rpow__": powers.power,
}
for _theirs_of_pair, _function in _OF_PAIRS.items():
    reads(*_theirs_of_pair)(_of_pair(_function))
for _name, _function in _SWAPPED.items():
    reads(_name)(_of_pair(_function, True))


def of_pair_with_ties(function: Function) -> Handler:
    """Return a function that translates ``maximum`` or ``minimum``; equal operands get half of the gradient each."""
    return lambda tracer, a, b: tracer.call(function, *pair(tracer, a, b, _dtype(tracer)), **ties(_dtype(tracer)))


def ties(dtype: str) -> dict[str, str]:
    """Return the option ``ties`` of ``rg.maximum`` for a dtype: halved gradients for floats, {} for other dtypes."""
    return {"ties": "both"} if dtype in FLOATS else {}


reads("maximum")(of_pair_with_ties(basic.maximum))
reads("minimum")(of_pair_with_ties(basic.minimum))


@reads("heaviside")
def _heaviside(tracer: Tracer, x: Argument, values: Argument) -> Result:
    """Declare the step function. Unlike NumPy's, torch's step of NaN is 0."""
    dtype = _dtype(tracer)
    step = tracer.cast(tracer.call(basic.greater, tracer.value(x, dtype), 0.0), dtype)
    return tracer.call(
        basic.where, tracer.call(basic.equal, tracer.value(x, dtype), 0.0), operand(tracer, values, dtype), step
    )


def unary(function: Function, theirs: Function) -> Handler:
    """Return a function that translates torch's elementwise function ``theirs`` to a call of the ``rg`` function."""

    def read(tracer: Tracer, x: Argument) -> Result:
        if isinstance(x, Filled):  # a constant tensor
            number = theirs(torch.tensor(x.number, dtype=TORCH_DTYPES[x.dtype])).item()
            return Filled(number, x.shape, _dtype(tracer))
        return tracer.call(function, tracer.value(x, _dtype(tracer)))

    return read


for _name in ("tanh", "sigmoid", "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "erf", "square", "abs"):
    reads(_name)(unary(getattr(basic, _name), getattr(torch, _name)))
_OF_ONE: dict[tuple[str, ...], tuple[Function, Function]] = {
    ("absolute", "__abs__"): (basic.abs, torch.abs),
    ("exp2",): (powers.exp2, torch.exp2),
    ("log2",): (logarithms.log2, torch.log2),
    ("log10",): (logarithms.log10, torch.log10),
    ("reciprocal",): (powers.reciprocal, torch.reciprocal),
    ("rsqrt",): (powers.rsqrt, torch.rsqrt),
    ("special_entr",): (logarithms.entr, torch.special.entr),
    ("erfc", "special_erfc"): (normal.erfc, torch.erfc),
    ("special_ndtr",): (normal.ndtr, torch.special.ndtr),
    ("trunc", "fix"): (remainders.trunc, torch.trunc),
    ("tan",): (angles.tan, torch.tan),
    ("asin", "arcsin"): (angles.asin, torch.asin),
    ("acos", "arccos"): (angles.acos, torch.acos),
    ("atan", "arctan"): (basic.atan, torch.atan),
    ("sinc", "special_sinc"): (angles.sinc, torch.sinc),
    ("deg2rad",): (angles.deg2rad, torch.deg2rad),
    ("rad2deg",): (angles.rad2deg, torch.rad2deg),
    ("sinh",): (hyperbolic.sinh, torch.sinh),
    ("cosh",): (hyperbolic.cosh, torch.cosh),
    ("asinh", "arcsinh"): (hyperbolic.asinh, torch.asinh),
    ("acosh", "arccosh"): (hyperbolic.acosh, torch.acosh),
    ("atanh", "arctanh"): (hyperbolic.atanh, torch.atanh),
}
for _theirs_of_one, (_function, _own) in _OF_ONE.items():
    reads(*_theirs_of_one)(unary(_function, _own))


def _predicate(function: Function) -> Handler:
    return lambda tracer, x: tracer.call(function, tracer.value(x))


for _name in ("isnan", "isinf", "isposinf", "isneginf", "isfinite", "signbit"):
    reads(_name)(_predicate(getattr(numbers, _name)))


@reads("sign", "sgn")
def _sign_of(tracer: Tracer, x: Argument) -> Result:
    """Declare the sign. Unlike NumPy's, torch's sign of NaN is 0."""
    if isinstance(x, Filled):
        return unary(basic.sign, torch.sign)(tracer, x)
    return sign(TorchBackend(tracer), tracer.value(x, _dtype(tracer)))


@reads("logit", "special_logit")
def _logit(tracer: Tracer, x: Argument, eps: float | None = None) -> Result:
    return tracer.call(logarithms.logit, tracer.value(x, _dtype(tracer)), *([] if eps is None else [float(eps)]))


@reads("clamp", "clip")
def _clamp(
    tracer: Tracer,
    x: Argument,
    *limits: Argument | None,
    min: Argument | None = None,
    max: Argument | None = None,
    min_val: Argument | None = None,
    max_val: Argument | None = None,
) -> Result:
    low = limits[0] if limits else min if min_val is None else min_val
    high = limits[1] if len(limits) > 1 else max if max_val is None else max_val
    return limited(tracer, x, low, high)


def limited(tracer: Tracer, x: Argument, low: Argument | None, high: Argument | None) -> Operand:
    """Declare x clamped to [low, high]; None for no limit. Where x equals a limit, the gradient is 1."""
    dtype = _dtype(tracer)
    x = tracer.value(x, dtype)
    limits = [None if limit is None else pair(tracer, x, limit, dtype)[1] for limit in (low, high)]
    return tracer.call(basic.clip, x, *limits[: 1 if high is None else 2])


@reads("hardtanh")
def _hardtanh(tracer: Tracer, x: Argument, min_val: Number = -1.0, max_val: Number = 1.0) -> Result:
    """Declare x clamped to [min_val, max_val]. Where x equals a limit, the gradient is 0."""
    dtype = _dtype(tracer)
    x = tracer.value(x, dtype)
    if (min_val, max_val) == (-1, 1):
        return tracer.call(activations.hard_tanh, x)
    above = tracer.call(basic.maximum, operand(tracer, min_val, dtype), x, ties="first")
    return tracer.call(basic.minimum, operand(tracer, max_val, dtype), above, ties="first")


reads("clamp_min")(lambda tracer, x, min: limited(tracer, x, min, None))
reads("clamp_max")(lambda tracer, x, max: limited(tracer, x, None, max))


@reads("where")
def choose(tracer: Tracer, condition: Argument, a: Argument, b: Argument) -> Operand:
    """Declare the entries of a where the condition is True, of b elsewhere. All three operands broadcast."""
    dtype = _dtype(tracer)
    shapes = [shape for shape in (_shape(item) for item in (condition, a, b)) if shape is not None]
    whole = tracer.sizes.broadcast(*shapes)
    if isinstance(condition, Repeated) and any(isinstance(x, Value) and shape_of(x) == whole for x in (a, b)):
        condition = condition.of
    if isinstance(condition, bool):
        condition = Filled(condition, (), "bool")
    condition = tracer.value(condition, "bool")
    first, second = (
        operand(tracer, item, dtype, whole if isinstance(item, Filled) else shape_of(condition)) for item in (a, b)
    )
    if not isinstance(first, Value) and not isinstance(second, Value) and dtype != "float32":
        # ``rg.where`` of two Python numbers would be float32.
        first = tracer.call(basic.cast, tracer.call(constant, first), dtype)
    return tracer.call(basic.where, condition, first, second)


@reads("masked_fill")
def _masked_fill(tracer: Tracer, x: Argument, mask: Argument, value: Argument) -> Result:
    return choose(tracer, mask, value, x)


@reads(
    "to",
    "type_as",
    "float",
    "double",
    "long",
    "int",
    "bool",
    "half",
    "bfloat16",
    "cpu",
    "cuda",
    "contiguous",
    "clone",
    "identity",
    "requires_grad_",
    "view_as_real",
    "type",
    "_to_copy",
    "pin_memory",
    "alias",
    "positive",
    "__copy__",
    "__deepcopy__",
    "conj",
    "real",
    "resolve_conj",
    "resolve_neg",
    "conj_physical",
)
def _converted(tracer: Tracer, x: Operand, *_: object, **__: object) -> Operand | str:
    """Cast x to the dtype of torch's result. For ``x.type()``, return torch's name of the dtype."""
    if isinstance(tracer.expected, str):  # x.type(), a name such as torch.FloatTensor
        return tracer.expected.replace("meta.", "")
    dtype = DTYPES.get(tracer.expected.dtype)
    if dtype is None:
        raise UnreadableError(f"dtype {tracer.expected.dtype} is not supported; use float32")
    return tracer.value(x, dtype) if isinstance(x, torch.Tensor) else tracer.cast(x, dtype)


@reads("detach", "data", ".data")
def _detached(tracer: Tracer, x: Operand) -> Result:
    x = _converted(tracer, x)
    if isinstance(x, Positions) or tracer.is_number(x) or dtype_of(x) not in FLOATS:
        return x
    return tracer.call(basic.stop_gradient, tracer.value(x))


@reads("nan_to_num")
def _without_nan(
    tracer: Tracer,
    x: Argument,
    nan: Number | None = None,
    posinf: Number | None = None,
    neginf: Number | None = None,
) -> Result:
    replacements = {"nan": nan, "posinf": posinf, "neginf": neginf}
    options = {name: float(number) for name, number in replacements.items() if number is not None}
    return tracer.call(numbers.nan_to_num, tracer.value(x), **options)


@reads("lerp")
def _lerp(tracer: Tracer, a: Argument, b: Argument, weight: Argument) -> Result:
    """Declare linear interpolation, computed from the nearer end, so that both ends and infinities are exact."""
    dtype, operation = _dtype(tracer), tracer.script.operation
    first, second = pair(tracer, a, b, dtype)
    difference, share = operation("-", second, first), operand(tracer, weight, dtype)
    if isinstance(share, int | float):
        end, share = (first, share) if abs(share) < 0.5 else (second, share - 1.0)
        return operation("+", end, operation("*", difference, share))
    is_near = operation("<", tracer.call(basic.abs, share), 0.5)
    nearer = tracer.call(basic.where, is_near, first, second)
    share = tracer.call(basic.where, is_near, share, operation("-", share, 1.0))
    return operation("+", nearer, operation("*", difference, share))


@reads("addcmul")
def _addcmul(tracer: Tracer, x: Argument, a: Argument, b: Argument, *, value: Number = 1) -> Result:
    dtype = _dtype(tracer)
    product = tracer.script.operation("*", *pair(tracer, a, b, dtype))
    if value != 1:
        product = tracer.script.operation("*", product, operand(tracer, value, dtype))
    return tracer.script.operation("+", *pair(tracer, x, product, dtype))
