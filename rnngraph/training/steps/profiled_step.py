"""Profiles of a trainer's steps, which change neither parameters nor the optimizer's state nor the generator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ...inspection.profile.calls import ProfiledCall, checked_seconds, profile_of
from ...inspection.profile.profile import Profile
from ...passes.lowering.lowered import SHOWN
from ...runtime.calls.prepared_call import SEED
from ...runtime.native.entry import NativeEntry
from ...support.errors import ArgumentError, Where
from .step_runner import NativeStep
from .stepper import Stepper


def profile_step(
    stepper: Stepper, arrays: dict[str, np.ndarray], seed: int | None, seconds: float, where: Where | None
) -> Profile:
    """Run a trainer's step repeatedly with the same feeds, and return where its time goes.

    Args:
        stepper: The trainer's steps.
        arrays: Converted feeds, to which the counters of masks are added.
        seed: Seed of the masks; None for 0.
        seconds: Time to spend on measurements.
        where: The user's call.

    Raises:
        ArgumentError: The trainer has shards.
    """
    state, program, spent = stepper.state, stepper.state.program, checked_seconds(seconds, where)
    if state.shards is not None:
        raise ArgumentError(
            "a step of a trainer with shards is one call for each shard and can't be profiled; profile a trainer "
            "without shards=, on as many rows as a shard has",
            where,
        )
    with stepper.lock:
        arrays.update(program.training.counters(0 if seed is None else seed))
        variant = stepper.variant(SHOWN)
        compiled, outputs = variant.native.compiled, variant.native.outputs
        plain, sized = variant.entry(state, arrays, where)
        step = NativeStep(state, compiled, outputs, state.inputs)  # its calls' memory is freed after all measurements
        shares = [name for name in arrays if name in program.parts.lowered.keep_probs]

        def calls(entry: NativeEntry) -> Callable[[], object]:
            fed = {name: array for name, array in arrays.items() if name != SEED}
            names = {name: name for name in fed}
            draw = partial(int, arrays.get(SEED, 0))
            sizes = entry.sized(sized.sizes)
            return partial(step.prepared(entry, sizes, names, arrays, SEED in arrays, shares, draw).run, fed)

        slots = dict(state.slots)  # while these references exist, steps write to copies
        try:
            return profile_of(ProfiledCall("step", compiled, outputs, sized.sizes, arrays), calls, calls(plain), spent)
        finally:
            state.slots.update(slots)
