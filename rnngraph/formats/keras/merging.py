"""Declares layers that merge tensors, with the masks of the results."""

from __future__ import annotations

from collections.abc import Mapping

from ...declare.functions.arrays.filling import ones_like
from ...declare.functions.basic import (
    concat,
    expand_dims,
    logical_and,
    logical_not,
    logical_or,
    matmul,
    maximum,
    minimum,
    reshape,
    transpose,
    where,
)
from ...declare.functions.normalization import normalize
from ..steps import Function, Value
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable


def _align_ranks(b: Declaration, inputs: Inputs) -> list[Value]:
    """Return the inputs with the rank of the largest one: axes of size 1 are inserted after the batch axis."""
    values, rank = [], max(x.rank for x in inputs.several)
    for x in inputs.several:
        value = x.value
        for _ in range(rank - x.rank):
            value = b.script.call(expand_dims, value, 1)
        values.append(value)
    return values


def _summed(sign: str) -> Handler:
    """Return the handler of ``Add``, ``Subtract`` or ``Average``, which combine their inputs with ``sign``."""

    def merge(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        total, *others = _align_ranks(b, _at_least_one(layer, inputs))
        for other in others:
            total = b.script.operation(sign, total, other)
        if layer.kind == "Average":
            total = b.script.operation("/", total, float(len(others) + 1))
        return Signal(total, _mask(b, inputs.several))

    return merge


def _multiply(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare the product of the inputs.

    In Keras 3, masked entries count as 1; where all inputs are masked, the product is 0.
    """
    values, signals = _align_ranks(b, _at_least_one(layer, inputs)), inputs.several
    masks = [_broadcast_mask(b, x) if b.version >= 3 else None for x in signals]
    total: Value | None = None
    for value, mask in zip(values, masks, strict=True):
        counted = value if mask is None else b.script.call(where, mask, value, 1)
        total = counted if total is None else b.script.operation("*", total, counted)
    assert total is not None
    mask = _mask(b, signals)
    if mask is not None and b.version >= 3:
        total = b.script.call(where, b.script.call(expand_dims, mask, -1), total, 0)
    return Signal(total, mask)


def _broadcast_mask(b: Declaration, x: Signal) -> Value | None:
    """Declare a tensor's mask with trailing axes of size 1, so that it broadcasts with the tensor."""
    return None if x.mask is None else b.script.call(expand_dims, x.mask, -1)


def _extreme(function: Function) -> Handler:
    """Return the handler of ``Maximum`` or ``Minimum``."""

    def merge(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        """Declare the maximum or minimum. Keras 3 replaces a masked entry by the other operand's entry."""
        signals = _at_least_one(layer, inputs).several
        total: Value | None = None
        counts: Value | None = None
        for value, x in zip(_align_ranks(b, inputs), signals, strict=True):
            mask = _broadcast_mask(b, x) if b.version >= 3 else None
            if total is None:
                total, counts = value, mask
                continue
            other = value if mask is None else b.script.call(where, mask, value, total)
            first = total if counts is None else b.script.call(where, counts, total, other)
            total = b.script.call(function, first, other)
            counts = b.script.call(logical_or, counts, mask) if counts is not None and mask is not None else None
        assert total is not None
        return Signal(total, _mask(b, signals))

    return merge


def _at_least_one(layer: Layer, inputs: Inputs) -> Inputs:
    """Return ``inputs`` unchanged. Raises ``FileError`` if there is no tensor among them."""
    if not inputs.several:
        raise layer.config.error(f"{layer} has no inputs")
    return inputs


def _mask(b: Declaration, signals: list[Signal]) -> Value | None:
    """Declare the mask of merged tensors; None without one.

    In Keras 2 it is the conjunction of all masks. In Keras 3 it is their disjunction, if all tensors have masks.
    """
    masks = [x.mask for x in signals if x.mask is not None]
    if not masks or (b.version >= 3 and len(masks) < len(signals)):
        return None
    total, both = masks[0], logical_or if b.version >= 3 else logical_and
    for mask in masks[1:]:
        total = total if mask.result is total.result else b.script.call(both, total, mask, hint="mask")
    return total


def _concatenate(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    signals, axis = _at_least_one(layer, inputs).several, layer.config.get("axis", -1)
    if not isinstance(axis, int) or isinstance(axis, bool) or not -signals[0].rank <= axis < signals[0].rank:
        raise layer.config.error(f"axis {axis!r} of {layer} does not exist in its inputs")
    value = b.script.call(concat, [x.value for x in signals], axis)
    return Signal(value, _mask_of_parts(b, signals, axis % signals[0].rank))


def _mask_of_parts(b: Declaration, signals: list[Signal], axis: int) -> Value | None:
    """Declare the mask of a concatenation; None if no part has a mask.

    Along time, the masks are concatenated, too. Along the last axis, they are merged as in ``_mask``.
    """
    if all(x.mask is None for x in signals):
        return None
    if axis == 1 and all(x.rank > 2 for x in signals):  # concatenation along time
        parts = [x.mask or all_true(b, b.script.item(x.value, ..., 0)) for x in signals]
        return b.script.call(concat, parts, 1, hint="mask")
    if axis != signals[0].rank - 1 or signals[0].rank < 3:
        raise Unreadable(
            "it concatenates masked inputs along an axis other than time and the last axis; remove the masks"
        )
    if any(x.mask is None for x in signals):  # A tensor without a mask is unmasked, so the disjunction is True.
        if b.version >= 3:
            first = next(x.mask for x in signals if x.mask is not None)
            return b.script.call(logical_or, first, b.script.call(logical_not, first), hint="mask")
        signals = [x for x in signals if x.mask is not None]
    return _mask(b, signals)


def all_true(b: Declaration, like: Value) -> Value:
    """Declare a bool tensor that is True everywhere, in the shape of the float tensor ``like``."""
    return b.script.call(ones_like, like, "bool")


# Products -----------------------------------------------------------------------------------------


def _dot(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare the batched dot product of two tensors along one axis of each."""
    signals, axes = inputs.several, layer.config.get("axes")
    if len(signals) != 2:
        raise layer.config.error(f"{layer} has {len(signals)} inputs; it needs 2")
    pair = [axes, axes] if isinstance(axes, int) else axes
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
        raise layer.config.error(f"axes of {layer} are {axes!r}, not two whole numbers")
    if any(x.rank not in (2, 3) or not -x.rank <= axis < x.rank for x, axis in zip(signals, pair, strict=True)):
        raise Unreadable("its inputs must have rank 2 or 3")
    places = [axis % x.rank for x, axis in zip(signals, pair, strict=True)]
    if 0 in places:
        raise Unreadable("products along the batch axis are not supported")
    values = [x.value for x in signals]
    if layer.config.get("normalize", False):
        options = {} if b.version >= 3 else {"epsilon": 1e-6}
        pairs = zip(values, places, strict=True)
        values = [b.script.call(normalize, value, axis=place, **options) for value, place in pairs]
    left, right = values
    if signals[0].rank == 2:
        left = b.script.call(expand_dims, left, 1)
    elif places[0] == 1:
        left = b.script.call(transpose, left, (0, 2, 1))
    if signals[1].rank == 2:
        right = b.script.call(expand_dims, right, 2)
    elif places[1] == 2:
        right = b.script.call(transpose, right, (0, 2, 1))
    y = b.script.call(matmul, left, right)
    if signals[0].rank == 2 and signals[1].rank == 2:
        return Signal(b.script.call(reshape, y, (None, 1)))
    if signals[0].rank == 2:
        return Signal(b.script.item(y, slice(None), 0))
    return Signal(b.script.item(y, ..., 0) if signals[1].rank == 2 else y)


LAYERS: Mapping[str, Handler] = {
    "Add": _summed("+"),
    "Subtract": _summed("-"),
    "Average": _summed("+"),
    "Multiply": _multiply,
    "Maximum": _extreme(maximum),
    "Minimum": _extreme(minimum),
    "Concatenate": _concatenate,
    "Dot": _dot,
}
