"""Handlers of packed sequences, which become rows with lengths.

torch sorts the rows by length, and later restores their order. The script leaves the rows in their original order.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....declare.functions import basic
from ....declare.functions.sequences import ensure_longest, source_of
from ....ir.types import Dim, Size
from ...steps import Value
from ..tracing.calls import user_line_of_module
from ..tracing.cuts import Cut
from ..tracing.kinds import Number, Operand, Result
from ..tracing.numbers import LongestRow, dim_of
from ..tracing.registry import UnreadableError, reads
from ..tracing.tracer import Tracer
from ..tracing.values import Lazy, Packed, Positions, Sorted, dtype_of, shape_of
from .orders import ordered, scatter
from .shapes import permuted, reshaped

_REASON = (
    "torch's pad_packed_sequence cuts time to the longest row, and a result depends on the number of steps; or write "
    "total_length= in the module"
)
"""Reason that the script passes to ``rg.ensure_longest``, for errors of calls."""
_COMPUTED = (
    "it cuts time to the longest row, on which a result depends, and computed lengths can't be checked; "
    "pack with lengths that are an input, or write total_length=x.size(1)"
)


@reads("sort")
def _sort(tracer: Tracer, x: Operand, dim: int = -1, descending: bool = False, stable: bool = False) -> Result:
    if isinstance(x, Sorted) and x.what == "order" and not descending:  # The argsort of a permutation is its inverse.
        return Positions(x.shape[0], 0, 1, "int64"), _inverse(x)
    if not descending or len(shape_of(x)) != 1 or not dtype_of(x).startswith("int"):
        return ordered(tracer, x, dim, descending)
    return tuple(Sorted(what, x, x, shape_of(x), "int64") for what in ("lengths", "order"))


@reads("argsort")
def _argsort(tracer: Tracer, x: Operand, dim: int = -1, descending: bool = False, stable: bool = False) -> Result:
    return _sort(tracer, x, dim, descending)[1]


@reads("scatter_")
def _scatter(
    tracer: Tracer,
    x: Operand,
    dim: int,
    index: Operand,
    source: Operand | None = None,
    *,
    src: Operand | None = None,
    value: Number | None = None,
    reduce: str | None = None,
) -> Result:
    if isinstance(x, Sorted) and isinstance(index, Sorted) and index.what == "order":
        return _inverse(index)
    return scatter(tracer, x, dim, index, src if source is None else source, value=value, reduce=reduce)


def _inverse(order: Sorted) -> Sorted:
    """Return the inverse of a permutation."""
    return Sorted("back", order.of, order.lengths, order.shape, "int64")


@reads("_pack_padded_sequence")
def _pack(tracer: Tracer, x: Operand, lengths: Operand, batch_first: bool) -> Result:
    """Return (packed data, batch sizes) for ``pack_padded_sequence``: descriptions that keep all rows unpacked."""
    is_sorted = isinstance(x, Sorted)
    rows = tracer.value(x.of if isinstance(x, Sorted) else x)
    if not isinstance(lengths, Value | Lazy):
        raise UnreadableError("the lengths are Python numbers from the example; pass them to forward as a tensor")
    counts = lengths.of if isinstance(lengths, Sorted) else lengths
    shape = shape_of(rows)
    batch, time = shape[:2] if batch_first else (shape[1], shape[0])
    tracer.sizes.unify(batch, shape_of(counts)[0])
    tracer.on_time(time)
    counts = tracer.value(counts)
    if tracer.cut_axes.as_inputs:
        counts = _fed_lengths(tracer, counts)
    data = Packed(rows, counts, batch_first, is_sorted, (batch * time, *shape[2:]), dtype_of(rows))
    return data, Packed(rows, counts, batch_first, is_sorted, (time,), "int64")


@reads("_pad_packed_sequence")
def _unpack(
    tracer: Tracer, data: Operand, sizes: object, batch_first: bool, padding_value: float, total: int
) -> Result:
    """Return (rows, lengths) for ``pad_packed_sequence``, with ``padding_value`` past the end of each row."""
    if not isinstance(data, Packed):
        raise UnreadableError("it unpacks a sequence that the module did not pack; pack it with pack_padded_sequence")
    time = shape_of(data.of)[1 if data.batch_first else 0]
    if not isinstance(total, LongestRow) and dim_of(total) != time:
        raise UnreadableError(
            "total_length must be the number of steps of the input, such as x.size(1); pad before or after"
        )
    rows = _cut_rows(tracer, data, float(padding_value)) if isinstance(total, LongestRow) else None
    if rows is None:
        rows = _pad_rows(tracer, data.of, data, float(padding_value), data.ends_in_zeros)
    rank = len(shape_of(rows))
    if batch_first != data.batch_first:
        rows = tracer.value(permuted(tracer, rows, [1, 0, *range(2, rank)]))
    if not data.is_sorted:
        return rows, data.lengths
    lengths = Sorted("lengths", data.lengths, data.lengths, shape_of(data.lengths), dtype_of(data.lengths))
    axis = 0 if batch_first else 1
    return Sorted("rows", rows, data.lengths, shape_of(rows), dtype_of(rows), axis), lengths


def _cut_rows(tracer: Tracer, data: Packed, padding: float) -> Value | None:
    """Return unpacked rows whose time axis torch cuts to the longest row, as a checked value or a new input; else None.

    A run-time check ensures that the longest row of a checked value has all steps. The result is None if the tracer
    requests neither.
    """
    number, axis, shape = len(tracer.cuts), 1 if data.batch_first else 0, shape_of(data.of)
    source, steps = source_of(data.lengths.tensor), tracer.sizes.value(shape[axis])
    fed = next((label for label, value in tracer.script.inputs.items() if value.tensor.node is source), None)
    # Sequences that were packed with the same lengths share the size of the cut axis.
    size = tracer.cut_sizes.setdefault((id(source), steps), f"unpacked_{number}_steps")
    if number in tracer.cut_axes.checked:
        if fed is None:
            raise UnreadableError(_COMPUTED)
        rows = tracer.call(ensure_longest, data.of, data.lengths, padding, axis, reason=_REASON)
        tracer.cuts.append(Cut(size, fed, rows.tensor.node, user_line_of_module()))
        return rows
    tracer.cuts.append(Cut(size, fed, None, user_line_of_module()))
    if not tracer.cut_axes.as_inputs:
        return None
    tracer.sizes.examples[size] = steps
    entries = _entries([tracer.sizes.open(size) if place == axis else dim for place, dim in enumerate(shape)])
    name = f"unpacked_{number}"
    return _pad_rows(tracer, tracer.script.input(name, entries, dtype_of(data.of), name), data, padding, False)


def _entries(shape: Sequence[Dim]) -> list[int | str]:
    """Return a shape as the argument ``shape`` of ``rg.placeholder``: ints, and names of symbolic sizes."""
    dims = [dim.symbol if isinstance(dim, Size) else dim for dim in shape]
    entries = [dim for dim in dims if dim is not None]
    if len(entries) < len(dims):
        raise UnreadableError("it has an axis of computed size; unpack a sequence whose sizes are those of an input")
    return entries


def _fed_lengths(tracer: Tracer, lengths: Value) -> Value:
    """Return row lengths as an input. Computed lengths are replaced by a new input of their shape."""
    source = source_of(lengths.tensor)
    if source.op == "input":
        return lengths
    key = "lengths", id(source)
    if key not in tracer.cached:
        name = f"unpacked_lengths_{len(tracer.script.inputs)}"
        tracer.cached[key] = tracer.script.input(name, _entries(shape_of(lengths)), dtype_of(lengths), name)
    return tracer.cached[key]


def _pad_rows(tracer: Tracer, rows: Value, data: Packed, number: float, ends_in_zeros: bool) -> Value:
    """Return the rows of a packed sequence with ``number`` in all steps past the end of a row.

    Args:
        tracer: The tracer.
        rows: The rows, with all steps of the input.
        data: The packed sequence.
        number: The number.
        ends_in_zeros: True if the steps past the end are known to be 0.
    """
    if ends_in_zeros and not number:
        return rows
    shape = shape_of(rows)
    time = shape[1] if data.batch_first else shape[0]
    step: Operand = tracer.value(Positions(time, 0, 1, dtype_of(data.lengths)))
    limit: Operand = data.lengths
    if data.batch_first:
        limit = reshaped(tracer, data.lengths, [*shape_of(data.lengths), 1])
    else:
        step = reshaped(tracer, step, [time, 1])
    real = tracer.script.operation("<", tracer.value(step), tracer.value(limit))
    for _ in shape[2:]:
        real = tracer.call(basic.expand_dims, real, -1)
    return tracer.call(basic.where, real, rows, number)
