"""Makes a profile of calls by code with counters and by code without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...runtime.native.compiled_graph import CompiledGraph
from ...runtime.native.entry import NativeEntry
from ...support.errors import ArgumentError, Where, shown
from .breakdown import kernels_of
from .limits import limits_of
from .measure import Call, measure
from .profile import Profile

MAX_SECONDS = 3600.0


def checked_seconds(seconds: Any, where: Where | None) -> float:
    """Return the seconds to spend on a profile. Raise ``ArgumentError`` unless they are in (0, ``MAX_SECONDS``]."""
    is_number = isinstance(seconds, int | float | np.integer | np.floating) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= MAX_SECONDS:
        what = f"seconds={shown(seconds)} must be above 0 and at most {MAX_SECONDS:.0f}: the time to spend on calls"
        raise ArgumentError(what, where)
    return float(seconds)


class ProfiledCall(NamedTuple):
    """A call to profile.

    Attributes:
        name: Name of the graph in the profile.
        outputs: Outputs that the call returns.
        sizes: Values of symbolic sizes.
        feeds: All inputs by name.
    """

    name: str
    compiled: CompiledGraph
    outputs: tuple[str, ...]
    sizes: Mapping[str, int]
    feeds: Mapping[str, np.ndarray]


def profile_of(call: ProfiledCall, calls: Callable[[NativeEntry], Call], plain: Call, seconds: float) -> Profile:
    """Time a call with and without counters, and return its profile.

    Args:
        calls: Makes a call of an entry with counters.
        plain: The same call without counters.
        seconds: Seconds to spend on both.

    Raises:
        GraphError: The processor has no cycle counter, or the code is for another processor.
    """
    name, compiled, outputs, sizes, feeds = call
    entry, plan, counters = compiled.timed_entry(outputs, sizes)
    ticks = plan.ticks
    assert ticks is not None, "the entry was compiled with counters"
    measured = measure(calls(entry), plain, ticks, counters, seconds)
    limits = limits_of(compiled.options.target)
    arrays = {argument.buffer for argument in plan.arguments}
    kernels = kernels_of(ticks, measured, sizes, feeds, limits, arrays)
    workers = int((measured.times[ticks.rest] > 0).sum())
    return Profile(
        name, dict(sizes), kernels, measured.native, measured.outside, measured.ratio, measured.calls, workers, limits
    )
