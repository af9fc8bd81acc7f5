"""Reads Pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....declare.functions.padding import pad
from ..core.known import Known, Operand, check_count
from ..core.sizes import UnreadableError, axis_of
from ..core.table import Call, Outputs, reads


@reads("Pad")
def _pad(call: Call) -> Outputs:
    rank, mode = call.rank(), call.text("mode", "constant")
    pads = call.ints(1, "the paddings") if call.maybe(1) is not None else call.entries("pads") or []
    number: float = call.number("value", 0.0)
    if call.maybe(2) is not None:
        number = call.array(2, "the value").reshape(-1)[0].item()
    axes = [axis_of(axis, rank) for axis in call.ints(3, "axes")] if call.maybe(3) is not None else list(range(rank))
    if len(pads) != 2 * len(axes) or mode not in ("constant", "reflect", "edge", "wrap"):
        raise UnreadableError(f"mode {mode!r} with {len(pads)} pads for {len(axes)} axes is not supported")
    pairs = dict.fromkeys(range(rank), (0, 0))
    pairs |= {axis: (pads[place], pads[place + len(axes)]) for place, axis in enumerate(axes)}
    return padded(call, call.input(0), list(pairs.values()), mode, number)


def padded(call: Call, x: Operand, pairs: Sequence[tuple[int, int]], mode: str, number: float) -> Operand:
    """Pad each axis of x with ``pairs`` of (before, after) entries. Negative counts remove entries."""
    cut = [slice(-before if before < 0 else None, after if after < 0 else None) for before, after in pairs]
    x = call.tensors.index(x, cut)
    added = [(max(before, 0), max(after, 0)) for before, after in pairs]
    if not any(map(any, added)):
        return x
    transposed = call.tensors.transpose_source(x)
    if transposed is not None:
        source, order = transposed
        inner = padded(call, source, [added[order.index(axis)] for axis in range(len(order))], mode, number)
        return call.tensors.transpose(inner, order)
    if isinstance(x, Known):
        check_count(
            int(np.prod([size + sum(pair) for size, pair in zip(x.array.shape, added, strict=True)], dtype=np.float64))
        )
        options: dict[str, Any] = {"constant_values": number} if mode == "constant" else {}
        # NumPy's type stubs accept only literals as the mode.
        return Known(np.pad(x.numbers("an array"), added, mode, **options), x.dtype)  # type: ignore[call-overload]
    options = {} if mode == "constant" else {"mode": mode}
    if mode == "constant" and number:
        options["value"] = number
    nonzero = {axis: pair for axis, pair in enumerate(added) if any(pair)}
    return call.script.call(pad, call.tensors.value(x), nonzero, **options)
