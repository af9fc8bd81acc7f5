"""Derivative rules (vector-Jacobian products), one for each op; the derivative column of the table of ops.

A rule is a function of a node and the adjoint of its value. It returns for each operand an adjoint of the operand's
shape, or None if there is no derivative. Scans have no rule, because a pass differentiates them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .build import broadcast_to, number, unbroadcast, zeros
from .graph import Graph, make, map_bodies, rewrite, topological, with_operands
from .node import OPS, Derivative, Node, OperandAdjoints, inverse_order
from .types import DIFFERENTIABLE, FLOATS, Dim


def adjoints(node: Node, g: Node) -> OperandAdjoints:
    """Return derivatives of the loss by each operand of ``node``, given ``g``, that by its value. None means no path.

    New nodes get the source line of ``node``.
    """
    rule = OPS[node.op].derivative
    assert rule is not None, f"{node.op} has no derivative"
    parts = rule(node, g)
    new = {item: item for item in (g, node, *node.operands)}
    for item in topological([part for part in parts if part is not None], new):
        new[item] = with_operands(item, tuple([new[operand] for operand in item.operands]), node.where)
    return tuple(part and new[part] for part in parts)


def _op(name: str, *operands: Node, **attributes: Any) -> Node:
    """Return a new node with the source line of its first operand."""
    return make(name, *operands, where=operands[0].where, **attributes)


def _unary(rule: Callable[[Node, Node, Node], Node]) -> Derivative:
    """Return a derivative rule from a function of (adjoint, operand, value)."""
    return lambda node, g: (rule(g, node.operands[0], node),)


def nothing(node: Node, g: Node) -> OperandAdjoints:
    """Return no adjoints, for an op without derivatives."""
    return (None,) * len(node.operands)


def _binary(rule: Callable[[Node, Node, Node, Node], tuple[Node, Node]]) -> Derivative:
    """Return a derivative rule from a function of (adjoint, first, second, value), for operands that broadcast."""

    def apply(node: Node, g: Node) -> OperandAdjoints:
        a, b = node.operands
        return tuple(unbroadcast(part, to) for part, to in zip(rule(g, a, b, node), (a, b), strict=True))

    return apply


def _extreme_rule(op: str) -> Derivative:
    """Return the function that computes derivatives by the operands of the elementwise ``op``, maximum or minimum.

    The operand that is selected gets the adjoint. If both operands are equal, the second one gets it.
    """

    def apply(node: Node, g: Node) -> OperandAdjoints:
        a, b = node.operands
        first = _op("less", b, a) if op == "maximum" else _op("less", a, b)
        zero = number(0.0, g)
        return (
            unbroadcast(_op("select", first, g, zero), a),
            unbroadcast(_op("select", first, zero, g), b),
        )

    return apply


def select(node: Node, g: Node) -> OperandAdjoints:
    condition, a, b = node.operands
    zero = number(0.0, g)
    return (
        None,
        unbroadcast(_op("select", condition, g, zero), a),
        unbroadcast(_op("select", condition, zero, g), b),
    )


def _slope_of_abs(x: Node) -> Node:
    """Return -1, 0 or 1 by the sign of x; 0 also where x is NaN, as in torch and TensorFlow."""
    below = _op("select", _op("less", x, number(0.0, x)), number(-1.0, x), number(0.0, x))
    return _op("select", _op("less", number(0.0, x), x), number(1.0, x), below)


def straight_through(node: Node, g: Node) -> OperandAdjoints:
    return unbroadcast(g, node.operands[0]), None


def fma(node: Node, g: Node) -> OperandAdjoints:
    a, b, c = node.operands
    return unbroadcast(_op("mul", g, b), a), unbroadcast(_op("mul", g, a), b), unbroadcast(g, c)


def cast(node: Node, g: Node) -> OperandAdjoints:
    source = node.operands[0]
    if source.dtype not in DIFFERENTIABLE or node.dtype not in DIFFERENTIABLE:
        return (None,)
    # Adjoints of bfloat16 values are float32.
    return (g if source.dtype not in FLOATS else _op("cast", g, dtype=source.dtype),)


def _swap_last_axes(node: Node) -> Node:
    """Return ``node`` with its last two axes swapped."""
    rank = node.tensor.rank
    return make("transpose", node, where=node.where, order=(*range(rank - 2), rank - 1, rank - 2))


def matmul(node: Node, g: Node) -> OperandAdjoints:
    left, right, *start = node.operands
    kind = {"rounded": True} if node.get("rounded") else {}
    if right.tensor.rank > 2:
        to_right = _op("matmul", _swap_last_axes(left), g, **kind)
    elif left.tensor.rank == 1:
        rows = (make("reshape", item, shape=(1, *item.shape)) for item in (left, g))
        to_right = _op("outer_sum", *rows)
    else:
        to_right = _op("outer_sum", left, g)
    return (_op("matmul", g, _swap_last_axes(right), **kind), to_right, *(unbroadcast(g, item) for item in start))


def outer_sum(node: Node, g: Node) -> OperandAdjoints:
    left, right = node.operands
    return _op("matmul", right, _swap_last_axes(g)), _op("matmul", left, g)


def _keepdims_shape(node: Node) -> tuple[Dim, ...]:
    """Return the shape of a reduction's result with keepdims."""
    return tuple(1 if axis in node["axes"] else dim for axis, dim in enumerate(node.operands[0].shape))


