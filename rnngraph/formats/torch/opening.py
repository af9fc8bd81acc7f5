"""Finds the input axes that can stay symbolic, and the lines of the module that fix the other axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, islice, zip_longest
from typing import Any, Protocol

import numpy as np
import torch

from ...ir.types import Dim, Size, size
from ...storage.stored_array import as_array
from ...support.errors import RnnGraphError, Where
from ..open_axes import AxisRequest, not_open
from ..rolling.equal_runs import takes_entries
from ..rolling.loop import code_of
from ..script import Script
from ..steps import Step
from .tracing.sizes import Sizes

LONG_LOOP = 16
"""Sizes from this one on are tested with about 1.5 times the size, because longer unrolled loops are slow to read."""
SMALL_FACTORS = 2 * 3 * 5 * 7
"""Product of primes. Two sizes whose difference has none of these factors differ modulo each of 2 to 10."""
FORMULA_STEPS = 64
"""Minimum size to test with if a formula replaces the numbers of iterations.

A schedule, such as a warm-up, may follow the formula in the first iterations only.
"""
MAX_GROUPS = 16
"""Maximum number of groups of sizes that are tried as equal, because each needs runs of the module."""


@dataclass
class Settled:
    """Result of the last of several runs, in which no further size turned out to be fixed.

    Attributes:
        script: Script of the run.
        known: Fixed sizes, by name: the number or the other size that each equals.
        times: Names of sizes that are numbers of time steps.
        lines: Line of the module that fixed a size, by the size's name.
        sizes: Sizes of the run.
        keeps_filled: True if the script declares constant states as tensors.
    """

    script: Script
    known: dict[str, Dim]
    times: list[str]
    lines: dict[str, Where | None]
    sizes: Sizes
    keeps_filled: bool


class Runs(Protocol):
    """Interface of the object that runs a module.

    Attributes:
        has_unlike_steps: True once a run left a loop unrolled, because its steps differ.
    """

    has_unlike_steps: bool

    def run_until_stable(
        self,
        examples: Mapping[str, int],
        known: Mapping[str, Dim],
        lines: Mapping[str, Where | None] | None = None,
        like: Settled | None = None,
    ) -> Settled:
        """Run the module repeatedly until no run shows that a further size is fixed."""

    def what(self) -> str:
        """Return the module's name for errors."""


def opened(
    runs: Runs,
    tensors: Mapping[str, torch.Tensor],
    examples: Mapping[str, int],
    known: Mapping[str, Dim],
    request: AxisRequest,
) -> tuple[Settled, dict[str, int]]:
    """Run the module until as many sizes as possible are symbolic. Return (last run's result, values of the sizes).

    Args:
        runs: Runs of the module.
        tensors: The module's inputs.
        examples: Values of the sizes in the example.
        known: Sizes that are fixed before the first run, by name: the number or the other size that each equals.
        request: The caller's requests.

    Raises:
        NotReadableError: A requested axis cannot be symbolic. The error has the responsible line.
    """
    first: Settled | None = None
    for values in _examples(examples, request):
        try:
            settled = _Opening(runs, tensors, values).opened(known, request)
        except RnnGraphError:
            if first is None:
                raise
            continue
        if not request.closed(settled.known):
            return settled, dict(values)
        first = first or settled
    assert first is not None
    name = request.closed(first.known)[0]
    raise not_open(runs.what(), *request.axis_of(name), first.known[name], first.sizes.line_of(name))


def _examples(examples: Mapping[str, int], request: AxisRequest) -> Iterator[Mapping[str, int]]:
    """Yield values of sizes for runs: the example's, then other values of sizes that are requested as symbolic."""
    yield examples
    for more in (3, 0) if request.names else ():
        yield {name: 2 * count + more if name in request.names else count for name, count in examples.items()}


