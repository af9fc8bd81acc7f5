"""Functions along an axis that may be time: rows turned round, their last steps, and positions."""

from __future__ import annotations

from typing import Any

from ...ir.types import product
from ...support.api_guard import api
from ...support.errors import DtypeError, ShapeError, shown
from ..tensor import Tensor, build
from .basic import cast, dimension, expand_dims, gather, known_by, one_axis, reduce_max, reduce_sum, where
from .matching import lengths_of_rows


@api
def reverse_sequence(x: Tensor, lengths: Any) -> Tensor:
    """Each row's steps from its last real one to the first; what stands past its length stays.

    x: [batch, time, …].
    lengths: int [batch], each in 0..time.
    """
    if not isinstance(x, Tensor) or x.rank < 2:
        raise ShapeError(f"reverse_sequence needs a Tensor [batch, time, …], not {x!r}")
    batch, time, *rest = x.type.shape
    lengths = lengths_of_rows(lengths, batch, "lengths")
    limit = build("reshape", lengths, shape=(lengths.type.shape[0], 1))
    step = build("iota", size=time)
    real = build("less", step, limit, within="lengths")
    source = where(real, limit - 1 - step, step)
    rows = build("reshape", build("iota", size=batch), shape=(batch, 1))
    table = build("reshape", x, shape=(product((batch, time)), *rest))
    return gather(table, rows * dimension(time, "int64") + source)


@api
def gather_last(outputs: Tensor, lengths: Any) -> Tensor:
    """The output at each row's last real step.

    outputs: [batch, time, width].
    lengths: int [batch], at least 1.

    Gives [batch, width].
    """
    if outputs.rank != 3:
        raise ShapeError(f"gather_last needs outputs [batch, time, width], not {outputs!r}")
    counts = build("iota", size=outputs.type.shape[1]) + 1
    rows = lengths_of_rows(lengths, outputs.type.shape[0], "lengths")
    hit = build("equal", expand_dims(rows, -1), counts, within="lengths")
    return reduce_sum(where(expand_dims(hit, -1), outputs, 0), axis=1)


@api
def positions(x: Tensor, axis: int = 0) -> Tensor:
    """0, 1, 2 and on along ``axis`` of x: int64 [x's size there], which may be open."""
    if not isinstance(x, Tensor):
        raise DtypeError(f"positions needs a Tensor, not {shown(x)}")
    position = one_axis(x.rank, axis)
    places = build("iota", size=x.type.shape[position])
    others = tuple(other for other in range(x.rank) if other != position)
    along = reduce_max(cast(x, "float32"), others) if others else cast(x, "float32")
    return known_by(along, places)
