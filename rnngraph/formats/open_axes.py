"""Requests for symbolic and fixed axes of inputs, by the arguments ``open`` and ``fixed`` of readers.

``open={"x": {3: "W"}}`` makes axis 3 of x symbolic, and ``fixed={"x": {1: 200}}`` makes axis 1 of size 200.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any

from ..declare.placeholders import can_name_size
from ..declare.tensor import Tensor
from ..ir.types import Dim, Size, dim_text, size
from ..passes.lowering.lower import lower
from ..support.errors import (
    ArgumentError,
    DtypeError,
    FileError,
    NameLookupError,
    NotReadableError,
    Where,
    did_you_mean,
    shown,
)
from .reading import not_readable
from .script import Script, tensors_in
from .steps import Step

MAX_SIZE = 1 << 31
"""Exclusive maximum of a fixed size."""


@dataclass(frozen=True)
class AxisRequest:
    """Request for symbolic and fixed axes. The key of axis 3 of the input x is ``x_3``.

    Attributes:
        names: Requested name of each axis that must be symbolic, by key. Of axes with one name, only the first.
        numbers: Requested size of each axis that must be fixed, by key.
        equal: For each further axis with the same name, by key: a symbolic size that is named by the key of the first
            axis with that name.
    """

    names: Mapping[str, str]
    numbers: Mapping[str, int]
    equal: Mapping[str, Dim]

    @classmethod
    def of(cls, open: Any, fixed: Any, inputs: Mapping[str, Sequence[Any]]) -> AxisRequest:
        """Return the request that a reader's arguments ``open`` and ``fixed`` make.

        Raises an error for an unknown input or axis, an invalid name or size, and an axis in both arguments.

        Args:
            open: ``{input: {axis: name}}``, or None.
            fixed: ``{input: {axis: size}}``, or None.
            inputs: The inputs' shapes, by name.
        """
        names = {
            _axis_name(name, axis): _checked_name(item) for name, axis, item in requested_axes("open", open, inputs)
        }
        numbers = {
            _axis_name(name, axis): _checked_number(name, axis, item)
            for name, axis, item in requested_axes("fixed", fixed, inputs)
        }
        if both := sorted(names.keys() & numbers.keys()):
            name, axis = cls.axis_of(both[0])
            raise ArgumentError(f"open= and fixed= both have axis {axis} of {name}; write it in one of them")
        first: dict[str, str] = {}
        for own, name in names.items():
            first.setdefault(name, own)
        equal = {own: size(first[name]) for own, name in names.items() if first[name] != own}
        return cls({own: name for own, name in names.items() if own not in equal}, numbers, equal)

    def shape(self, name: str, sizes: Sequence[int | str | None]) -> list[int | str | None]:
        """Return the shape of an input: ``sizes``, with the request's names and numbers for its axes.

        Raise ``ArgumentError`` if a requested number differs from a number in ``sizes``.
        """
        shape = list(sizes)
        for axis, dim in enumerate(sizes):
            own = _axis_name(name, axis)
            number = self.numbers.get(own)
            if number is not None and isinstance(dim, int) and number != dim:
                raise ArgumentError(
                    f"fixed= has size {number} for axis {axis} of {name}, but the file has {dim}; leave it out"
                )
            equal = self.equal.get(own)
            requested = self.names.get(own, self.names[str(equal)] if equal is not None else None)
            shape[axis] = dim if number is None and requested is None else number or requested
        return shape

    def closed(self, known: Mapping[str, Dim]) -> list[str]:
        """Return the keys of axes that were requested as symbolic, but whose size in ``known`` is a number."""
        return [name for name in self.names if name in known and not isinstance(known[name], Size)]

    @staticmethod
    def axis_of(name: str) -> tuple[str, int]:
        """Split the key of an axis: ``x_3`` → ``("x", 3)``."""
        own, _, axis = name.rpartition("_")
        return own, int(axis)


def _axis_name(name: str, axis: int) -> str:
    """Return the key of an axis: ``x_3`` for axis 3 of x."""
    return f"{name}_{axis}"


def read_with(request: AxisRequest, what: str, read: Callable[[AxisRequest], Script]) -> Script:
    """Read a file with requested axes. An error that the symbolic axes cause names these axes.

    Args:
        request: The request.
        what: The file's name in errors.
        read: Function that reads the file with a request.

    Returns:
        The result of ``read(request)``.

    Raises:
        NotReadableError: ``read`` fails only with symbolic axes, or the script needs a number for one of them.
    """
    try:
        script = read(request)
        _check_open(what, script, request)
        return script
    except (FileError, NotReadableError) as error:
        if not request.names:
            raise
        read(replace(request, names={}, equal={}))
        axes = " and ".join(f"axis {axis} of {name}" for name, axis in map(request.axis_of, request.names))
        problems = getattr(error, "problems", None) or [error.what]
        raise not_readable(what, [f"{axes} can't be open: {problem}" for problem in problems]) from None


def _check_open(what: str, script: Script, request: AxisRequest) -> None:
    """Raise ``NotReadableError`` if a step of the script needs a number for an axis that was requested as symbolic."""
    wanted = [AxisRequest.axis_of(key) for key in (*request.names, *request.equal)]
    closed = _closed_axes([value.tensor for value in script.outputs.values()], wanted) if wanted else {}
    problems = []
    for (name, axis), number in closed.items():
        results = ((step, [*tensors_in(step.result)]) for step in script.steps)
        by = next((step for step, found in results if (name, axis) in _closed_axes(found, [(name, axis)])), None)
        problems.append(f"axis {axis} of {name} must be {number}{_place(by) if by else ''}")
    if problems:
        raise NotReadableError("; ".join(problems), None, problems)


def _place(step: Step) -> str:
    """Return text for an error that names the function of a step, and its layer if it has one."""
    operation = f"the operation {step.key}" if isinstance(step.key, str) else "an index"
    name = getattr(step.key, "__name__", operation)
    layer = step.keywords.get("name") or step.keywords.get("scope")
    return f", by {name} of layer {layer}" if layer else f", by {name}"


def _closed_axes(tensors: Sequence[Tensor], axes: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return {(input, axis): number} for those of ``axes`` whose size the computation of ``tensors`` fixes."""
    graph = lower([(str(place), tensor.node) for place, tensor in enumerate(tensors)], {}).graph
    shapes = {str(node["label"]): node.shape for node in graph.inputs if node.op == "input"}
    sizes = {(name, axis): shapes[name][axis] for name, axis in axes if name in shapes}
    return {place: dim for place, dim in sizes.items() if isinstance(dim, int)}


