"""Feeds without a time axis, which a stream keeps between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from ...ir.types import TensorType, evaluate
from ..calls.prepared_call import PreparedCall
from ..calls.signatures import NUMBERS
from ..native.preconditions import Precondition, check_preconditions


class HeldInputs:
    """Feeds that a stream keeps between calls. If such a feed is fed again, its array is overwritten.

    Attributes:
        arrays: The arrays, by name.
        ranges: Range checks of all feeds, including held feeds.
    """

    def __init__(self, arrays: Mapping[str, ndarray], ranges: Sequence[Precondition]) -> None:
        self.arrays, self.ranges = arrays, ranges

    def take(self, feeds: Mapping[str, Any], call: PreparedCall, is_checked: bool = False) -> bool:
        """Copy new values of held feeds to a call's arrays. If a feed does not match, copy none, and return False.

        If ``is_checked``, the caller has checked the feeds with a time axis. Otherwise, their copies in ``call`` are
        checked here.
        """
        arrays, overwrites = self.arrays, []
        for name, value in feeds.items():
            kept = arrays.get(name)
            if kept is not None:
                if type(value) is ndarray:
                    if value.shape != kept.shape or value.dtype != kept.dtype:
                        return False
                elif kept.shape or type(value) not in NUMBERS.get(kept.dtype, ()):
                    return False
                overwrites.append((name, kept, value))
        if len(overwrites) + call.count != len(feeds):  # a name among the feeds is unknown
            return False
        if self.ranges:  # copies are checked, because no other thread can change them
            overwrites = [(name, kept, np.array(value, kept.dtype)) for name, kept, value in overwrites]
            per_call = {} if is_checked else call.read(feeds)
            inputs = {**arrays, **per_call, **{name: value for name, _, value in overwrites}}
            check_preconditions(self.ranges, inputs, call.spec.sized.sizes, None)
        elif len(overwrites) > 1:  # all numbers are converted before any overwrite, because a conversion may fail
            overwrites = [
                (name, kept, value if type(value) is ndarray else np.array(value, kept.dtype))
                for name, kept, value in overwrites
            ]
        for _, kept, value in overwrites:
            kept[...] = value
        return True


def held_defaults(
    defaults: Mapping[str, np.ndarray],
    types: Mapping[str, TensorType],
    time_axis: Mapping[str, int | None],
    sizes: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """Return the default values of inputs without a time axis, broadcast to the inputs' shapes."""
    shapes = {name: types[name].shape for name in defaults if time_axis.get(name, 0) is None}
    return {
        name: np.broadcast_to(defaults[name], tuple(evaluate(dim, sizes) for dim in shape))
        if defaults[name].ndim < len(shape)
        else defaults[name]
        for name, shape in shapes.items()
    }
