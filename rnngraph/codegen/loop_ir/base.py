"""Base of statements of the loop IR, with the uses and renamings that traversals need."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from typing import Any, ClassVar, NamedTuple, TypeAlias

from ...ir.types import Size
from ...support.errors import Where
from ...support.records import dataclass
from .values import BlockScales, Buffer, Index, Place, Valid

AnyStatement: TypeAlias = Any
"""A statement of ``nodes.Statement``, the union that is built from this base."""


@dataclass(frozen=True)
class Body:
    """Inner statements, and the name of a size that is bound in them, if any."""

    statements: tuple[AnyStatement, ...]
    var: str = ""


@dataclass(frozen=True)
class Renaming:
    """Functions that replace a statement's buffers, index expressions and inner statements."""

    buffer: Callable[[Buffer], Buffer]
    index: Callable[[Index], Index]
    body: Callable[[Sequence[AnyStatement]], tuple[AnyStatement, ...]]

    def place(self, place: Place) -> Place:
        return self.buffer(place[0]), self.index(place[1])

    def valid(self, valid: Valid) -> Valid:
        return None if valid is None else self.index(valid)

    def scales(self, scales: BlockScales) -> BlockScales:
        left, sums, right = (tuple(map(self.place, places)) for places in (scales.left, scales.sums, scales.right))
        return replace(scales, left=left, sums=sums, right=right, right_stride=self.index(scales.right_stride))


class Uses(NamedTuple):
    """Index expressions and buffers of a statement. Buffers passed to a function count as read and written.

    ``bodies`` are inner statements. ``prefetches`` are buffers of which only the address matters.
    """

    indices: Sequence[Index] = ()
    reads: Sequence[Buffer] = ()
    writes: Sequence[Buffer] = ()
    bodies: Sequence[Body] = ()
    prefetches: Sequence[Buffer] = ()


def sizes_in(*valid: Valid) -> Iterator[Index]:
    """Yield the index expressions that are not constants."""
    return (item for item in valid if isinstance(item, Size))


@dataclass(frozen=True)
class BaseStatement:
    """Base class of statements, with the methods that traversals need.

    It is not an ``ABC``, whose ``isinstance`` is slow, but a class must define both methods.

    ``origin`` is the line, layer and phase for which it computes; it does not affect the result. ``repeats`` is True if
    inner statements may run several times.
    """

    repeats: ClassVar[bool] = False
    origin: Where | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __init_subclass__(cls) -> None:
        if cls.uses is BaseStatement.uses or cls.renamed is BaseStatement.renamed:
            raise TypeError(f"{cls.__name__} must define uses and renamed")

    @abstractmethod
    def uses(self) -> Uses:
        """Return the index expressions, buffers and bodies of the statement."""

    @abstractmethod
    def renamed(self, by: Renaming) -> AnyStatement:
        """Return the statement with buffers and sizes replaced."""