@dataclass
class _Opening:
    """Search for sizes that can be symbolic.

    Attributes:
        runs: Runs of the module.
        tensors: The module's inputs.
        examples: Values of the sizes.
        reason: Line that prevents the size that was tested last from being symbolic; None if unknown.
        is_unrolled: True if the last run with other values of sizes left a loop unrolled.
        cache: Results of runs with the example's values, by the items of ``known`` before the run.
    """

    runs: Runs
    tensors: Mapping[str, torch.Tensor]
    examples: Mapping[str, int]
    reason: Where | None = None
    is_unrolled: bool = False
    cache: dict[frozenset[tuple[str, Dim]], Settled] = field(default_factory=dict)

    def opened(self, known: Mapping[str, Dim], request: AxisRequest) -> Settled:
        """Return the last run's result, with as many symbolic sizes as possible.

        Requested axes are tried first.
        """
        settled = self._first_settled(known, request)
        others = self._other_values(settled)
        # Use distinct values, so that the run fails or its script differs if two of the sizes must be equal.
        is_test = settled.sizes.allows(others) and settled.sizes.changes_selected(others)
        if others and is_test:
            if self._holds(others, settled):
                return settled
            if (narrower := self._with_fixed_states(others, settled, request)) is not None:
                return narrower
        for name in sorted(self.examples, key=lambda name: name not in request.names):
            if name not in settled.known:
                settled = self._most_symbolic(name, settled)
        return settled

    def _other_values(self, settled: Settled) -> dict[str, int]:
        """Return other, distinct values of the symbolic sizes."""
        names = [name for name in self.examples if name not in settled.known]
        has_formulas = settled.script.has_formulas
        return {name: _other_value(self.examples[name], place, has_formulas) for place, name in enumerate(names)}

    def _with_fixed_states(self, others: Mapping[str, int], before: Settled, request: AxisRequest) -> Settled | None:
        """Return the result with all axes after time fixed if the loop then rolls up and all other sizes are symbolic.

        None if no loop stayed unrolled with the values ``others``, or if another size must be fixed, too.
        """
        widths = {name for time in before.times if time in self.examples for name in self._axes_after(time)}
        widths &= others.keys()
        values = [self.examples[name] for name in others]
        is_distinct = all(values.count(self.examples[name]) == 1 for name in widths)  # None may equal another size.
        if not self.is_unrolled or not widths or not is_distinct or widths & request.names.keys():
            return None
        lines = before.lines | dict.fromkeys(widths, self.reason)
        try:
            settled = self._settled({**before.known, **{name: self.examples[name] for name in widths}}, lines)
        except RnnGraphError:
            return None
        rest = self._other_values(settled)
        is_test = rest.keys() == others.keys() - widths and settled.sizes.allows(rest)
        is_test = is_test and settled.sizes.changes_selected(rest)
        return settled if is_test and self._holds(rest, settled) else None

    def _first_settled(self, known: Mapping[str, Dim], request: AxisRequest) -> Settled:
        """Return the result of runs with ``known`` sizes fixed in advance, and one more if a loop stays unrolled.

        A rolled-up loop can't carry a state of symbolic width, such as attention weights over another input's steps.
        """
        try:
            return self._settled(known, {})
        except RnnGraphError as error:
            if not self.runs.has_unlike_steps or len(self.tensors) == 1:
                raise
            for name in self.examples:
                if name.endswith("_0") or name in known or name in request.names:
                    continue
                try:
                    return self._settled({**known, name: self.examples[name]}, {name: error.where})
                except RnnGraphError:
                    continue
            raise

    def _settled(self, known: Mapping[str, Dim], lines: Mapping[str, Where | None]) -> Settled:
        """Return the result of runs with these sizes fixed in advance. Each set of sizes runs once."""
        key = frozenset(known.items())
        if key not in self.cache:
            self.cache[key] = settled = self.runs.run_until_stable(self.examples, known, lines)
            self.cache[frozenset(settled.known.items())] = settled
        return self.cache[key]

    def _most_symbolic(self, name: str, before: Settled) -> Settled:
        """Return the result of runs with size ``name`` symbolic; failing that, equal to another size, else a number."""
        known, reason = before.known, None
        others = [
            other
            for other, count in self.examples.items()
            if count == self.examples[name] != 1 and other not in known and other != name
        ]
        groups = (group for count in range(len(others) + 1) for group in combinations(others, count))
        # A driver along this axis needs a fixed width, so try to fix the last axes, then all axes after this one.
        widths: list[dict[str, Dim]] = [
            {other: self.examples[other] for other in axes if other not in known and other != name}
            for axes in (self._last_axes(), self._axes_after(name))
        ]
        equal: list[dict[str, Dim]] = [{other: size(name) for other in group} for group in islice(groups, MAX_GROUPS)]
        tried: list[dict[str, Dim]] = []
        for more in (*equal, *widths):
            if more in tried:
                continue
            tried.append(more)
            try:
                settled = self._settled(known | more, before.lines | dict.fromkeys(more, reason))
            except RnnGraphError as error:
                reason = reason or error.where
                continue
            if name in settled.known:
                reason = reason or settled.sizes.line_of(name)
            elif self._is_open(name, settled):
                return settled
            reason = reason or self.reason
        return self._settled(known | {name: self.examples[name]}, {**before.lines, name: reason})

    def _last_axes(self) -> list[str]:
        """Return the name of the last axis's size for each input that may be a sequence (rank 3 or more)."""
        return [f"{name}_{tensor.dim() - 1}" for name, tensor in self.tensors.items() if tensor.dim() > 2]

    def _axes_after(self, name: str) -> list[str]:
        """Return the sizes of an input's axes after an axis, such as the height and width of pictures after time."""
        own, _, axis = name.rpartition("_")
        return [f"{own}_{later}" for later in range(int(axis) + 1, self.tensors[own].dim())]

    def _is_open(self, name: str, settled: Settled) -> bool:
        """True if runs with other values of the size ``name`` give the same script, so that it can be symbolic.

        Larger values are tried first, including a multiple, because some modules need a divisible size. Smaller values
        follow, because some modules have a maximum size, such as a table of positions.
        """
        count, self.reason = self.examples[name], None
        for another in (
            _other_value(count, 0, settled.script.has_formulas),
            2 * count,
            count + 1,
            count - 1,
            count - 2,
        ):
            if another < 2:
                break
            if not settled.sizes.allows({name: another}):
                self.reason = settled.sizes.limits[name].where
                continue
            if not settled.sizes.changes_selected({name: another}):
                self.reason = self.reason or settled.sizes.line_of_entries(name)
                continue
            holds = self._holds({name: another}, settled)
            if holds is not None:
                return holds
        return False

    def _holds(self, changed: Mapping[str, int], settled: Settled) -> bool | None:
        """True if runs with the sizes ``changed`` give the same script; None if the module fails with these sizes.

        If a loop stays unrolled with these values, return False, because the module itself does not fail.
        """
        examples = {**self.examples, **changed}
        sizes = Sizes(examples, settled.known)
        for other, dim in settled.known.items():
            if isinstance(dim, Size) and str(dim := sizes.open(other)) in changed:
                examples[other] = changed[str(dim)]
        had_unlike_steps, self.runs.has_unlike_steps = self.runs.has_unlike_steps, False
        self.is_unrolled = False
        try:
            other_run = self.runs.run_until_stable(examples, settled.known, like=settled)
        except RnnGraphError as error:
            self.reason = self.reason or error.where
            return False if self.runs.has_unlike_steps else None
        finally:
            self.runs.has_unlike_steps |= had_unlike_steps
        if other_run.known != settled.known:
            more = other_run.known.keys() - settled.known.keys()
            self.reason = next((other_run.sizes.line_of(other) for other in more), None)
            return False
        if other_run.script.text() == settled.script.text() and _same_arrays(settled.script, other_run.script):
            return True
        self.is_unrolled = takes_entries(other_run.script)
        lines = [line for name in changed if (line := settled.sizes.line_of_entries(name))]
        self.reason = lines[0] if lines else _first_difference(settled.script, other_run.script)
        return False


