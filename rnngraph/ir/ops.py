"""The closed table of ops, with one row for each op. ``Op`` documents the columns.

The column ``evaluate`` defines the op's value: the interpreter runs it, and native code is tested against it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import attributes as may
from . import axis_rules as axes_of
from . import derivatives as derivative
from . import type_rules as rule
from .axis_rules import as_numbers, in_all, in_dividend, jointly, never
from .node import DIVISION, DRAW, FUNCTION, INSTRUCTION, AttributeRule, AxisColumn, Derivative, Evaluate, Linear, Node
from .node import OPS as OPS
from .node import Op as Op
from .numbers import evaluation as value
from .numbers import narrow, random
from .type_rules import Infer
from .types import FLOATS, INTEGERS

MANY = 1 << 30
"""Maximum arity of variadic ops."""


def _row(
    name: str,
    kind: str,
    arity: int | tuple[int, int],
    infer: Infer,
    column: AxisColumn | None = None,
    evaluate: Evaluate | None = None,
    derivative: Derivative | None = None,
    cost: str = INSTRUCTION,
    keeps_zero: bool = False,
    random: bool = False,
    until: str = "",
    optional: tuple[str, ...] = (),
    **attributes: AttributeRule,
) -> None:
    """Add a row to the table. ``column`` is the axis column, which is required."""
    if not isinstance(column, AxisColumn):
        raise TypeError(
            f"the row of {name} does not say what the op does to the axes of its operands; "
            "put a column of ir/axis_rules.py behind the type rule"
        )
    bounds = (arity, arity) if isinstance(arity, int) else arity
    OPS[name] = Op(
        name, kind, bounds, infer, evaluate, derivative, column, cost, keeps_zero, random, until, attributes,
        frozenset(optional),
    )  # fmt: skip


def _elementwise(
    name: str, arity: int, infer: Infer, evaluate: Evaluate, derivative: Derivative, cost: str, keeps_zero: bool,
    linear: Callable[[Node], Linear] = never, random: bool = False, optional: tuple[str, ...] = (),
    **attributes: AttributeRule,
) -> None:  # fmt: skip
    """Add the row of an elementwise op, whose operands broadcast."""
    kind, column = "elementwise", axes_of.elementwise(linear)
    _row(name, kind, arity, infer, column, evaluate, derivative, cost, keeps_zero, random, "", optional, **attributes)


_ANY = FLOATS + INTEGERS

_row("input", "leaf", 0, rule.typed, axes_of.GIVEN, label=may.text, type=may.kind)
_row("parameter", "leaf", 0, rule.typed, axes_of.GIVEN, label=may.text, type=may.kind)
_row("constant", "leaf", 0, rule.constant, axes_of.GIVEN, lambda arrays, a: a["value"], value=may.anything)
# If ``runs`` is set and the size counts steps, streams go on counting where the last step ended.
_row(
    "iota", "leaf", 0, rule.iota, axes_of.GIVEN, lambda arrays, a: np.arange(a["size"], dtype=np.int64),
    optional=("runs",), size=may.dim, runs=may.flag,
)  # fmt: skip
_row(
    "dimension",
    "leaf",
    0,
    rule.dimension,
    axes_of.dimension,
    lambda arrays, a: np.asarray(a["size"], np.int64),
    optional=("runs",),
    size=may.dim,
    runs=may.flag,
)

_FLOATS, _NUMBERS, _TRUTHS = rule.elementwise(FLOATS), rule.elementwise(_ANY), rule.elementwise(("bool",))
_COMPARISON = rule.elementwise(_ANY, "bool")

# Name, number of operands, type rule, value, derivative, cost, and keeps_zero.
_elementwise("neg", 1, _NUMBERS, value.plain(np.negative), derivative.neg, INSTRUCTION, True, in_all)
_elementwise("abs", 1, _NUMBERS, value.plain(np.abs), derivative.abs, INSTRUCTION, True)
_elementwise("sign", 1, _NUMBERS, value.plain(np.sign), derivative.nothing, INSTRUCTION, True)
# Round to the nearest integer, ties to even.
_elementwise("round", 1, _FLOATS, value.plain(np.rint), derivative.nothing, INSTRUCTION, True)
_elementwise("exp", 1, _FLOATS, value.plain(np.exp), derivative.exp, FUNCTION, False)
_elementwise("expm1", 1, _FLOATS, value.plain(np.expm1), derivative.expm1, FUNCTION, True)
_elementwise("log", 1, _FLOATS, value.plain(np.log), derivative.log, FUNCTION, False)
_elementwise("log1p", 1, _FLOATS, value.plain(np.log1p), derivative.log1p, FUNCTION, True)
_elementwise("sqrt", 1, _FLOATS, value.plain(np.sqrt), derivative.sqrt, DIVISION, True)
_elementwise("tanh", 1, _FLOATS, value.plain(np.tanh), derivative.tanh, FUNCTION, True)
_elementwise("sigmoid", 1, _FLOATS, value.plain(value.sigmoid), derivative.sigmoid, FUNCTION, False)
_elementwise("sin", 1, _FLOATS, value.plain(np.sin), derivative.sin, FUNCTION, True)
_elementwise("cos", 1, _FLOATS, value.plain(np.cos), derivative.cos, FUNCTION, False)
_elementwise("atan", 1, _FLOATS, value.plain(np.arctan), derivative.atan, FUNCTION, True)
_elementwise("erf", 1, _FLOATS, value.plain(value.erf), derivative.erf, FUNCTION, True)
# Identity whose derivative is zero.
_elementwise("stop_gradient", 1, _FLOATS, lambda arrays, a: arrays[0], derivative.nothing, INSTRUCTION, True, in_all)
_elementwise("not", 1, _TRUTHS, value.plain(np.logical_not), derivative.nothing, INSTRUCTION, False)
_elementwise(
    "cast", 1, rule.cast, lambda arrays, a: narrow.cast(arrays[0], a["dtype"]), derivative.cast, INSTRUCTION, True,
    as_numbers, dtype=may.cast_dtype,
)  # fmt: skip
_elementwise("add", 2, _NUMBERS, value.plain(np.add), derivative.add, INSTRUCTION, True, in_all)
_elementwise("sub", 2, _NUMBERS, value.plain(np.subtract), derivative.sub, INSTRUCTION, True, in_all)
# If ``labels`` is present, the first operand holds the labels of a loss.
_elementwise(
    "mul", 2, _NUMBERS, value.plain(np.multiply), derivative.mul, INSTRUCTION, True,
    jointly((0,), (1,)), optional=("labels",), labels=may.labels,
)  # fmt: skip
# Integer division truncates; division by 0 returns 0.
_elementwise("div", 2, _NUMBERS, value.plain(value.divide), derivative.div, DIVISION, False, in_dividend)
# Exact remainder of x / y, with the sign of x. For integers, y = 0 returns 0.
_elementwise("fmod", 2, _NUMBERS, value.plain(value.fmod), derivative.fmod, DIVISION, False)
# Integers wrap. A negative integer exponent returns 1 / x^-y, truncated, and 0 for x = 0.
_elementwise("power", 2, _NUMBERS, value.plain(value.power), derivative.power, FUNCTION, False)
# The magnitude of x with the sign bit of y, also for -0 and NaN.
_elementwise("copysign", 2, _FLOATS, value.plain(np.copysign), derivative.copysign, INSTRUCTION, True)
_elementwise("maximum", 2, _NUMBERS, value.plain(np.maximum), derivative.maximum, INSTRUCTION, True)
_elementwise("minimum", 2, _NUMBERS, value.plain(np.minimum), derivative.minimum, INSTRUCTION, True)
# If ``within`` is present, a call checks that the numbers fed are within the last axis, or an axis of size ``entries``.
# ``reason`` is added to the error message.
_elementwise(
    "less", 2, _COMPARISON, value.plain(np.less), derivative.nothing, INSTRUCTION, False,
    optional=("within", "entries", "reason"), within=may.within, entries=may.dim, reason=may.text,
)  # fmt: skip
_elementwise("less_equal", 2, _COMPARISON, value.plain(np.less_equal), derivative.nothing, INSTRUCTION, False)
_elementwise(
    "equal", 2, _COMPARISON, value.plain(np.equal), derivative.nothing, INSTRUCTION, False,
    optional=("within",), within=may.within,
)  # fmt: skip
_elementwise("not_equal", 2, _COMPARISON, value.plain(np.not_equal), derivative.nothing, INSTRUCTION, False)
_elementwise("and", 2, _TRUTHS, value.plain(np.logical_and), derivative.nothing, INSTRUCTION, False)
_elementwise("or", 2, _TRUTHS, value.plain(np.logical_or), derivative.nothing, INSTRUCTION, False)
_elementwise(
    "fma", 3, _FLOATS, value.plain(lambda a, b, c: a * b + c), derivative.fma, INSTRUCTION, True,
    jointly((0, 2), (1, 2)),
)  # fmt: skip
# A select that ``guards`` the padding past a row's end is removed if no derivative is taken.
_elementwise(
    "select", 3, rule.select, value.plain(np.where), derivative.select, INSTRUCTION, True,
    jointly((1, 2)), optional=("guards", "samples"), guards=may.flag, samples=may.flag,
)  # fmt: skip
_elementwise(
    "random_key", 3, rule.random_key, value.random_key, derivative.nothing, DRAW, False, random=True,
    site=may.text, salt=may.integer,
)  # fmt: skip
_elementwise(
    "random_uniform", 2, rule.random_uniform, value.plain(random.random_uniform), derivative.nothing, DRAW, False,
    random=True,
)  # fmt: skip
# Random numbers of samples: functions of (number of the stream, step), and of (key, unit). They are no random ops: the
# inference graph admits them, because a stream's state holds all that they depend on.
_elementwise(
    "sample_key", 2, rule.random_key, value.sample_key, derivative.nothing, DRAW, False, site=may.text, salt=may.integer
)
_elementwise(
    "sample_uniform", 2, rule.random_uniform, value.plain(random.random_uniform), derivative.nothing, DRAW, False
)

# Operands are floats of one dtype, bfloat16 accumulated in float32, or 8-bit integers accumulated exactly in int32.
# The right operand is one matrix, or a batch of float matrices with the same leading axes as the left operand.
# ``sparse``: skip blocks of zeros of the right operand, where 0 times NaN is then 0.
_row(
    "matmul",
    "contraction",
    (2, 3),
    rule.matmul,
    axes_of.matmul,
    value.matmul,
    derivative.matmul,
    optional=("sparse",),
    sparse=may.flag,
)

# Sum of outer products of rows over all leading axes: the adjoint of a matmul's right operand.
_row("outer_sum", "contraction", 2, rule.outer_sum, axes_of.outer_sum, value.outer_sum, derivative.outer_sum)

# Add each row to the row of a zero table that its index selects: the adjoint of a gather's table.
_row(
    "scatter_add",
    "contraction",
    2,
    rule.scatter_add,
    axes_of.scatter_add,
    value.scatter_add,
    derivative.scatter_add,
    rows=may.dim,
)

# Overlap-add of windows: the adjoint of ``windows``. ``size`` is the size of the axis of the result.
_row(
    "overlap_add", "contraction", 1, rule.overlap_add, axes_of.overlap_add, value.overlap_add, derivative.overlap_add,
    axis=may.axis, size=may.dim, step=may.divisor, apart=may.positive,
)  # fmt: skip

# ``fused``: sum a product by fused multiply-adds, each rounded once.
_row(
    "reduce_sum", "reduction", 1, rule.reduce, axes_of.reduce_sum, value.reduce(np.sum), derivative.reduce_sum,
    optional=("fused",), axes=may.axes, keepdims=may.flag, fused=may.flag,
)  # fmt: skip
# ``nonempty``: a call checks that there is at least one element.
_row(
    "reduce_max", "reduction", 1, rule.reduce, axes_of.reduce_extreme,
    value.extreme(np.max, value.lowest, rule.check_nonempty), derivative.reduce_extreme,
    optional=("nonempty",), axes=may.axes, keepdims=may.flag, nonempty=may.flag,
)  # fmt: skip
_row(
    "reduce_min", "reduction", 1, rule.reduce, axes_of.reduce_extreme,
    value.extreme(np.min, value.highest, rule.check_nonempty), derivative.reduce_extreme,
    optional=("nonempty",), axes=may.axes, keepdims=may.flag, nonempty=may.flag,
)  # fmt: skip

_row(
    "slice", "movement", 1, rule.slice, axes_of.slice, value.part, derivative.slice,
    start=may.starts, stop=may.stops, step=may.steps,
)  # fmt: skip
# Every ``step``-th sliding window of ``size`` entries with dilation ``apart``, stacked on a new axis after ``axis``.
_row(
    "windows", "movement", 1, rule.windows, axes_of.windows, value.windows, derivative.windows,
    axis=may.axis, size=may.positive, step=may.divisor, apart=may.positive,
)  # fmt: skip
_row(
    "reverse", "movement", 1, lambda types, a, meet: types[0], axes_of.reverse,
    lambda arrays, a: np.flip(arrays[0], a["axis"]),
    derivative.reverse, axis=may.axis,
)  # fmt: skip
_row(
    "transpose", "movement", 1, rule.transpose, axes_of.transpose,
    lambda arrays, a: np.transpose(arrays[0], a["order"]), derivative.transpose, order=may.axes,
)  # fmt: skip
_row(
    "reshape", "movement", 1, rule.reshape, axes_of.reshape, lambda arrays, a: np.reshape(arrays[0], a["shape"]),
    derivative.reshape, shape=may.shape,
)  # fmt: skip
_row(
    "broadcast", "movement", 1, rule.broadcast, axes_of.elementwise(in_all),
    lambda arrays, a: np.broadcast_to(arrays[0], a["shape"]),
    derivative.broadcast, shape=may.shape,
)  # fmt: skip
_row(
    "concat", "movement", (1, MANY), rule.concat, axes_of.concat, lambda arrays, a: np.concatenate(arrays, a["axis"]),
    derivative.concat, axis=may.axis,
)  # fmt: skip
# Identity with other formulas for its sizes. Each call checks that they are equal.
_row(
    "ensure_shape",
    "movement",
    1,
    rule.ensure_shape,
    axes_of.elementwise(in_all),
    value.ensure_shape,
    derivative.ensure_shape,
    shape=may.shape,
)
_row("gather", "movement", 2, rule.gather, axes_of.gather, value.gather, derivative.gather)

# A declared dropout takes the value and keep_prob; ``lower`` adds seed, step and row.
_row(
    "dropout",
    "structured",
    (2, 5),
    rule.dropout,
    axes_of.dropout,
    random=True,
    until="split",
    site=may.text,
    salt=may.integer,
)
# Random numbers of the operand's shape; ``lower`` replaces it by random_key and random_uniform.
_row("noise", "structured", 1, rule.noise, axes_of.noise, random=True, until="lower")
# Random numbers of a sample, of the operand's shape; ``lower`` replaces it by sample_key and sample_uniform.
_row("sample_noise", "structured", 1, rule.sample_noise, axes_of.noise, random=True, until="lower")
# Identity that names an intermediate value; on request, ``lower`` makes the value an output.
_row("tap", "structured", 1, lambda types, attributes, meet: types[0], axes_of.elementwise(in_all), until="lower")
# (training, inference): ``split`` selects the operand of each graph.
_row("by_graph", "structured", 2, rule.by_graph, axes_of.elementwise(in_all), until="split")
# (value, parameter, next value of the parameter): the value; a training step that is applied updates the parameter.
_row("with_update", "structured", 3, rule.with_update, axes_of.with_update, until="split")
# A declared driver, which ``lower`` replaces by a scan. Tracing the cell determines its type.
_row(
    "driver",
    "structured",
    (0, MANY),
    lambda types, attributes, meet: attributes["result"],
    axes_of.UNKNOWN,
    until="lower",
)
# ``when``: index of a boolean input of the body, a carry or a step of a sequence. Where it is false, the step is
# skipped: carries keep their values, and zeros are emitted.
# ``keeps``: also return each carry as it is before every block of so many steps, after the emitted values.
# ``blocks``: every block of so many steps starts from its own element of the initial values.
_row(
    "scan", "structured", (0, MANY), rule.scan, axes_of.scan, optional=("unroll", "when", "keeps", "blocks"),
    body=may.anything, carries=may.carries, sequences=may.sequences, length=may.length, reverse=may.flag,
    unroll=may.unrolled, when=may.body_input, keeps=may.divisor, blocks=may.divisor,
)  # fmt: skip
_row("get", "structured", 1, rule.get, axes_of.PART, index=may.item)
