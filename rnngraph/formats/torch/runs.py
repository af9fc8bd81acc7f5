"""``Reader``: runs a module on tensors without values until no further size is fixed, and returns the script."""

from __future__ import annotations

import random
import re
from collections.abc import Hashable, Mapping, Sequence
from contextlib import closing
from typing import Any

import torch

from ...declare.functions.sequences import ensure_size
from ...ir.types import Dim, Size
from ...support.errors import ArgumentError, DtypeError, RnnGraphError, Where, is_ours, user_line, warn
from ...support.garbage import collector_paused
from ..expressions import identifier
from ..open_axes import AxisRequest, free_name
from ..reading import not_readable
from ..rolling.equal_runs import entries_taken, takes_entries
from ..rolling.scripts import rebuilt, rolled_up, steps_left
from ..script import Script
from ..steps import Value
from .composed import axes, elements, losses, ordering
from .cut_axes import axes_to_check, unchecked
from .exported import WHAT, Exported
from .functions import (
    activations,
    attention,
    elementwise,
    filling,
    joining,
    layers,
    logic,
    orders,
    packed,
    products,
    recurrent,
    reductions,
    shapes,
    slicing,
    windows,
    writing,
)
from .nested_arguments import named_results, named_tensors, with_tensors
from .opening import Settled, note_sizes, opened
from .tracing.branches import Branches
from .tracing.calls import (
    TORCH,
    PlacedModule,
    Warned,
    first_line,
    heard_warnings,
    what_failed,
)
from .tracing.cuts import Cut, CutAxes
from .tracing.kinds import Arguments
from .tracing.python_functions import open_numbers, without_caches
from .tracing.registry import UnreadableError
from .tracing.sizes import Limits, Sizes, SizesChanged
from .tracing.tensors import INPUT_DTYPES, Traced
from .tracing.tracer import Tracer
from .tracing.values import Unknown

HANDLER_FILES = (
    activations,
    attention,
    axes,
    elements,
    elementwise,
    filling,
    joining,
    layers,
    logic,
    losses,
    ordering,
    orders,
    packed,
    products,
    recurrent,
    reductions,
    shapes,
    slicing,
    windows,
    writing,
)
"""Modules that register handlers of torch's functions and modules when they are imported."""
OTHER_DRAWS = 3
"""Number of further runs that must produce the same script, if a module draws from Python's ``random``."""
_SWITCH_OFF = "; it draws numbers from Python's random: pass the argument that turns this off, such as a ratio of 0"
MAX_RUNS = 1000
"""Maximum number of runs until no further size is fixed. Each run but the last fixes a size or finds a shared use."""