def reduce_sum(node: Node, g: Node) -> OperandAdjoints:
    source = node.operands[0]
    return (broadcast_to(make("reshape", g, shape=_keepdims_shape(node)), source.shape),)


def reduce_extreme(node: Node, g: Node) -> OperandAdjoints:
    """Return the derivative by the operand of a maximum or minimum: ``g``, divided evenly between equal extremes.

    TensorFlow divides it in the same way.
    """
    source, shape = node.operands[0], _keepdims_shape(node)
    value, kept = make("reshape", node, shape=shape), make("reshape", g, shape=shape)
    hit = _op("cast", _op("equal", source, value), dtype=source.dtype)
    count = _op("reduce_sum", hit, axes=node["axes"], keepdims=True)
    return (_op("mul", hit, _op("div", kept, count)),)


def slice(node: Node, g: Node) -> OperandAdjoints:
    """Return the derivative by a slice's operand: ``g`` padded with zeros, also between entries if there is a step."""
    source = node.operands[0]
    bounds = zip(node["start"], node["stop"], node["step"], source.shape, strict=True)
    for axis, (start, stop, step, dim) in enumerate(bounds):
        if stop - start == 1 and not isinstance(dim, int):
            g = _among_zeros(g, axis, start, dim)
            continue
        if step != 1:
            g = _spread(g, axis, step, stop - start)
        tail = dim - start - g.shape[axis]
        parts = [zeros(tuple(start if a == axis else d for a, d in enumerate(g.shape)), g)] if start != 0 else []
        parts.append(g)
        if tail != 0:
            parts.append(zeros(tuple(tail if a == axis else d for a, d in enumerate(g.shape)), g))
        g = parts[0] if len(parts) == 1 else make("concat", *parts, where=node.where, axis=axis)
    return (g,)


def _among_zeros(g: Node, axis: int, place: Dim, dim: Dim) -> Node:
    """Return ``g`` at position ``place`` of an axis, with zeros at all other positions.

    The result is a select, which fuses with its readers. A concat would store zeros for the whole sequence.
    """
    at = make("iota", size=dim)
    hit = _op("equal", at, number(place, at) if isinstance(place, int) else make("dimension", size=place))
    shape = tuple(dim if other == axis else 1 for other in range(g.tensor.rank))
    return _op("select", make("reshape", hit, shape=shape), g, number(0, g))


def _spread(g: Node, axis: int, step: int, size: Dim) -> Node:
    """Return ``g`` with ``step - 1`` zeros after every entry of an axis, cut to ``size`` entries."""
    head, tail = g.shape[: axis + 1], g.shape[axis + 1 :]
    entries = make("reshape", g, shape=(*head, 1, *tail))
    gaps = zeros((*head, step - 1, *tail), g)
    joined = make("concat", entries, gaps, axis=axis + 1)
    whole = make("reshape", joined, shape=(*head[:-1], head[-1] * step, *tail))
    stop = (*head[:-1], size, *tail)
    return make("slice", whole, start=(0,) * g.tensor.rank, stop=stop, step=(1,) * g.tensor.rank)


def windows(node: Node, g: Node) -> OperandAdjoints:
    changes = {"size": node.operands[0].shape[node["axis"]]}
    return (_op("overlap_add", g, **{**dict(node.attributes), **changes}),)


def overlap_add(node: Node, g: Node) -> OperandAdjoints:
    changes = {"size": node.operands[0].shape[node["axis"] + 1]}
    return (_op("windows", g, **{**dict(node.attributes), **changes}),)


def concat(node: Node, g: Node) -> OperandAdjoints:
    axis = node["axis"]
    parts: list[Node] = []
    offset: Dim = 0
    for piece in node.operands:
        end = offset + piece.shape[axis]
        start = tuple(offset if a == axis else 0 for a in range(g.tensor.rank))
        stop = tuple(end if a == axis else dim for a, dim in enumerate(g.shape))
        parts.append(make("slice", g, where=node.where, start=start, stop=stop, step=(1,) * g.tensor.rank))
        offset = end
    return parts


