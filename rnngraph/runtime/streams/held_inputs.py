"""What a stream holds of feeds without a time axis, which all of its prepared calls read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from ..calls.prepared_call import PreparedCall
from ..calls.signatures import NUMBERS
from ..native.preconditions import Precondition, check_preconditions


class HeldInputs:
    """Arrays that stay from call to call. Fed again, an array is written over.

    arrays: by name. ranges: checks of all feeds, held ones among them.
    """

    def __init__(self, arrays: Mapping[str, ndarray], ranges: Sequence[Precondition]) -> None:
        self.arrays, self.ranges = arrays, ranges

    def take(self, given: Mapping[str, Any], call: PreparedCall, is_checked: bool = False) -> bool:
        """Write over what is fed anew among all feeds of a filled call: all of it, or nothing and False or an error.

        is_checked: true if the numbers of the call's own feeds were checked, and the call was not filled.
        """
        arrays, taken = self.arrays, []
        for name, value in given.items():
            held = arrays.get(name)
            if held is not None:
                if type(value) is ndarray:
                    if value.shape != held.shape or value.dtype != held.dtype:
                        return False
                elif held.shape or type(value) not in NUMBERS.get(held.dtype, ()):
                    return False
                taken.append((name, held, value))
        if len(taken) + call.count != len(given):  # one is unknown
            return False
        if self.ranges:  # of copies, which nobody else can change
            taken = [(name, held, np.array(value, held.dtype)) for name, held, value in taken]
            moving = {} if is_checked else call.read(given)
            inputs = {**arrays, **moving, **{name: value for name, _, value in taken}}
            check_preconditions(self.ranges, inputs, call.spec.sized.sizes, None)
        elif len(taken) > 1:  # numbers become arrays before any is taken over: one that is too large may be an error
            taken = [
                (name, held, value if type(value) is ndarray else np.array(value, held.dtype))
                for name, held, value in taken
            ]
        for _, held, value in taken:
            held[...] = value
        return True
