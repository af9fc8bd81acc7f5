"""Functions along a time axis: reversal of rows, last steps, and positions."""

from __future__ import annotations

from typing import Any

from ...ir.attributes import MAX_ELEMENTS
from ...ir.graph import Node
from ...ir.types import product
from ...support.api_guard import api
from ...support.arguments import whole_number
from ...support.errors import DtypeError, GraphError, ShapeError, shown
from ..tensor import Tensor, build
from .basic import cast, dimension, expand_dims, gather, known_by, one_axis, reduce_max, reduce_sum, transpose, where
from .matching import is_within, lengths_of_rows


@api
def reverse_sequence(x: Tensor, lengths: Any, axis: int = 1) -> Tensor:
    """Reverse the steps of each row within its length. Steps beyond the length are unchanged.

    Args:
        x: [batch, time, …], or [time, batch, …] with ``axis=0``.
        lengths: int [batch], each in 0..time.
        axis: Time axis, 0 or 1.
    """
    if not isinstance(x, Tensor) or x.rank < 2:
        raise ShapeError(f"reverse_sequence needs a Tensor [batch, time, …], not {x!r}")
    if not time_axis(x, axis, "reverse_sequence"):
        order = (1, 0, *range(2, x.rank))
        return transpose(reverse_sequence(transpose(x, order), lengths), order)
    batch, time, *rest = x.type.shape
    lengths = lengths_of_rows(lengths, batch, "lengths")
    limit = build("reshape", lengths, shape=(lengths.type.shape[0], 1))
    step = build("iota", size=time)
    source = where(is_within(time, limit, within="lengths"), limit - 1 - step, step)
    rows = build("reshape", build("iota", size=batch), shape=(batch, 1))
    table = build("reshape", x, shape=(product((batch, time)), *rest))
    return gather(table, rows * dimension(time, "int64") + source)


@api
def gather_last(outputs: Tensor, lengths: Any) -> Tensor:
    """Return the output of each row at its last step, number ``lengths`` - 1.

    Args:
        outputs: float [batch, time, width].
        lengths: int [batch], each in 0..time. The output of a row of length 0 is 0.

    Returns:
        Tensor [batch, width].
    """
    if outputs.rank != 3:
        raise ShapeError(f"gather_last needs outputs [batch, time, width], not {outputs!r}")
    counts = build("iota", size=outputs.type.shape[1]) + 1
    rows = lengths_of_rows(lengths, outputs.type.shape[0], "lengths")
    hit = build("equal", expand_dims(rows, -1), counts, within="lengths")
    return reduce_sum(where(expand_dims(hit, -1), outputs, 0), axis=1)


@api
def ensure_longest(x: Tensor, lengths: Any, padding: float = 0.0, axis: int = 1, reason: str = "") -> Tensor:
    """Set the steps of x beyond each row's length to ``padding``, and check that the time axis is not too long.

    A call raises ``ShapeError`` if the time axis is longer than the longest row. Functions that depend on the number of
    steps, such as a mean over time, then do not depend on how a batch was padded.

    Args:
        x: [batch, time, …], or [time, batch, …] with ``axis=0``.
        lengths: int [batch], each in 0..time. It must be a placeholder, because computed lengths cannot be checked.
        padding: Value of the steps beyond a row's length.
        axis: Time axis, 0 or 1.
        reason: Reason for the check, which is added to the error message.
    """
    if not isinstance(x, Tensor) or x.rank < 2:
        raise ShapeError(f"ensure_longest needs a Tensor [batch, time, …], not {shown(x)}")
    place = time_axis(x, axis, "ensure_longest")
    if not isinstance(lengths, Tensor) or source_of(lengths).op != "input":
        raise GraphError(f"ensure_longest needs lengths that are fed, not {shown(lengths)}; give a placeholder")
    rows = lengths_of_rows(lengths, x.type.shape[1 - place], "lengths")
    limit = build("reshape", rows, shape=(rows.type.shape[0], 1))
    options: dict[str, Any] = {"reason": reason} if reason else {}
    real = is_within(x.type.shape[place], limit, within="longest", **options)
    if not place:
        real = build("transpose", real, order=(1, 0))
    for _ in range(x.rank - 2):
        real = expand_dims(real, -1)
    return where(real, x, padding)


@api
def ensure_size(x: Tensor, axis: int, at_least: int = 0, at_most: int | None = None) -> Tensor:
    """Return ``x``, and check at each call that the size of an axis is from ``at_least`` to ``at_most``.

    A call raises ``ShapeError`` for another size, and so does the declaration if the size is fixed. Streams are not
    checked, because their length is not known before they end.

    Args:
        x: A Tensor.
        axis: Axis whose size is checked.
        at_least: Minimum size.
        at_most: Maximum size; None: no limit.
    """
    if not isinstance(x, Tensor):
        raise DtypeError(f"ensure_size needs a Tensor, not {shown(x)}")
    size = x.type.shape[one_axis(x.rank, axis)]
    low = whole_number(at_least, "at_least", 0)
    high = MAX_ELEMENTS if at_most is None else whole_number(at_most, "at_most", low)
    if not isinstance(size, int):
        return build("ensure_shape", x, shape=x.type.shape, limits=(size, low, high))
    if not low <= size <= high:
        bounds = f"at least {low}" if at_most is None else f"{low} to {high}"
        raise ShapeError(f"axis {axis} of {x!r} must have {bounds} entries")
    return x


def time_axis(x: Tensor, axis: int, what: str) -> int:
    """Return a time axis as a non-negative index, after a check that it is axis 0 or 1 of x.

    ``what`` names the calling function in errors.
    """
    place = one_axis(x.rank, axis)
    if place > 1:
        raise ShapeError(
            f"{what}: axis {axis} can't be time; time must be axis 0 or 1, and the batch the other of these axes"
        )
    return place


def source_of(x: Tensor) -> Node:
    """Return the node from which x comes by casts, reshapes and checks of shapes alone; without any, x's own node."""
    node = x.node
    while node.op in ("reshape", "cast", "ensure_shape"):
        node = node.operands[0]
    return node


@api
def positions(x: Tensor, axis: int = 0) -> Tensor:
    """Return the indices 0, 1, 2, … along ``axis`` of ``x`` as int64 [size of the axis].

    In a stream, indices along time continue from step to step: the number of the next one is part of the stream's
    state.
    """
    if not isinstance(x, Tensor):
        raise DtypeError(f"positions needs a Tensor, not {shown(x)}")
    position = one_axis(x.rank, axis)
    places = build("iota", size=x.type.shape[position], runs=True)
    others = tuple(other for other in range(x.rank) if other != position)
    along = reduce_max(cast(x, "float32"), others) if others else cast(x, "float32")
    return known_by(along, places)