def gather(node: Node, g: Node) -> OperandAdjoints:
    """Return the derivative by a gather's table: each row is the sum of ``g`` over all uses of the row."""
    table, indices = node.operands
    return make("scatter_add", indices, g, where=node.where, rows=table.shape[0]), None


def scatter_add(node: Node, g: Node) -> OperandAdjoints:
    return None, make("gather", g, node.operands[0], where=node.where)


neg = _unary(lambda g, x, y: _op("neg", g))
abs = _unary(lambda g, x, y: _op("mul", g, _slope_of_abs(x)))
exp = _unary(lambda g, x, y: _op("mul", g, y))
expm1 = _unary(lambda g, x, y: _op("mul", g, _op("add", y, number(1.0, y))))
log = _unary(lambda g, x, y: _op("div", g, x))
log1p = _unary(lambda g, x, y: _op("div", g, _op("add", x, number(1.0, x))))
sqrt = _unary(lambda g, x, y: _op("div", _op("mul", g, number(0.5, g)), y))
tanh = _unary(lambda g, x, y: _op("mul", g, _op("sub", number(1.0, y), _op("mul", y, y))))
sigmoid = _unary(lambda g, x, y: _op("mul", g, _op("mul", y, _op("sub", number(1.0, y), y))))
sin = _unary(lambda g, x, y: _op("mul", g, _op("cos", x)))
cos = _unary(lambda g, x, y: _op("neg", _op("mul", g, _op("sin", x))))
atan = _unary(lambda g, x, y: _op("div", g, _op("add", _op("mul", x, x), number(1.0, x))))
erf = _unary(
    lambda g, x, y: _op(
        "mul", g, _op("mul", _op("exp", _op("neg", _op("mul", x, x))), number(2.0 / math.sqrt(math.pi), x))
    )
)
add = _binary(lambda g, a, b, y: (g, g))
sub = _binary(lambda g, a, b, y: (g, _op("neg", g)))
mul = _binary(lambda g, a, b, y: (_op("mul", g, b), _op("mul", g, a)))
div = _binary(lambda g, a, b, y: (_op("div", g, b), _op("neg", _op("div", _op("mul", g, y), b))))
fmod = _binary(lambda g, a, b, y: (g, _op("neg", _op("mul", g, _op("round", _op("div", _op("sub", a, y), b))))))


def _power(g: Node, a: Node, b: Node, y: Node) -> tuple[Node, Node]:
    """Return the derivatives g·b·a^(b-1) and g·y·log(a) of y = a^b, without NaN at a = 0 or b = 0."""
    zero = number(0.0, y)
    slope = _op("mul", b, _op("power", a, _op("sub", b, number(1.0, b))))
    slope = _op("select", _op("equal", b, zero), zero, slope)
    is_constant = _op("and", _op("equal", a, zero), _op("less_equal", zero, b))
    growth = _op("select", is_constant, zero, _op("mul", y, _op("log", a)))
    return _op("mul", g, slope), _op("mul", g, growth)


def copysign(node: Node, g: Node) -> OperandAdjoints:
    """Return g·sign(a)·sign(b), the adjoint of the magnitude ``a``. The sign ``b`` has no derivative."""
    a, b = node.operands
    factor = _op("mul", _op("sign", a), _op("copysign", number(1.0, b), b))
    return unbroadcast(_op("mul", g, factor), a), None


power = _binary(_power)
maximum = _extreme_rule("maximum")
minimum = _extreme_rule("minimum")


def reverse(node: Node, g: Node) -> OperandAdjoints:
    return (_op("reverse", g, axis=node["axis"]),)


def transpose(node: Node, g: Node) -> OperandAdjoints:
    return (_op("transpose", g, order=inverse_order(node["order"])),)


def reshape(node: Node, g: Node) -> OperandAdjoints:
    return (make("reshape", g, shape=node.operands[0].shape),)


def ensure_shape(node: Node, g: Node) -> OperandAdjoints:
    return (make("ensure_shape", g, shape=node.operands[0].shape),)


def broadcast(node: Node, g: Node) -> OperandAdjoints:
    return (unbroadcast(g, node.operands[0]),)


# After differentiation ---------------------------------------------------------------------------------


def value_of(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Return the value of a ``straight_through``, without the operand that gets the adjoint; None for other nodes."""
    if node.op != "straight_through":
        return None
    value = operands[1]
    return value if value.type == node.type else make("broadcast", value, where=node.where, shape=node.shape)


def values_alone(graph: Graph) -> Graph:
    """Return ``graph`` with every ``straight_through``, also in scans, replaced by its value."""
    return rewrite(map_bodies(graph, lambda body: rewrite(body, value_of)), value_of)
