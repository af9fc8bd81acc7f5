"""``Step`` and ``Value``: a script's expressions, and their results."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..declare.tensor import Tensor
from ..support.errors import Where

Function: TypeAlias = Callable[..., Any]
"""Function that a script calls."""


@dataclass(frozen=True)
class Index:
    """``Step.key`` of steps that index a value."""

    index: tuple[Any, ...]

    def __hash__(self) -> int:  # slices have no hash before Python 3.12
        return hash(repr(self.index))


@dataclass(eq=False)
class Step:
    """Expression of a script, with the object that evaluating the expression returned."""

    result: Any
    """Result of the call: a Tensor, a cell, or a nest of these."""
    operands: Sequence[Any]
    keywords: Mapping[str, Any]
    written: Callable[[list[ast.expr], list[ast.keyword]], ast.expr]
    """Function of the operands' and keywords' expressions that returns the step's expression."""
    hint: Any = "x"
    """Preferred name of the variable, or a nest of names in the structure of the result."""
    is_call: bool = False
    make: Function | None = None
    """Function that computes the result from operands and keywords; None if the step cannot be repeated."""
    key: Any = None
    """Key of the operation: steps with equal keys compute the same function."""
    fill: float | None = None
    """Number that all elements of the result equal; None if the result is not known to be filled."""
    defines: str = ""
    """Source of a class that the script must define; ``""`` for none."""
    inner: Sequence[Step] = ()
    """Steps in the body of the class ``defines``."""
    imports: Callable[[], tuple[str, str]] | None = None
    """Function that returns the module and name of a user's function that the script must import."""
    is_stand_in: bool = False
    """True if the result is a stand-in of the shape that it will have once a loop is rolled up."""
    where: Where | None = None
    """The user's line that created the step."""
    leaves: Sequence[Any] | None = field(default=None, init=False)
    """Values and literals among the operands, in the order of ``rolling.loop.operands_of``, which sets them."""


@dataclass(frozen=True, eq=False)
class Value:
    """Result of a step, or a part of a result.

    Attributes:
        path: Indices and field names that select the part; ``()`` for the whole result.
    """

    result: Any
    step: Step
    path: tuple[int | str, ...] = ()

    @property
    def tensor(self) -> Tensor:
        """The value as a Tensor. The value must stand for one Tensor."""
        assert isinstance(self.result, Tensor), self.result
        return self.result

    def __iter__(self) -> Iterator[Value]:
        """Yield the parts of a tuple or list, by field if it is a namedtuple."""
        names = getattr(self.result, "_fields", range(len(self.result)))
        for name, part in zip(names, self.result, strict=True):
            yield Value(part, self.step, (*self.path, name))

    @property
    def leaves(self) -> list[Value]:
        """Parts of a tuple, or a list of the value itself."""
        return list(self) if isinstance(self.result, tuple) else [self]


def named_value(result: Any, expression: str) -> Value:
    """Return a value without a step, such as an argument.

    Args:
        expression: Source of the value.
    """
    written = ast.parse(expression, mode="eval").body
    return Value(result, Step(result, (), {}, lambda *_: written))


Place = tuple[Step, tuple[int | str, ...]]
"""A step, and the path to a part of the step's result."""


def unwrap(operand: Any) -> Any:
    """Replace each ``Value`` in a nested operand by its object, such as a Tensor or a cell."""
    if isinstance(operand, Value):
        return operand.result
    if isinstance(operand, dict):
        return {key: unwrap(item) for key, item in operand.items()}
    if type(operand) in (list, tuple):
        return type(operand)(map(unwrap, operand))
    return operand


def leaves_in(operand: Any) -> Iterator[Any]:
    """Yield the leaves of a nested operand: values and literals."""
    if isinstance(operand, dict):
        for item in operand.values():
            yield from leaves_in(item)
    elif type(operand) in (list, tuple):
        for item in operand:
            yield from leaves_in(item)
    else:
        yield operand


def values_in(operand: Any) -> Iterator[Value]:
    """Yield the values in a nested operand."""
    return (leaf for leaf in leaves_in(operand) if isinstance(leaf, Value))


def values_read(step: Step) -> Iterator[Value]:
    """Yield the values that a step reads."""
    for operand in (*step.operands, *step.keywords.values()):
        yield from values_in(operand)


def wanted_steps(steps: Sequence[Step], outputs: Mapping[str, Value]) -> set[Step]:
    """Return the steps on which outputs depend, including those that compute the outputs."""
    wanted = {value.step for value in outputs.values()}
    for step in reversed(steps):  # All readers of a step come before the step.
        if step in wanted:
            wanted |= {value.step for value in values_read(step)}
    return wanted


def with_inner(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps, and the steps in the bodies of classes that they define."""
    for step in steps:
        yield step
        yield from with_inner(step.inner)