def requested_axes(
    what: str, requested: object, inputs: Mapping[str, Sequence[object]]
) -> list[tuple[str, int, object]]:
    """Validate a reader's argument ``open`` or ``fixed``. Return (input, nonnegative axis, name or size) triples.

    Args:
        what: Name of the argument, ``open`` or ``fixed``.
        requested: The argument.
        inputs: The inputs' shapes, by name.
    """
    if requested is None:
        return []
    if not isinstance(requested, Mapping):
        raise DtypeError(f'{what}= must be a mapping such as {{"x": {{1: "T"}}}}, not {shown(requested)}')
    triples = []
    for name, axes in requested.items():
        if name not in inputs:
            near = did_you_mean(name, inputs) if isinstance(name, str) else ""
            hint = near or "; there are " + ", ".join(inputs)
            raise NameLookupError(f"{what}= names the input {shown(name)}, which the net does not have{hint}")
        if not isinstance(axes, Mapping):
            raise DtypeError(
                f"{what}= has {shown(axes)} for {name}; write {{axis: {'name' if what == 'open' else 'size'}}}"
            )
        rank = len(inputs[name])
        has = f"there are axes 0 to {rank - 1}, or -1 to {-rank}" if rank else f"{name} is a scalar"
        for axis, item in axes.items():
            if not isinstance(axis, int) or isinstance(axis, bool) or not -rank <= axis < rank:
                raise ArgumentError(f"{what}= has axis {shown(axis)} of {name}; {has}")
            triples.append((name, axis % rank, item))
    return triples


def _checked_name(name: object) -> str:
    """Return a name that ``open`` requests for a size. Raises ``DtypeError`` if a size can't have it."""
    if not isinstance(name, str) or not can_name_size(name):
        raise DtypeError(f'open= names a size by {shown(name)}; give a name such as "T"')
    return name


def _checked_number(name: str, axis: int, number: Any) -> int:
    """Return a size that ``fixed`` requests as an int. Raises ``DtypeError`` unless it is from 1 to 2**31 - 1."""
    try:
        size = index(number)
    except TypeError:
        size = 0
    if isinstance(number, bool) or not 1 <= size < MAX_SIZE:
        raise DtypeError(
            f"fixed= has {shown(number)} for axis {axis} of {name}; give a size from 1 to {MAX_SIZE - 1:,}"
        )
    return size


def not_open(what: str, name: str, axis: int, dim: Dim, where: Where | str | None) -> NotReadableError:
    """Return the error for an axis that cannot be symbolic.

    Args:
        what: The file's name.
        name: Name of the input.
        axis: The axis.
        dim: Size that the axis must have.
        where: Line that fixes the axis, or text that describes the place; None if unknown.
    """
    by = f"{where}: " if where else ""
    text = f"{by}axis {axis} of {name} can't be open; it must be {dim_text(dim)} here"
    return not_readable(what, [text], where if isinstance(where, Where) else None)


def free_name(letter: str, names: Collection[str]) -> str:
    """Return the first of ``letter``, ``letter_1``, ``letter_2`` and so on that is not among names."""
    number = 0
    while (name := f"{letter}_{number}" if number else letter) in names:
        number += 1
    return name
