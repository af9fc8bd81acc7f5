"""What a stream holds of feeds without a time axis, which all of its prepared calls read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from ..calls.prepared_call import PreparedCall
from ..calls.signatures import Feed, is_like
from ..native.preconditions import Precondition, check_preconditions


class HeldInputs:
    """Arrays that stay from call to call. Fed again, an array is written over.

    arrays: by name. ranges: checks of all feeds, held ones among them.
    """

    def __init__(self, arrays: Mapping[str, ndarray], ranges: Sequence[Precondition]) -> None:
        self.arrays, self.ranges = arrays, ranges

    def take(self, given: Mapping[str, Any], call: PreparedCall) -> bool:
        """Write over what is fed anew among all feeds of a filled call: all of it, or nothing and False or an error."""
        held = self.taken(given, call.count, call.read(given) if self.ranges else {}, call.spec.sized.sizes)
        if held is None:
            return False
        for array, value in held:
            array[...] = value
        return True

    def taken(
        self, given: Mapping[str, Any], others: int, moving: Mapping[str, ndarray], sizes: Mapping[str, int]
    ) -> list[tuple[ndarray, Any]] | None:
        """Return held arrays with their new values; None if one does not fit or is unknown.

        Args:
            others: how many feeds have a time axis.
            moving: these feeds, if their numbers are not checked yet.
        """
        taken = []
        for name, value in given.items():
            held = self.arrays.get(name)
            if held is not None:
                if not is_like(value, Feed(held.shape, held.dtype, None)):
                    return None
                taken.append((name, held, value))
        if len(taken) + others != len(given):
            return None
        if self.ranges:  # of copies, which nobody else can change
            taken = [(name, held, np.array(value, held.dtype)) for name, held, value in taken]
            inputs = {**self.arrays, **moving, **{name: value for name, _, value in taken}}
            check_preconditions(self.ranges, inputs, sizes, None)
        elif len(taken) > 1:  # numbers become arrays before any is taken over: one that is too large may be an error
            taken = [
                (name, held, value if type(value) is ndarray else np.array(value, held.dtype))
                for name, held, value in taken
            ]
        return [(held, value) for _, held, value in taken]
