"""The closed table of ops: one row an op, with arity, type rule and meaning in NumPy.

``infer`` is the op's type rule. ``evaluate`` is the definition of its value: the interpreter runs it, and
native code is tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import erf, prod
from typing import Any

import numpy as np

from . import attributes as may
from . import narrow, random
from . import type_rules as rule
from .type_rules import Infer, scan_parts
from .types import FLOATS, INTEGERS

Evaluate = Callable[[Sequence[np.ndarray], Mapping[str, Any]], np.ndarray]


@dataclass(frozen=True)
class Op:
    """A row of the table.

    kind: ``leaf``, ``elementwise``, ``contraction``, ``reduction``, ``movement`` or ``structured``.
    random: whether the value depends on a seed (such ops are forbidden in the inference graph). attributes: what
    each may be; optional: those that a node can do without.
    """

    name: str
    kind: str
    arity: tuple[int, int]
    infer: Infer
    evaluate: Evaluate | None
    random: bool = False
    attributes: Mapping[str, may.Rule] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()


OPS: dict[str, Op] = {}


def _row(
    name: str,
    kind: str,
    arity: int | tuple[int, int],
    infer: Infer,
    evaluate: Evaluate | None = None,
    random: bool = False,
    optional: tuple[str, ...] = (),
    **attributes: may.Rule,
) -> None:
    bounds = (arity, arity) if isinstance(arity, int) else arity
    OPS[name] = Op(name, kind, bounds, infer, evaluate, random, attributes, frozenset(optional))


# Meanings in NumPy ----------------------------------------------------------------------------------


def _plain(function: Callable[..., Any]) -> Evaluate:
    def evaluate(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays))

    return evaluate


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, np.ones_like(small)) / (1 + small)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(erf, otypes=[x.dtype])(x) if x.size else x


def _eval_matmul(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    value = narrow.product(arrays[0], arrays[1])
    with np.errstate(all="ignore"):
        return value + arrays[2] if len(arrays) == 3 else value


def _eval_outer_sum(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    left, right = (array.reshape(prod(array.shape[:-1]), array.shape[-1]) for array in arrays)
    with np.errstate(all="ignore"):
        return left.T @ right


def _eval_reduce(function: Callable[..., Any]) -> Evaluate:
    def evaluate(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
        with np.errstate(all="ignore"):
            value = function(arrays[0], axis=tuple(attributes["axes"]), keepdims=attributes["keepdims"])
        return np.asarray(value, dtype=arrays[0].dtype)

    return evaluate


def _eval_slice(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    bounds = zip(attributes["start"], attributes["stop"], attributes["step"], strict=True)
    return arrays[0][tuple(slice(start, stop, step) for start, stop, step in bounds)]


def _eval_random_key(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    seed, step, row = arrays
    return random.random_key(seed, step, row, attributes["site"], attributes["salt"])


def _eval_ensure_shape(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    if arrays[0].shape != attributes["shape"]:
        raise ValueError(f"a value of shape {arrays[0].shape} is taken as one of {attributes['shape']}")
    return arrays[0]


def _eval_extreme(function: Callable[..., Any], of_none: Callable[[np.dtype[Any]], Any]) -> Evaluate:
    """of_none: what the extreme of no elements is, which no element can be beyond."""

    def evaluate(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
        axes, keep = tuple(attributes["axes"]), attributes["keepdims"]
        if attributes.get("nonempty"):
            rule.check_nonempty(arrays[0].shape, axes)
        return np.asarray(function(arrays[0], axis=axes, keepdims=keep, initial=of_none(arrays[0].dtype)))

    return evaluate


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _highest(dtype: np.dtype[Any]) -> Any:
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


def _eval_gather(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    return arrays[0][np.clip(arrays[1], 0, arrays[0].shape[0] - 1)]


def _eval_scatter_add(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    indices, updates = arrays
    value = np.zeros((attributes["rows"], *updates.shape[indices.ndim :]), updates.dtype)
    with np.errstate(all="ignore"):
        np.add.at(value, np.clip(indices, 0, attributes["rows"] - 1), updates)
    return value


_ANY = FLOATS + INTEGERS
_ALL = (*_ANY, "bool")

_row("input", "leaf", 0, rule.typed, label=may.text, type=may.kind)
_row("parameter", "leaf", 0, rule.typed, label=may.text, type=may.kind)
_row("constant", "leaf", 0, rule.constant, lambda arrays, a: a["value"], value=may.anything)
_row("iota", "leaf", 0, rule.iota, lambda arrays, a: np.arange(a["size"], dtype=np.int64), size=may.dim)
_row("dimension", "leaf", 0, rule.dimension, lambda arrays, a: np.asarray(a["size"], np.int64), size=may.dim)

_row("neg", "elementwise", 1, rule.elementwise(_ANY), _plain(np.negative))
_row("abs", "elementwise", 1, rule.elementwise(_ANY), _plain(np.abs))
_row("sign", "elementwise", 1, rule.elementwise(_ANY), _plain(np.sign))
# The nearest whole number; of two the even one.
_row("round", "elementwise", 1, rule.elementwise(FLOATS), _plain(np.rint))
_row("exp", "elementwise", 1, rule.elementwise(FLOATS), _plain(np.exp))
_row("expm1", "elementwise", 1, rule.elementwise(FLOATS), _plain(np.expm1))
_row("log", "elementwise", 1, rule.elementwise(FLOATS), _plain(np.log))
_row("log1p", "elementwise", 1, rule.elementwise(FLOATS), _plain(np.log1p))
_row("sqrt", "elementwise", 1, rule.elementwise(FLOATS), _plain(np.sqrt))
_row("tanh", "elementwise", 1, rule.elementwise(FLOATS), _plain(np.tanh))
_row("sigmoid", "elementwise", 1, rule.elementwise(FLOATS), _plain(_sigmoid))
_row("sin", "elementwise", 1, rule.elementwise(FLOATS), _plain(np.sin))
_row("cos", "elementwise", 1, rule.elementwise(FLOATS), _plain(np.cos))
_row("erf", "elementwise", 1, rule.elementwise(FLOATS), _plain(_erf))
# The value itself; its derivative is nothing.
_row("stop_gradient", "elementwise", 1, rule.elementwise(FLOATS), lambda arrays, attributes: arrays[0])
_row("not", "elementwise", 1, rule.elementwise(("bool",)), _plain(np.logical_not))
_row("cast", "elementwise", 1, rule.cast, lambda arrays, a: narrow.cast(arrays[0], a["dtype"]), dtype=may.dtype)

_row("add", "elementwise", 2, rule.elementwise(_ANY), _plain(np.add))
_row("sub", "elementwise", 2, rule.elementwise(_ANY), _plain(np.subtract))
# Of a product that has ``labels`` the first operand are labels, as a loss has them.
_row(
    "mul", "elementwise", 2, rule.elementwise(_ANY), _plain(np.multiply), optional=("labels",), labels=may.labels
)  # fmt: skip
_row("div", "elementwise", 2, rule.elementwise(FLOATS), _plain(np.divide))
_row("maximum", "elementwise", 2, rule.elementwise(_ANY), _plain(np.maximum))
_row("minimum", "elementwise", 2, rule.elementwise(_ANY), _plain(np.minimum))
# Of a comparison that has ``within``, the numbers that were fed are checked to lie within the axis.
_row(
    "less", "elementwise", 2, rule.elementwise(_ANY, "bool"), _plain(np.less), optional=("within",), within=may.within
)  # fmt: skip
_row("less_equal", "elementwise", 2, rule.elementwise(_ANY, "bool"), _plain(np.less_equal))
_row(
    "equal", "elementwise", 2, rule.elementwise(_ANY, "bool"), _plain(np.equal), optional=("within",), within=may.within
)  # fmt: skip
_row("not_equal", "elementwise", 2, rule.elementwise(_ANY, "bool"), _plain(np.not_equal))
_row("and", "elementwise", 2, rule.elementwise(("bool",)), _plain(np.logical_and))
_row("or", "elementwise", 2, rule.elementwise(("bool",)), _plain(np.logical_or))
_row("fma", "elementwise", 3, rule.elementwise(FLOATS), _plain(lambda a, b, c: a * b + c))
# One that ``guards`` what stands past a row's end goes where no derivative is taken.
_row("select", "elementwise", 3, rule.select, _plain(np.where), optional=("guards",), guards=may.flag)
_row(
    "random_key",
    "elementwise",
    3,
    rule.random_key,
    _eval_random_key,
    random=True,
    site=may.text,
    salt=may.integer,
)
_row("random_uniform", "elementwise", 2, rule.random_uniform, _plain(random.random_uniform), random=True)

# Of floats of one dtype; of bfloat16 in float32; of uint8 and int8, exactly, in int32.
_row("matmul", "contraction", (2, 3), rule.matmul, _eval_matmul)

# The sum over all leading axes of outer products of rows: what a product's right operand receives.
_row("outer_sum", "contraction", 2, rule.outer_sum, _eval_outer_sum)

# Rows, each added to the row of a table of zeros that its index names: what a gather's table receives.
_row("scatter_add", "contraction", 2, rule.scatter_add, _eval_scatter_add, rows=may.dim)

_row("reduce_sum", "reduction", 1, rule.reduce, _eval_reduce(np.sum), axes=may.axes, keepdims=may.flag)
# Of a reduction that is ``nonempty`` a call checks that there is something to choose from.
_row(
    "reduce_max", "reduction", 1, rule.reduce, _eval_extreme(np.max, _lowest), optional=("nonempty",), axes=may.axes,
    keepdims=may.flag, nonempty=may.flag,
)  # fmt: skip
_row(
    "reduce_min", "reduction", 1, rule.reduce, _eval_extreme(np.min, _highest), optional=("nonempty",), axes=may.axes,
    keepdims=may.flag, nonempty=may.flag,
)  # fmt: skip

_row(
    "slice", "movement", 1, rule.slice, _eval_slice, start=may.starts, stop=may.stops, step=may.steps
)  # fmt: skip
_row("reverse", "movement", 1, lambda t, a, m: t[0], lambda arrays, a: np.flip(arrays[0], a["axis"]), axis=may.axis)
_row(
    "transpose", "movement", 1, rule.transpose, lambda arrays, a: np.transpose(arrays[0], a["order"]), order=may.axes
)  # fmt: skip
_row("reshape", "movement", 1, rule.reshape, lambda arrays, a: np.reshape(arrays[0], a["shape"]), shape=may.shape)
_row(
    "broadcast", "movement", 1, rule.broadcast, lambda arrays, a: np.broadcast_to(arrays[0], a["shape"]),
    shape=may.shape,
)  # fmt: skip
_row(
    "concat", "movement", (1, 1 << 30), rule.concat, lambda arrays, a: np.concatenate(arrays, a["axis"]),
    axis=may.axis,
)  # fmt: skip
# The value itself, with sizes written another way: that both are equal is checked at each call.
_row("ensure_shape", "movement", 1, rule.ensure_shape, _eval_ensure_shape, shape=may.shape)
_row("gather", "movement", 2, rule.gather, _eval_gather)

# While declaring, dropout has the value and keep_prob; lower adds seed, step and row.
_row("dropout", "structured", (2, 5), rule.dropout, random=True, site=may.text, salt=may.integer)
# Random numbers of a shape, while declaring: lower makes keys and numbers of it.
_row("noise", "structured", 1, rule.noise, random=True)
# A value that can be looked at by name, while declaring: lower gives it beside the outputs where that is asked for.
_row("tap", "structured", 1, lambda types, attributes, meet: types[0])
# (training, inference): split takes the one that the graph is for.
_row("by_graph", "structured", 2, rule.by_graph)
# A driver as declared: lower replaces it by a scan. Its type is settled when the cell is traced.
_row("driver", "structured", (0, 1 << 30), lambda types, attributes, meet: attributes["result"])
# A step runs where the body's input ``when`` holds, a carry or a step of a sequence; one that does not run leaves
# what is carried as it is, and emits zeros. Where there is no ``when``, every step runs.
_row(
    "scan", "structured", (0, 1 << 30), rule.scan, optional=("unroll", "when"), body=may.anything,
    carries=may.carries, sequences=may.sequences, length=may.length, reverse=may.flag, unroll=may.unrolled,
    when=may.body_input,
)  # fmt: skip
_row("get", "structured", 1, rule.get, index=may.item)

__all__ = ["OPS", "Op", "scan_parts"]