def _other_value(count: int, place: int = 0, has_formulas: bool = False) -> int:
    """Return another value to test a size with: more than twice the size, or more than 1.5 times for long loops.

    Its remainders by small numbers differ from those of the size. Sizes with the same ``count`` but different ``place``
    get different values. With ``has_formulas``, the value is at least ``FORMULA_STEPS``.
    """
    least = count + 3 if count < LONG_LOOP else count // 2 + 1
    least = max(least, FORMULA_STEPS - count) if has_formulas else least
    differences = (more for more in itertools.count(least) if math.gcd(more, SMALL_FACTORS) == 1)
    return count + next(islice(differences, place, None))


def _same_arrays(script: Script, other: Script) -> bool:
    """True if both scripts have the same constants, so that no constant depends on the sizes of the example."""
    ours, theirs = ({name: as_array(array) for name, array in one.parameters.items()} for one in (script, other))
    return ours.keys() == theirs.keys() and all(
        np.array_equal(array, theirs[name], equal_nan=True) for name, array in ours.items()
    )


def _first_difference(script: Script, other: Script) -> Where | None:
    """Return the source line of the first step of ``script`` that differs in ``other``; None if no line is known."""
    for ours, theirs in zip_longest(script.steps, other.steps):
        if ours is None or theirs is None or _literals(ours) != _literals(theirs):
            return None if ours is None else ours.where
    return None


def _literals(step: Step) -> tuple[Any, ...]:
    """Return the operation and literals of a step, by which it is compared with a step of another run."""
    _, names, operands = code_of(step)
    return repr(step.key), names, tuple("cell" if isinstance(item, int) else repr(item) for item in operands)


def note_sizes(settled: Settled, tensors: Mapping[str, torch.Tensor], names: Mapping[str, str]) -> None:
    """Record in the script the lines that fixed input axes, and the limits that comparisons set to symbolic sizes.

    Args:
        settled: The result, whose script is changed.
        tensors: The module's inputs, by name.
        names: Names of sizes in the script, by their names in runs.
    """
    script, sizes = settled.script, settled.sizes
    for name, tensor in tensors.items():
        for axis in range(tensor.dim() if name in script.inputs else 0):
            own = f"{name}_{axis}"
            if own in settled.known and isinstance(sizes.open(own), int) and (where := sizes.line_of(own)):
                script.closed_at[name, axis] = str(where)
    for name, numbers in sizes.unequal.items():
        for number, where in numbers.items():
            script.unequal[names.get(name, name), number] = str(where) if where else ""
    for name, limits in sizes.limits.items():
        script.limits[names.get(name, name)] = limits.low, limits.high, str(limits.where) if limits.where else ""
