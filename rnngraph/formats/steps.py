"""``Step`` and ``Value``: the expressions of a script under construction, and their results.

An operand of an expression may be nested: lists, tuples and dicts of values and literals.
"""

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
    """Value of ``Step.key`` for steps that index a value."""

    index: tuple[Any, ...]

    def __hash__(self) -> int:  # slices have no hash before Python 3.12
        return hash(repr(self.index))


@dataclass(eq=False)
class Step:
    """Expression of a script, with the object that evaluating the expression returned."""

    result: Any
    """Result of the expression: a Tensor, a cell, or nested tuples and dicts of these."""
    operands: Sequence[Any]
    keywords: Mapping[str, Any]
    written: Callable[[list[ast.expr], list[ast.keyword]], ast.expr]
    """Function of (operands' syntax trees, keywords' syntax trees) that returns the step's syntax tree."""
    hint: Any = "x"
    """Preferred name of the result's variable, or nested tuples of names in the structure of the result."""
    is_call: bool = False
    """True for a call; False for an operator, an index or a value without a step."""
    make: Function | None = None
    """Function that computes the result from operands and keywords; None if the step cannot be repeated."""
    key: Any = None
    """Key of the operation: steps with equal keys compute the same function."""
    fill: float | None = None
    """Number that all elements of the result equal; None if no such number is known."""
    defines: str = ""
    """Source of a class that the script must define for this step; ``""`` for none."""
    inner: Sequence[Step] = ()
    """Steps in the body of the class ``defines``."""
    imports: Callable[[], tuple[str, str]] | None = None
    """Function that returns the module and name of a user's function that the script must import."""
    is_stand_in: bool = False
    """True if the result is a placeholder of the result's shape, until an unrolled loop is rolled up."""
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
        """The value's Tensor. The value must be a Tensor, not a cell or a tuple."""
        assert isinstance(self.result, Tensor), self.result
        return self.result

    def __iter__(self) -> Iterator[Value]:
        """Yield the items of a tuple, namedtuple or list as values."""
        names = getattr(self.result, "_fields", range(len(self.result)))
        for name, part in zip(names, self.result, strict=True):
            yield Value(part, self.step, (*self.path, name))

    @property
    def leaves(self) -> list[Value]:
        """Items of a tuple as values; for another result, a list of the value itself."""
        return list(self) if isinstance(self.result, tuple) else [self]


def named_value(result: Any, expression: str) -> Value:
    """Return a value that no step of the script computes, such as an argument of a method.

    Args:
        result: The value's object.
        expression: Source by which scripts refer to the value, such as ``state['h']``.
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
    for step in reversed(steps):  # In reverse, the steps that read a result come before the step that computes it.
        if step in wanted:
            wanted |= {value.step for value in values_read(step)}
    return wanted


def with_inner(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps, and the steps in the bodies of classes that they define."""
    for step in steps:
        yield step
        yield from with_inner(step.inner)
