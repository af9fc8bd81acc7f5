"""Reads Resize and Upsample nodes that repeat each entry an integral number of times."""

from __future__ import annotations

from ....declare.functions.arrays.moves import repeat
from ....ir.types import quotient
from ..core.known import shape_of
from ..core.sizes import UnreadableError, axis_of, texts
from ..core.table import Call, Outputs, reads

_REPEATING = {
    "asymmetric": ("floor",),
    "tf_half_pixel_for_nn": ("floor",),
    **dict.fromkeys(
        ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"), ("round_prefer_floor", "round_prefer_ceil")
    ),
}
"""Rounding modes with which nearest-neighbour resizing repeats entries, by coordinate mode."""


@reads("Resize", "Upsample")
def _resize(call: Call) -> Outputs:
    factors, result = _factors(call), call.input(0)
    if all(factor == 1 for factor in factors):
        return result
    is_old = call.op == "Upsample" or call.opset < 11
    place = "asymmetric" if is_old else call.text("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if is_old else call.text("nearest_mode", "round_prefer_floor")
    mode = call.text("mode", "nearest")
    if mode != "nearest" or rounding not in _REPEATING.get(place, ()):
        raise UnreadableError(
            f"mode={mode!r}, coordinate_transformation_mode={place!r}, nearest_mode={rounding!r} is not supported; "
            "it must be a nearest mode that repeats each entry"
        )
    for axis, factor in enumerate(factors):
        if factor > 1:
            result = call.script.call(repeat, call.tensors.value(result), factor, axis)
    return result


def _factors(call: Call) -> list[int]:
    """Return the integral scale of each axis: how often each entry is repeated along it."""
    own, first = call.shape(), 1 if call.op == "Upsample" or call.opset < 11 else 2
    axes = [axis_of(axis, len(own)) for axis in call.entries("axes") or range(len(own))]
    scales = call.maybe(first)
    if "scales" in call.node.attributes:
        repeats = list(call.entries("scales") or [])
    elif scales is not None and shape_of(scales) != (0,):
        repeats = call.array(first, "its scales").reshape(-1).tolist()
    else:
        if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise UnreadableError("only keep_aspect_ratio_policy='stretch' is supported")
        sizes = call.sizes(3, "its sizes")
        repeats = [quotient(size, own[axis]) for axis, size in zip(axes, sizes, strict=True)]
    factors = [1] * len(own)
    for axis, factor in zip(axes, repeats, strict=True):
        if not isinstance(factor, int | float) or factor < 1 or factor % 1:
            raise UnreadableError(f"it scales {texts(own)} by a factor that is no integer, which is not supported")
        factors[axis] = int(factor)
    return factors
