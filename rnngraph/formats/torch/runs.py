"""Runs of a module on tensors without values, until its sizes are known, and the script that comes of it."""

from __future__ import annotations

import dataclasses
import inspect
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from typing import Any

import numpy as np
import torch

from ...ir.types import Dim, Size, size
from ...support.errors import ArgumentError, DtypeError, RnnGraphError, Where, is_ours, warn
from ..expressions import identifier, input_name
from ..reading import not_readable
from ..rolling.scripts import made_anew, rolled_up, steps_left
from ..script import Script
from ..steps import Value
from .composed import axes, elements, losses, ordering
from .cut_axes import axes_to_check, unchecked
from .exported import WHAT, Exported
from .meanings import (
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
from .tracing.calls import TORCH, first_line, what_failed
from .tracing.cuts import Cut, CutAxes
from .tracing.python_functions import open_numbers
from .tracing.registry import UnreadableError
from .tracing.sizes import Sizes, SizesChanged
from .tracing.tensors import DTYPES, Traced
from .tracing.tracer import Tracer
from .tracing.values import Unknown

MEANINGS = (
    activations, attention, axes, elements, elementwise, filling, joining, layers, logic, losses, ordering, orders,
    packed, products, recurrent, reductions, shapes, slicing, windows, writing,
)  # fmt: skip
"""Files that say what calls of torch's mean."""
OTHER_DRAWS = 3
"""Runs that must give the same script where a module takes random numbers of Python's."""
_SWITCH_OFF = "; it takes numbers of Python's random: give the argument that switches that off, as a ratio of 0 does"
MOST_GROUPS = 16
"""Groups of sizes that are taken to be one with a size."""
MOST_RUNS = 1000
"""Runs of a module, each of which knows one size more than the one before."""


class Reader:
    """A module that is being read. arguments, keywords: what forward is called with."""

    def __init__(
        self,
        module: torch.nn.Module,
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        known: Mapping[str, Dim] | None = None,
    ) -> None:
        """known: what is known of sizes before the first run."""
        self.module, self.arguments, self.keywords = module, arguments, keywords
        self.known = known or {}
        self.shared: frozenset[Any] = frozenset()
        self.names: dict[str, str] = {}
        """What sizes are called in the script, by what they are called while they are found."""
        self.draws = False
        """Whether a run took numbers of Python's ``random``."""
        self.warnings: dict[tuple[str, Where | None], None] = {}
        """Warnings of calls that are read, each once."""
        self.cut_axes = CutAxes()
        self.cuts: list[Cut] = []
        """Time axes that torch cuts to the longest row, in the last run."""
        self.tensors: dict[str, torch.Tensor] = {}
        for name, argument in _named(module.forward, arguments, keywords):
            for leaf, item in leaves(name, argument):
                if isinstance(item, torch.Tensor):
                    self.tensors[input_name(leaf)] = item
        if not self.tensors:
            raise ArgumentError("the example has no tensor of torch's; give one of each that forward takes")
        for name, tensor in self.tensors.items():
            if tensor.dtype not in DTYPES:
                raise DtypeError(
                    f"{name} of the example is of {tensor.dtype}; give one of {', '.join(DTYPES.values())}"
                )
        self.examples = {
            f"{name}_{axis}": count for name, tensor in self.tensors.items() for axis, count in enumerate(tensor.shape)
        }

    def script(self) -> Script:
        """The script, with a warning for each call that trains otherwise. Raises ``NotReadableError``."""
        with open_numbers(self.module):
            script = self._open_script()
        for text, where in self.warnings:
            warn(text, where)
        return script

    def _open_script(self) -> Script:
        """The script of sizes that are as open as they can be."""
        known: dict[str, Dim] = dict(self.known)
        script, known, times = self._settled(self.examples, known)
        for name in self.examples:
            if name not in known:
                known = self._loosest(name, known)
        self._name_sizes([name for name in self.examples if name.rpartition("_")[0] in script.inputs], known, times)
        script = self._settled(self.examples, known)[0]
        if self.cuts:
            checked = axes_to_check(self.cuts, known, self._tracer, self._run, Sizes(self.examples, known))
            self.cut_axes = CutAxes(frozenset(checked))
            script = self._settled(self.examples, known)[0] if checked else script
            problems = unchecked(script, self.cuts, checked)
            if problems:
                raise not_readable(self._what(), [what for what, _ in problems], problems[0][1])
        if self.draws:
            self._check_that_it_repeats(script, known)
        return script

    def _check_that_it_repeats(self, script: Script, known: Mapping[str, Dim]) -> None:
        """Raises ``NotReadableError`` where Python's random numbers choose what the module does."""
        texts = {script.text(), *(self._settled(self.examples, known)[0].text() for _ in range(OTHER_DRAWS))}
        if len(texts) > 1:
            raise not_readable(self._what(), [f"what it does differs from run to run{_SWITCH_OFF}"])

    def _loosest(self, name: str, known: dict[str, Dim]) -> dict[str, Dim]:
        """What is known of sizes beside one that is open if it can be, or is one with another, or else a number."""
        others = [
            other for other, count in self.examples.items()
            if count == self.examples[name] != 1 and other not in known and other != name
        ]  # fmt: skip
        groups = (group for count in range(len(others) + 1) for group in combinations(others, count))
        widths: dict[str, Dim] = {
            other: self.examples[other] for other in self._last_axes() if other not in known and other != name
        }  # which a driver over the axis needs to know
        equal: list[dict[str, Dim]] = [{other: size(name) for other in group} for group in islice(groups, MOST_GROUPS)]
        for more in (*equal, widths):
            try:
                script, found, _ = self._settled(self.examples, known | more)
            except RnnGraphError:
                continue
            if name not in found and self._is_open(name, found, script):
                return found
        return self._settled(self.examples, known | {name: self.examples[name]})[1]

    def _last_axes(self) -> list[str]:
        """Of tensors that may be sequences."""
        return [f"{name}_{tensor.dim() - 1}" for name, tensor in self.tensors.items() if tensor.dim() > 2]

    def _settled(
        self, examples: Mapping[str, int], known: Mapping[str, Dim]
    ) -> tuple[Script, dict[str, Dim], list[str]]:
        """Runs until nothing more is known: (script, what is known of sizes, sizes of time)."""
        found = dict(known)
        for _ in range(MOST_RUNS):
            sizes = Sizes(examples, found)
            tracer = self._tracer(sizes, self.cut_axes)
            try:
                script = self._run(tracer)
            except SizesChanged:
                found = sizes.known
                continue
            again = self.shared | {key for key, count in tracer.uses.items() if count > 1}
            if again != self.shared:
                self.shared = again
                continue
            self.warnings |= tracer.warnings
            self.cuts = tracer.cuts
            return script, found, [*tracer.times]
        raise ArgumentError("the module's sizes don't settle; give an example of other sizes")

    def _is_open(self, name: str, known: Mapping[str, Dim], script: Script) -> bool:
        """Whether the script is the same for another size in the example: for a larger one, a multiple where the module
        takes no others, or where it takes none, as by a table of positions, for a smaller one.
        """
        count, text = self.examples[name], script.text()
        for another in (2 * count + 3, 2 * count, count - 1, count - 2):
            if another < 2:
                break
            examples = {**self.examples, name: another}
            sizes = Sizes(examples, known)
            for other, dim in known.items():
                if isinstance(dim, Size) and sizes.open(other) == size(name):
                    examples[other] = another
            try:
                other_script, found, _ = self._settled(examples, known)
            except RnnGraphError:
                continue
            return found == dict(known) and other_script.text() == text and _same_arrays(script, other_script)
        return False

    def _name_sizes(self, names: Sequence[str], known: Mapping[str, Dim], times: list[str]) -> None:
        """Open sizes are called T, T_1 and on where they are of time, else B, B_1 and on."""
        for name in names:
            if name not in known:
                letter = "T" if name in times else "B"
                taken = sum(1 for other in self.names.values() if other[0] == letter)
                self.names[name] = f"{letter}_{taken}" if taken else letter

    def _tracer(self, sizes: Sizes, cut_axes: CutAxes, keeps_filled: bool = False) -> Tracer:
        return Tracer(self.module, sizes, self.shared, keeps_filled, cut_axes)

    # One run ------------------------------------------------------------------------------------

    def _run(self, tracer: Tracer) -> Script:
        """Raises ``SizesChanged``, ``NotReadableError``."""
        inputs = {name: self._input(tracer, name, tensor) for name, tensor in self.tensors.items()}
        by_tensor = {id(tensor): inputs[name] for name, tensor in self.tensors.items()}

        def given(item: Any) -> Any:
            return by_tensor.get(id(item), item)

        arguments, keywords = _nest(self.arguments, given), _nest(dict(self.keywords), given)
        state = random.getstate()
        try:
            result = tracer.run(arguments, keywords)
        except RnnGraphError:
            raise
        except Exception as error:
            if tracer.problems:
                raise self._error(tracer) from None
            raise not_readable(
                self._what(),
                [f"{type(error).__name__}: {first_line(error)}; the module must run on the example"],
                _line_of(error),
            ) from error
        self.draws |= random.getstate() != state
        if tracer.undecided and not tracer.problems:  # nothing has said yet which axis of two is time
            tracer.sizes.fix(tracer.undecided[0])
        outputs = dict(_outputs(result))
        for name, item in outputs.items():
            try:
                tracer.script.outputs[name] = self._output(tracer, item)
            except (UnreadableError, RuntimeError) as error:
                if not isinstance(getattr(item, "value", None), Unknown):  # of which it is said already
                    where = item.memory.where if isinstance(item, Traced) else None
                    line = f"{where}: " if where else ""
                    tracer.problems.append((f"{line}output {name}: {what_failed(error)}", where))
        if tracer.problems:
            raise self._error(tracer)
        if not outputs:
            raise not_readable(self._what(), ["forward gives no tensor"])
        tracer.script.drop_unused_inputs()
        script = rolled_up(tracer.script, tracer.sizes.value)
        if script is not tracer.script and not tracer.keeps_filled:
            script = self._with_equal_rounds(tracer, script)
        if script is tracer.script and tracer.has_assumed:
            script = made_anew(script)
        left = steps_left(script)
        if left:
            raise not_readable(self._what(), [
                f"{cell!r} makes {count} steps that differ, so that they are no loop; run the same code in each step"
                f"{_SWITCH_OFF if self.draws else ''}" for cell, count in left
            ])  # fmt: skip
        return script

    def _with_equal_rounds(self, tracer: Tracer, script: Script) -> Script:
        """The script of a run in which zeros that a loop begins with are states like those of later rounds, where that
        is shorter: what is written as a number makes the first round another one than the rest.
        """
        sizes = Sizes(tracer.sizes.examples, tracer.sizes.known)
        try:
            other = self._run(self._tracer(sizes, tracer.cut_axes, True))
        except (SizesChanged, RnnGraphError):
            return script
        return min(script, other, key=lambda found: found.text().count("\n"))

    def _input(self, tracer: Tracer, name: str, tensor: torch.Tensor) -> Traced:
        dims = [tracer.sizes.open(f"{name}_{axis}") for axis in range(tensor.dim())]
        entries = [self.names.get(str(dim), str(dim)) if isinstance(dim, Size) else dim for dim in dims]
        tracer.sizes.examples |= {ours: tracer.sizes.examples[theirs] for theirs, ours in self.names.items()}
        value = tracer.script.input(name, entries, DTYPES[tensor.dtype], identifier(name))
        return tracer.traced(value)

    def _output(self, tracer: Tracer, item: torch.Tensor) -> Value:
        return tracer.value(tracer.bare(item) if isinstance(item, Traced) else item)

    def _what(self) -> str:
        return WHAT if isinstance(self.module, Exported) else f"the module {type(self.module).__name__}"

    def _error(self, tracer: Tracer) -> RnnGraphError:
        return not_readable(self._what(), [what for what, _ in tracer.problems], tracer.problems[0][1])


def _same_arrays(script: Script, other: Script) -> bool:
    """Whether no array was computed of a size of the example."""
    return script.parameters.keys() == other.parameters.keys() and all(
        np.array_equal(array, other.parameters[name], equal_nan=True) for name, array in script.parameters.items()
    )


def _named(
    forward: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    """Arguments with the names that forward has for them."""
    names: list[str] = []
    for parameter in inspect.signature(forward).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{number}" for number in range(len(arguments) - len(names))]
        elif parameter.kind is not parameter.VAR_KEYWORD:
            names.append(parameter.name)
    if len(arguments) > len(names):
        raise ArgumentError(f"the example has {len(arguments)} entries, and forward takes {len(names)}")
    return [*zip(names, arguments, strict=False), *keywords.items()]


def leaves(name: str, item: Any) -> Iterator[tuple[str, Any]]:
    """What stands in nests, with names that are made of places and keys."""
    if fields := _fields(item):
        parts: Mapping[Any, Any] = {field: getattr(item, field) for field in fields}
    elif isinstance(item, Mapping):
        parts = item
    elif isinstance(item, list | tuple):
        parts = dict(enumerate(item))
    else:
        yield name, item
        return
    for key, part in parts.items():
        yield from leaves(f"{name}_{key}" if name else str(key), part)


def _outputs(result: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """What forward gives, by name: y, y_0 and on, or the names of a dict."""
    has_names = isinstance(result, Mapping) or bool(_fields(result))
    for name, item in leaves("" if has_names else "y", result):
        if isinstance(item, torch.Tensor):
            yield name, item


def _fields(item: Any) -> tuple[str, ...]:
    """Names of the entries of a namedtuple or a dataclass that is no mapping; none of others."""
    if hasattr(item, "_fields"):
        return tuple(item._fields)
    if dataclasses.is_dataclass(item) and not isinstance(item, type | Mapping):
        return tuple(field.name for field in dataclasses.fields(item))
    return ()


def _nest(item: Any, function: Callable[[Any], Any]) -> Any:
    if hasattr(item, "_fields"):
        return type(item)(*(_nest(part, function) for part in item))
    if dataclasses.is_dataclass(item) and not isinstance(item, type | Mapping):
        return dataclasses.replace(item, **{name: _nest(getattr(item, name), function) for name in _fields(item)})
    if isinstance(item, Mapping):
        return {key: _nest(part, function) for key, part in item.items()}
    if isinstance(item, list | tuple):
        return type(item)(_nest(part, function) for part in item)
    return function(item)


def _line_of(error: BaseException) -> Where | None:
    """The innermost line of the module's own code that an error went through."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if not is_ours(frame) and not frame.f_code.co_filename.startswith(TORCH):
            found = Where(frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found
