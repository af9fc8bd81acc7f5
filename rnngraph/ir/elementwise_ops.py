"""Rows of elementwise ops in the table of ops.

Arguments of a row: name, number of operands, type rule, value, derivative, cost, and whether zeros give zero. Then,
for a linear op, the operands in which it is linear.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import attributes as may
from . import axis_rules as axes_of
from . import derivatives as derivative
from . import type_rules as rule
from .axis_rules import as_numbers, in_all, in_dividend, jointly, never
from .node import DIVISION, DRAW, FUNCTION, INSTRUCTION, AttributeRule, Derivative, Evaluate, Linear, Node, row
from .numbers import evaluation as value
from .numbers import narrow, random
from .type_rules import Infer
from .types import FLOATS, INTEGERS


def elementwise(
    name: str,
    arity: int,
    infer: Infer,
    evaluate: Evaluate,
    derivative: Derivative,
    cost: str,
    keeps_zero: bool,
    linear: Callable[[Node], Linear] = never,
    random: bool = False,
    optional: tuple[str, ...] = (),
    **attributes: AttributeRule,
) -> None:
    """Add the row of an elementwise op, whose operands broadcast."""
    kind, column = "elementwise", axes_of.elementwise(linear)
    row(name, kind, arity, infer, column, evaluate, derivative, cost, keeps_zero, random, "", optional, **attributes)


_ANY = FLOATS + INTEGERS
_FLOATS, _NUMBERS, _TRUTHS = rule.elementwise(FLOATS), rule.elementwise(_ANY), rule.elementwise(("bool",))
_COMPARISON = rule.elementwise(_ANY, "bool")

elementwise("neg", 1, _NUMBERS, value.plain(np.negative), derivative.neg, INSTRUCTION, True, in_all)
elementwise("abs", 1, _NUMBERS, value.plain(np.abs), derivative.abs, INSTRUCTION, True)
elementwise("sign", 1, _NUMBERS, value.plain(np.sign), derivative.nothing, INSTRUCTION, True)
# Round to the nearest integer, ties to even.
elementwise("round", 1, _FLOATS, value.plain(np.rint), derivative.nothing, INSTRUCTION, True)
elementwise("exp", 1, _FLOATS, value.plain(np.exp), derivative.exp, FUNCTION, False)
elementwise("expm1", 1, _FLOATS, value.plain(np.expm1), derivative.expm1, FUNCTION, True)
elementwise("log", 1, _FLOATS, value.plain(np.log), derivative.log, FUNCTION, False)
elementwise("log1p", 1, _FLOATS, value.plain(np.log1p), derivative.log1p, FUNCTION, True)
elementwise("sqrt", 1, _FLOATS, value.plain(np.sqrt), derivative.sqrt, DIVISION, True)
elementwise("tanh", 1, _FLOATS, value.plain(np.tanh), derivative.tanh, FUNCTION, True)
elementwise("sigmoid", 1, _FLOATS, value.plain(value.sigmoid), derivative.sigmoid, FUNCTION, False)
elementwise("sin", 1, _FLOATS, value.plain(np.sin), derivative.sin, FUNCTION, True)
elementwise("cos", 1, _FLOATS, value.plain(np.cos), derivative.cos, FUNCTION, False)
elementwise("atan", 1, _FLOATS, value.plain(np.arctan), derivative.atan, FUNCTION, True)
elementwise("erf", 1, _FLOATS, value.plain(value.erf), derivative.erf, FUNCTION, True)
# Identity whose derivative is zero.
elementwise("stop_gradient", 1, _FLOATS, lambda arrays, a: arrays[0], derivative.nothing, INSTRUCTION, True, in_all)
# The value is the second operand, and the adjoint goes to the first. ``split`` (for inference) and ``autodiff`` replace
# the op by its value.
elementwise(
    "straight_through",
    2,
    _FLOATS,
    value.plain(lambda x, value: np.broadcast_arrays(x, value)[1]),
    derivative.straight_through,
    INSTRUCTION,
    True,
    jointly((1,)),
)
elementwise("not", 1, _TRUTHS, value.plain(np.logical_not), derivative.nothing, INSTRUCTION, False)
elementwise(
    "cast",
    1,
    rule.cast,
    lambda arrays, a: narrow.cast(arrays[0], a["dtype"]),
    derivative.cast,
    INSTRUCTION,
    True,
    as_numbers,
    dtype=may.cast_dtype,
)
elementwise("add", 2, _NUMBERS, value.plain(np.add), derivative.add, INSTRUCTION, True, in_all)
elementwise("sub", 2, _NUMBERS, value.plain(np.subtract), derivative.sub, INSTRUCTION, True, in_all)
# If ``labels`` is present, the first operand holds the labels of a loss.
elementwise(
    "mul",
    2,
    _NUMBERS,
    value.plain(np.multiply),
    derivative.mul,
    INSTRUCTION,
    True,
    jointly((0,), (1,)),
    optional=("labels",),
    labels=may.labels,
)
# Integer division truncates, and is 0 for a divisor of 0.
elementwise("div", 2, _NUMBERS, value.plain(value.divide), derivative.div, DIVISION, False, in_dividend)
# Exact remainder of x / y, with the sign of x. For integers, the result is 0 if y is 0.
elementwise("fmod", 2, _NUMBERS, value.plain(value.fmod), derivative.fmod, DIVISION, False)
# Integers wrap. For a negative integer exponent, the result is 1 / x^-y, truncated, and 0 if x is 0.
elementwise("power", 2, _NUMBERS, value.plain(value.power), derivative.power, FUNCTION, False)
# The magnitude of x with the sign bit of y, also for -0 and NaN.
elementwise("copysign", 2, _FLOATS, value.plain(np.copysign), derivative.copysign, INSTRUCTION, True)
elementwise("maximum", 2, _NUMBERS, value.plain(np.maximum), derivative.maximum, INSTRUCTION, True)
elementwise("minimum", 2, _NUMBERS, value.plain(np.minimum), derivative.minimum, INSTRUCTION, True)
# If ``within`` is present, a call checks that fed numbers are indices of the last axis, or of an axis of size
# ``entries``. ``reason`` is added to the error message.
elementwise(
    "less",
    2,
    _COMPARISON,
    value.plain(np.less),
    derivative.nothing,
    INSTRUCTION,
    False,
    optional=("within", "entries", "reason"),
    within=may.within,
    entries=may.dim,
    reason=may.text,
)
elementwise("less_equal", 2, _COMPARISON, value.plain(np.less_equal), derivative.nothing, INSTRUCTION, False)
elementwise(
    "equal",
    2,
    _COMPARISON,
    value.plain(np.equal),
    derivative.nothing,
    INSTRUCTION,
    False,
    optional=("within",),
    within=may.within,
)
elementwise("not_equal", 2, _COMPARISON, value.plain(np.not_equal), derivative.nothing, INSTRUCTION, False)
elementwise("and", 2, _TRUTHS, value.plain(np.logical_and), derivative.nothing, INSTRUCTION, False)
elementwise("or", 2, _TRUTHS, value.plain(np.logical_or), derivative.nothing, INSTRUCTION, False)
elementwise(
    "fma",
    3,
    _FLOATS,
    value.plain(lambda a, b, c: a * b + c),
    derivative.fma,
    INSTRUCTION,
    True,
    jointly((0, 2), (1, 2)),
)
# ``guards``: the select replaces values after a row's end. Graphs without derivatives do not need such a select.
elementwise(
    "select",
    3,
    rule.select,
    value.plain(np.where),
    derivative.select,
    INSTRUCTION,
    True,
    jointly((1, 2)),
    optional=("guards", "samples"),
    guards=may.flag,
    samples=may.flag,
)
elementwise(
    "random_key",
    3,
    rule.random_key,
    value.random_key,
    derivative.nothing,
    DRAW,
    False,
    random=True,
    site=may.text,
    salt=may.integer,
)
elementwise(
    "random_uniform",
    2,
    rule.random_uniform,
    value.plain(random.random_uniform),
    derivative.nothing,
    DRAW,
    False,
    random=True,
)
# Random numbers of samples: functions of (number of the stream, step), and of (key, unit). The inference graph admits
# these ops, because a stream's state holds all that they depend on. They are therefore not marked as ``random``.
elementwise(
    "sample_key", 2, rule.random_key, value.sample_key, derivative.nothing, DRAW, False, site=may.text, salt=may.integer
)
elementwise(
    "sample_uniform", 2, rule.random_uniform, value.plain(random.random_uniform), derivative.nothing, DRAW, False
)