class Reader:
    """Reader of one module: runs the module repeatedly, and records what each run reveals about sizes and uses."""

    def __init__(
        self,
        module: torch.nn.Module,
        arguments: Arguments,
        keywords: Mapping[str, Any],
        known: Mapping[str, Dim] | None = None,
        open: Any = None,
        fixed: Any = None,
    ) -> None:
        """Prepare to read a module.

        Args:
            module: The module.
            arguments: Positional arguments of its ``forward``.
            keywords: Keyword arguments of its ``forward``.
            known: Sizes that are fixed before the first run, by name: the number or the other size that each equals.
            open: Argument ``open`` of ``read_torch``.
            fixed: Argument ``fixed`` of ``read_torch``.
        """
        self.module, self.arguments, self.keywords = module, arguments, keywords
        self.shared: frozenset[Hashable] = frozenset()
        """Keys in ``Tracer.uses`` of parameters and modules that a run used more than once."""
        self.names: dict[str, str] = {}
        """Names of sizes in the script, by their names ``INPUT_AXIS`` in runs."""
        self.draws = False
        """True if a run drew numbers from Python's ``random``."""
        self.warnings: dict[Warned, None] = {}
        """Distinct warnings of all runs, in order."""
        self.limits: dict[str, Limits] = {}
        """Limits of symbolic sizes that calls of the program check, by the size's name."""
        self.has_unlike_steps = False
        """True once a run left a loop unrolled, because its steps differ."""
        self.cut_axes = CutAxes()
        self.cuts: list[Cut] = []
        """Time axes that torch cuts to the longest row, in the last run."""
        self.branches = Branches()
        self.tensors = named_tensors(module.forward, arguments, keywords)
        if not self.tensors:
            raise ArgumentError("the example has no tensor of torch; give one for each tensor argument of forward")
        for name, tensor in self.tensors.items():
            if tensor.dtype not in INPUT_DTYPES:
                names = ", ".join(INPUT_DTYPES.values())
                raise DtypeError(f"{name} of the example has dtype {tensor.dtype}; give a tensor of {names}")
        self.examples = {
            f"{name}_{axis}": count for name, tensor in self.tensors.items() for axis, count in enumerate(tensor.shape)
        }
        self.request = AxisRequest.of(open, fixed, {name: [*tensor.shape] for name, tensor in self.tensors.items()})
        self.examples |= self.request.numbers
        self.known: dict[str, Dim] = {**(known or {}), **self.request.numbers, **self.request.equal}

    def script(self) -> Script:
        """Return the script. Show warnings of the module's code, and of calls that the net computes differently.

        Raises:
            NotReadableError: The module cannot be read.
        """
        with without_caches(), open_numbers(self.module), heard_warnings(self._record_warning), closing(self.branches):
            script = self._open_script()
        for text, where, category in self.warnings:
            warn(text, where or user_line(), category)
        return script

    def _record_warning(self, text: str, where: Where | None, category: type[Warning]) -> None:
        """Record a warning. Warnings that differ in numbers only are recorded once, since runs have different sizes."""
        where = self.module.place()[0] if isinstance(self.module, PlacedModule) else where
        if not any(
            (where, category) == warned[1:] and _without_digits(text) == _without_digits(warned[0])
            for warned in self.warnings
        ):
            self.warnings[text, where, category] = None

    def _open_script(self) -> Script:
        """Return the script that the module's runs recorded, with as many symbolic input sizes as possible."""
        settled, self.examples = opened(self, self.tensors, self.examples, self.known, self.request)
        known, inputs = settled.known, settled.script.inputs
        self._name_sizes([name for name in self.examples if name.rpartition("_")[0] in inputs], known, settled.times)
        settled = self.run_until_stable(self.examples, known, settled.lines, settled)
        if settled.sizes.limits:
            self.limits = settled.sizes.limits
            settled = self.run_until_stable(self.examples, known, settled.lines, settled)
        if self.cuts:
            checked = axes_to_check(
                self.cuts, known, self._tracer, lambda tracer: self._run(tracer)[0], self._sizes(self.examples, known)
            )
            self.cut_axes = CutAxes(frozenset(checked))
            settled = self.run_until_stable(self.examples, known, settled.lines) if checked else settled
            problems = unchecked(settled.script, self.cuts, checked)
            if problems:
                raise not_readable(self.what(), [what for what, _ in problems], problems[0][1])
        if self.draws:
            self._check_reproducible(settled.script, known)
        note_sizes(settled, self.tensors, self.names)
        fixed = map(AxisRequest.axis_of, self.request.numbers)
        settled.script.closed_at |= {place: "fixed=" for place in fixed if place[0] in settled.script.inputs}
        return settled.script

    def _check_reproducible(self, script: Script, known: Mapping[str, Dim]) -> None:
        """Raise ``NotReadableError`` if runs with other draws from Python's ``random`` return another script."""
        texts = {
            script.text(),
            *(self.run_until_stable(self.examples, known).script.text() for _ in range(OTHER_DRAWS)),
        }
        if len(texts) > 1:
            raise not_readable(self.what(), [f"its computation differs from run to run{_SWITCH_OFF}"])

    def run_until_stable(
        self,
        examples: Mapping[str, int],
        known: Mapping[str, Dim],
        lines: Mapping[str, Where | None] | None = None,
        like: Settled | None = None,
    ) -> Settled:
        """Run the module repeatedly until no run shows that a further size is fixed.

        Args:
            examples: Values of the sizes.
            known: Sizes that are fixed before the first run, by name: the number or the other size that each equals.
            lines: Line of the module that fixed a known size, by the size's name.
            like: Earlier result, whose form of constant states is reused; None to choose the better form.
        """
        known_now, lines_now = dict(known), dict(lines or {})
        for _ in range(MAX_RUNS):
            sizes = self._sizes(examples, known_now, lines_now)
            tracer = self._tracer(sizes, self.cut_axes, like is not None and like.keeps_filled)
            try:
                script, keeps_filled = self._run(tracer, is_free=like is None)
            except SizesChanged:
                known_now, lines_now = sizes.known, sizes.lines
                continue
            if self._finds_shared(tracer):
                continue
            self.warnings |= tracer.warnings
            self.cuts = tracer.cuts
            return Settled(script, known_now, [*tracer.times], lines_now, tracer.sizes, keeps_filled)
        raise ArgumentError(
            f"each of {MAX_RUNS} runs of the module fixed another symbolic size; give an example of other sizes"
        )

    def _finds_shared(self, tracer: Tracer) -> bool:
        """Record the parameters and modules that a run used more than once. Return True if any of them is new."""
        shared = self.shared | {key for key, count in tracer.uses.items() if count > 1}
        shared |= {("plain", key) for key in tracer.plain & tracer.uses.keys()}
        is_new = shared != self.shared
        self.shared = shared
        return is_new

    def _name_sizes(self, names: Sequence[str], known: Mapping[str, Dim], times: list[str]) -> None:
        """Name symbolic sizes as the caller requested, or T, T_1 … for time steps and B, B_1 … for other sizes."""
        requested = {
            name: self.request.names[name] for name in names if name in self.request.names and name not in known
        }
        self.names |= requested
        for name in names:
            if name not in known and name not in requested:
                letter = "T" if name in times else "B"
                self.names[name] = free_name(letter, self.names.values())

    def _sizes(
        self, examples: Mapping[str, int], known: Mapping[str, Dim], lines: Mapping[str, Where | None] | None = None
    ) -> Sizes:
        if isinstance(self.module, PlacedModule):
            return Sizes(examples, known, lines, lambda: self.module.place()[0])
        return Sizes(examples, known, lines)

    def _tracer(self, sizes: Sizes, cut_axes: CutAxes, keeps_filled: bool = False) -> Tracer:
        return Tracer(self.module, sizes, self.shared, keeps_filled, cut_axes, self.request.names.keys(), self.branches)

    # One run ------------------------------------------------------------------------------------

    @collector_paused()
    def _run(self, tracer: Tracer, is_free: bool = True) -> tuple[Script, bool]:
        """Run the module once, recording its calls. Return (script, True if it declares constant states as tensors).

        Args:
            tracer: The run.
            is_free: True to choose the better form of constant states; False for the form of ``tracer``.

        Raises:
            SizesChanged: The run fixed a size.
            NotReadableError: The module cannot be read.
        """
        inputs = {name: self._input(tracer, name, tensor) for name, tensor in self.tensors.items()}
        by_tensor = {id(tensor): inputs[name] for name, tensor in self.tensors.items()}
        arguments, keywords = with_tensors(self.arguments, by_tensor), with_tensors(dict(self.keywords), by_tensor)
        state = random.getstate()
        try:
            result = tracer.run(arguments, keywords)
        except RnnGraphError:
            raise
        except Exception as error:
            if tracer.problems:
                raise self._error(tracer) from None
            raise not_readable(self.what(), [_failure_of(error)], _line_of(error)) from error
        self.draws |= random.getstate() != state
        if not tracer.problems and self._finds_shared(tracer):
            raise SizesChanged  # Run again: parameters with several uses are declared outside of layers.
        if tracer.undecided and not tracer.problems:  # One of two axes must be fixed, but no call fixed either.
            tracer.fix_undecided()
        outputs = dict(named_results(result))
        for name, item in outputs.items():
            try:
                tracer.script.outputs[name] = self._output(tracer, item)
            except (UnreadableError, RuntimeError) as error:
                if not isinstance(getattr(item, "value", None), Unknown):  # The unsupported call's problem is listed.
                    where = item.memory.where if isinstance(item, Traced) else None
                    line = f"{where}: " if where else ""
                    tracer.problems.append((f"{line}output {name}: {what_failed(error)}", where))
        if tracer.problems:
            raise self._error(tracer)
        if not outputs:
            raise not_readable(self.what(), ["forward returns no tensor; return one, or a tuple or dict of tensors"])
        tracer.script.drop_unused_inputs()
        script = rolled_up(tracer.script, tracer.sizes.value)
        may_have_loops = script is not tracer.script or takes_entries(script)
        keeps_filled = tracer.keeps_filled
        if may_have_loops and tracer.wrote_numbers and is_free and not keeps_filled:
            script, keeps_filled = self._with_equal_iterations(tracer, script)
        left = steps_left(script)
        if left:
            self.has_unlike_steps = True
            raise not_readable(
                self.what(),
                [
                    f"{f'{where}: ' if where else ''}the {count} steps of {cell!r} are not identical, so they can't be "
                    f"rolled into a loop; run the same code in each step{_SWITCH_OFF if self.draws else ''}"
                    for cell, count, where in left
                ],
                left[0][2],
            )
        return self._without_stand_ins(script, tracer), keeps_filled

    def _without_stand_ins(self, script: Script, tracer: Tracer) -> Script:
        """Return the script with real stacks of loop steps in place of placeholders of symbolic size.

        If later steps do not fit the example's number of iterations, fix that number, and raise ``SizesChanged``.
        """
        stacks = [step for step in script.steps if step.is_stand_in]
        try:
            return rebuilt(script) if stacks else script
        except RnnGraphError:
            for step in stacks:
                axis = step.operands[1] if len(step.operands) > 1 else step.keywords.get("axis", 0)
                tracer.sizes.fix(step.result.type.shape[axis], step.where)
            raise

    def _with_equal_iterations(self, tracer: Tracer, script: Script) -> tuple[Script, bool]:
        """Return (the simpler of ``script`` and one that declares constant states as tensors, True if the latter).

        If a constant state is written as a number, the first iteration of an unrolled loop differs from the others.
        The better script has rolled up all loops; then, it selects fewer entries one by one; then, it has fewer lines.
        """
        sizes = self._sizes(tracer.sizes.examples, tracer.sizes.known)
        try:
            other, _ = self._run(self._tracer(sizes, tracer.cut_axes, True), is_free=False)
        except (SizesChanged, RnnGraphError):
            return script, False
        for one in (script, other):
            one.drop_unused_steps()

        def cost(one: Script) -> tuple[bool, int, int, int]:
            return takes_entries(one), entries_taken(one), one.text().count("\n"), len(one.steps)

        best = min(script, other, key=cost)
        return best, best is other

    def _input(self, tracer: Tracer, name: str, tensor: torch.Tensor) -> Traced:
        """Declare an input for a tensor of the example, with symbolic sizes and run-time checks of their limits."""
        dims = [tracer.sizes.open(f"{name}_{axis}") for axis in range(tensor.dim())]
        entries = [self.names.get(str(dim), str(dim)) if isinstance(dim, Size) else dim for dim in dims]
        tracer.sizes.examples |= {ours: tracer.sizes.examples[theirs] for theirs, ours in self.names.items()}
        value = tracer.script.input(name, entries, INPUT_DTYPES[tensor.dtype], identifier(name))
        for axis, entry in enumerate(entries):
            limits = self.limits.get(str(entry)) or self.limits.get(str(dims[axis]))
            if limits is not None:
                options = {"at_least": limits.low if limits.low > 1 else None, "at_most": limits.high}
                stated = {key: number for key, number in options.items() if number is not None}
                value = tracer.script.call(ensure_size, value, axis, **stated)
        return tracer.traced(value)

    def _output(self, tracer: Tracer, item: torch.Tensor) -> Value:
        return tracer.value(tracer.unwrap(item) if isinstance(item, Traced) else item)

    def what(self) -> str:
        return WHAT if isinstance(self.module, Exported) else f"the module {type(self.module).__name__}"

    def _error(self, tracer: Tracer) -> RnnGraphError:
        return not_readable(self.what(), [what for what, _ in tracer.problems], tracer.problems[0][1])


def _failure_of(error: Exception) -> str:
    """Return the reason why the module's code raised an error, and the remedy."""
    if "TensorOptions" in str(error):
        return (
            "a constructor such as torch.LongTensor(x) needs the values of x; write x.long() or x.float(), or "
            "torch.zeros for a new tensor"
        )
    return f"{type(error).__name__}: {first_line(error)}; the module must run on the example"


def _line_of(error: BaseException) -> Where | None:
    """Return the innermost line of the user's code in an error's traceback; None if there is none."""
    line, traceback = None, error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if not is_ours(frame) and not frame.f_code.co_filename.startswith(TORCH):
            line = Where(frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _without_digits(text: str) -> str:
    """Return a text with all numbers removed."""
    return re.sub(r"\d+", "", text)
