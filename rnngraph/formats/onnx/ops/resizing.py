"""Resize and Upsample, of which each entry is repeated a whole number of times."""

from __future__ import annotations

from ....declare.functions.arrays.moves import repeat
from ....ir.types import quotient
from ..core.known import shape_of
from ..core.sizes import UnreadableError, axis_of, texts
from ..core.table import Call, Outputs, reads

_REPEATING = {
    "asymmetric": ("floor",), "tf_half_pixel_for_nn": ("floor",),
    **dict.fromkeys(
        ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"), ("round_prefer_floor", "round_prefer_ceil")
    ),
}  # fmt: skip
"""Where a result's places are among those of the input, with the roundings that take the entry which they lie in."""


@reads("Resize", "Upsample")
def _resize(call: Call) -> Outputs:
    factors, found = _factors(call), call.input(0)
    if all(factor == 1 for factor in factors):
        return found
    is_old = call.op == "Upsample" or call.opset < 11
    place = "asymmetric" if is_old else call.text("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if is_old else call.text("nearest_mode", "round_prefer_floor")
    mode = call.text("mode", "nearest")
    if mode != "nearest" or rounding not in _REPEATING.get(place, ()):
        raise UnreadableError(f"it is read where it repeats entries, not with mode={mode!r}, {place!r}, {rounding!r}")
    for axis, factor in enumerate(factors):
        if factor > 1:
            found = call.script.call(repeat, call.tensors.value(found), factor, axis)
    return found


def _factors(call: Call) -> list[int]:
    """How often each entry of an axis is repeated."""
    own, first = call.shape(), 1 if call.op == "Upsample" or call.opset < 11 else 2
    axes = [axis_of(axis, len(own)) for axis in call.entries("axes") or range(len(own))]
    scales = call.maybe(first)
    if "scales" in call.node.attributes:
        found = list(call.entries("scales") or [])
    elif scales is not None and shape_of(scales) != (0,):
        found = call.array(first, "its scales").reshape(-1).tolist()
    else:
        if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise UnreadableError("it is read with keep_aspect_ratio_policy='stretch'")
        sizes = call.sizes(3, "its sizes")
        found = [quotient(size, own[axis]) for axis, size in zip(axes, sizes, strict=True)]
    factors = [1] * len(own)
    for axis, factor in zip(axes, found, strict=True):
        if not isinstance(factor, int | float) or factor < 1 or factor % 1:
            raise UnreadableError(f"it is read where axes of {texts(own)} become a whole number of times as long")
        factors[axis] = int(factor)
    return factors
