"""Small node builders: scalars, zeros, broadcasts and their adjoints, slices and what they read, sums of transposes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..support.records import NamedTuple
from .graph import Node, make
from .types import Dim


def number(value: float, like: Node) -> Node:
    """Return a scalar constant of the dtype of ``like``."""
    return make("constant", value=np.asarray(value, like.dtype))


def unbroadcast(adjoint: Node, to: Node) -> Node:
    """Return a derivative ``adjoint`` summed over the axes along which ``to`` was broadcast, in the shape of ``to``."""
    extra = adjoint.tensor.rank - to.tensor.rank
    axes = tuple(range(extra)) + tuple(
        axis + extra for axis, dim in enumerate(to.shape) if dim == 1 and adjoint.shape[axis + extra] != 1
    )
    if axes:
        adjoint = make("reduce_sum", adjoint, where=adjoint.where, axes=axes, keepdims=False)
    return adjoint if adjoint.shape == to.shape else make("reshape", adjoint, shape=to.shape)


def broadcast_to(node: Node, shape: tuple[Dim, ...]) -> Node:
    """Return ``node`` broadcast to a shape; ``node`` itself if it has the shape."""
    return node if node.shape == shape else make("broadcast", node, shape=shape)


def zeros(shape: tuple[Dim, ...], like: Node) -> Node:
    """Return zeros of a shape and of the dtype of ``like``."""
    return broadcast_to(number(0.0, like), shape)


class Entries(NamedTuple):
    """Entries ``first`` to ``last - 1`` along an axis."""

    axis: int
    first: Dim
    last: Dim


def entries_read(node: Node) -> Entries | None:
    """Return the entries that a slice reads; None for other nodes, steps other than 1, and slices of several axes."""
    if node.op != "slice" or any(step != 1 for step in node["step"]):
        return None
    whole = node.operands[0].shape
    axes = [axis for axis, dim in enumerate(node.shape) if dim != whole[axis]]
    return Entries(axes[0], node["start"][axes[0]], node["stop"][axes[0]]) if len(axes) == 1 else None


def sliced(node: Node, axis: int, first: Dim, last: Dim) -> Node:
    """Return positions ``first`` to ``last - 1`` along ``axis``. A negative axis counts from the last one."""
    place = axis % node.tensor.rank
    start = tuple(first if number == place else 0 for number in range(node.tensor.rank))
    stop = tuple(last if number == place else dim for number, dim in enumerate(node.shape))
    return make("slice", node, where=node.where, start=start, stop=stop, step=(1,) * node.tensor.rank)


def column_slice(x: Node, first: Dim, last: Dim, like: Node) -> Node:
    """Return a node for ``x[..., first:last]``; ``x`` itself if its last axis has size 1, which broadcasts."""
    if not x.tensor.rank or x.shape[-1] == 1:
        return x
    if first == 0 and last == x.shape[-1]:
        return x
    head = x.shape[:-1]
    return make(
        "slice",
        x,
        where=like.where,
        start=(*(0 for _ in head), first),
        stop=(*head, last),
        step=(1,) * x.tensor.rank,
    )


def row_slice(kernel: Node, first: Dim, last: Dim) -> Node:
    """Return ``kernel[first:last]``."""
    return make("slice", kernel, where=kernel.where, start=(first, 0), stop=(last, kernel.shape[1]), step=(1, 1))


def merged_transposes(node: Node, value: Node) -> Node | None:
    """Return ``node``, a transpose of ``value``, merged with ``value`` if that is a transpose, too; None if it is not.

    Return the value before both if they cancel, and ``value`` if ``node`` keeps the order of its axes.
    """
    order, inner = node["order"], value
    if inner.op == "transpose":
        order = tuple(inner["order"][axis] for axis in order)
        inner = inner.operands[0]
    if order == tuple(range(len(order))):
        return inner
    return make("transpose", inner, where=node.where, name=node.name, order=order) if inner is not value else None


def reduced_before_transpose(node: Node, inner: Node, order: Sequence[int]) -> Node:
    """Return a reduction of a transpose of ``inner`` as a reduction of ``inner``, transposed afterwards if needed.

    ``inner`` is the operand of the old transpose, and ``order`` is its order of axes.
    """
    axes = tuple(sorted(order[axis] for axis in node["axes"]))
    reduced = make(node.op, inner, where=node.where, name=node.name, **{**dict(node.attributes), "axes": axes})
    if node["keepdims"]:
        return make("transpose", reduced, where=node.where, order=tuple(order))
    kept = [source for axis, source in enumerate(order) if axis not in node["axes"]]
    ranked = sorted(kept)
    if kept == ranked:
        return reduced
    return make("transpose", reduced, where=node.where, order=tuple(ranked.index(axis) for axis in kept))
