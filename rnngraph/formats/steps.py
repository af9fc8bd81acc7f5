"""What a script is made of: steps, and the values that they give."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..declare.tensor import Tensor
from ..support.errors import Where


@dataclass(frozen=True)
class Index:
    """The key of a step that takes an item."""

    index: tuple[Any, ...]

    def __hash__(self) -> int:  # slices have none of their own before Python 3.12
        return hash(repr(self.index))


@dataclass(eq=False)
class Step:
    """One expression: what it is made of, and the object that it gave."""

    thing: Any
    operands: Sequence[Any]
    keywords: Mapping[str, Any]
    written: Callable[[list[ast.expr], list[ast.keyword]], ast.expr]
    hint: Any = "x"
    is_call: bool = False
    make: Callable[..., Any] | None = None
    """What gives the thing, of the operands and keywords; None for what is declared once, such as an input."""
    key: Any = None
    """What the step does, whatever its operands are: steps of equal keys do the same."""
    fill: float | None = None
    """The number that is everywhere in what the step gives, if that is known."""
    defines: str = ""
    """The text of a class that the script must hold."""
    inner: Sequence[Step] = ()
    """The steps that stand in that text."""
    imports: Callable[[], tuple[str, str]] | None = None
    """Returns the module and the name of a function of the user's that the script must import."""
    where: Where | None = None
    """The user's line that the step comes from."""


@dataclass(frozen=True, eq=False)
class Value:
    """What a step gave, or a part of it. path: the indices or fields that lead from the whole to the part."""

    thing: Any
    step: Step
    path: tuple[int | str, ...] = ()

    @property
    def tensor(self) -> Tensor:
        """The Tensor. Only for values that are one."""
        assert isinstance(self.thing, Tensor), self.thing
        return self.thing

    def __iter__(self) -> Iterator[Value]:
        """The parts of a tuple or list; namedtuples give their fields."""
        names = getattr(self.thing, "_fields", range(len(self.thing)))
        for name, thing in zip(names, self.thing, strict=True):
            yield Value(thing, self.step, (*self.path, name))

    @property
    def leaves(self) -> list[Value]:
        """Its parts, or itself where it is one."""
        return list(self) if isinstance(self.thing, tuple) else [self]


def named_value(thing: Any, expression: str) -> Value:
    """A value that a function has without a step, such as an argument. expression: its text there."""
    written = ast.parse(expression, mode="eval").body
    return Value(thing, Step(thing, (), {}, lambda *_: written))


Place = tuple[Step, tuple[int | str, ...]]
"""A step, and the path to a part of what it gave."""


def bare(operand: Any) -> Any:
    """An operand as the function takes it."""
    if isinstance(operand, Value):
        return operand.thing
    if isinstance(operand, dict):
        return {key: bare(item) for key, item in operand.items()}
    if type(operand) in (list, tuple):
        return type(operand)(map(bare, operand))
    return operand


def leaves_in(operand: Any) -> Iterator[Any]:
    """What an operand is made of, however deep in lists: values, and literals."""
    if isinstance(operand, dict):
        for item in operand.values():
            yield from leaves_in(item)
    elif type(operand) in (list, tuple):
        for item in operand:
            yield from leaves_in(item)
    else:
        yield operand


def values_in(operand: Any) -> Iterator[Value]:
    """The values in an operand, however deep in lists."""
    return (leaf for leaf in leaves_in(operand) if isinstance(leaf, Value))


def values_read(step: Step) -> Iterator[Value]:
    """The values that a step reads."""
    for operand in (*step.operands, *step.keywords.values()):
        yield from values_in(operand)


def wanted_steps(steps: Sequence[Step], outputs: Mapping[str, Value]) -> set[Step]:
    """The steps that outputs need."""
    wanted = {value.step for value in outputs.values()}
    for step in reversed(steps):  # what reads a step stands behind it
        if step in wanted:
            wanted |= {value.step for value in values_read(step)}
    return wanted


def with_inner(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps, and those that stand in the texts of classes."""
    for step in steps:
        yield step
        yield from with_inner(step.inner)
