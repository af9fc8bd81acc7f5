"""Base class of the loop IR's statements, with the methods that traversals need."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, ClassVar, Self, TypeAlias

from ...ir.types import Size, without
from ...support.errors import Where
from ...support.records import NamedTuple, dataclass
from .values import BlockScales, Buffer, Condition, Destination, Index, Place, Valid

AnyStatement: TypeAlias = Any
"""Any class of the union ``nodes.Statement``, which this module cannot import."""


@dataclass(frozen=True)
class Body:
    """Inner statements of a statement, and the name of the loop variable that they may read, if any."""

    statements: tuple[AnyStatement, ...]
    var: str = ""


@dataclass(frozen=True)
class Renaming:
    """Functions that replace buffers and index expressions of statements. Subclasses may replace statements.

    Attributes:
        offsets: For some buffers, the terms to remove from all indices of the buffer.
    """

    buffer: Callable[[Buffer], Buffer] = lambda buffer: buffer
    index: Callable[[Index], Index] = lambda index: index
    offsets: Mapping[Buffer, Index] = field(default_factory=dict)

    def statement(self, statement: AnyStatement) -> AnyStatement:
        """Replace a statement."""
        return statement.renamed(self)

    def body(self, statements: Sequence[AnyStatement]) -> tuple[AnyStatement, ...]:
        """Replace the statements of a body."""
        return tuple([self.statement(statement) for statement in statements])

    def place(self, place: Place) -> Place:
        """Return a place (buffer, index) with both replaced."""
        buffer, index = place
        offset = self.offsets.get(buffer)
        return self.buffer(buffer), self.index(without(index, offset) if offset else index)

    def valid(self, valid: Valid) -> Valid:
        """Return a number of valid lanes with its index expression replaced."""
        return None if valid is None else self.index(valid)

    def condition(self, condition: Condition) -> Condition:
        """Return a condition with its index expressions replaced."""
        index, low, high = map(self.index, condition)
        return index, low, high

    def destination(self, destination: Destination) -> Destination:
        """Return the memory of a tile's results with its buffers and indices replaced."""
        return replace(destination, lines=tuple(map(self.place, destination.lines)))

    def scales(self, scales: BlockScales) -> BlockScales:
        """Return the scales of quantized weights with their buffers and indices replaced."""
        left, sums, right = (tuple(map(self.place, places)) for places in (scales.left, scales.sums, scales.right))
        return replace(scales, left=left, sums=sums, right=right, right_stride=self.index(scales.right_stride))


class Uses(NamedTuple):
    """Places, index expressions, buffers and bodies of a statement.

    Attributes:
        places: Buffers and indices of the elements from which the statement accesses memory.
        indices: All other index expressions.
        reads, writes: Buffers that are read and written. Those passed to a function count as both.
        prefetches: Buffers that the statement only prefetches, without reading their content.
    """

    places: Sequence[Place] = ()
    indices: Sequence[Index] = ()
    reads: Sequence[Buffer] = ()
    writes: Sequence[Buffer] = ()
    bodies: Sequence[Body] = ()
    prefetches: Sequence[Buffer] = ()


def sizes_in(*valid: Valid) -> list[Index]:
    """Return the symbolic ones of some strides and numbers of lanes. Ints and None are left out."""
    return [item for item in valid if isinstance(item, Size)]


@dataclass(frozen=True)
class BaseStatement:
    """Base class of statements, with the methods that traversals need.

    Subclasses must define ``uses`` and ``renamed``. The class is no ``ABC``, because ``isinstance`` of an ``ABC`` is
    slow.

    Attributes:
        origin: Line, layer and phase for which the statement computes. The origin does not affect the result.
        encloses: True if the statement has bodies, which ``uses`` returns.
        repeats: True if inner statements may run several times.
    """

    encloses: ClassVar[bool] = False
    repeats: ClassVar[bool] = False
    origin: Where | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __init_subclass__(cls) -> None:
        if cls.uses is BaseStatement.uses or cls.renamed is BaseStatement.renamed:
            raise TypeError(f"{cls.__name__} must define uses and renamed")

    @abstractmethod
    def uses(self) -> Uses:
        """Return the places, index expressions, buffers and bodies of the statement."""

    @abstractmethod
    def renamed(self, by: Renaming) -> AnyStatement:
        """Return the statement with its buffers, index expressions and bodies replaced."""

    def changed(self, **fields: Any) -> Self:
        """Return a copy with other values of some fields, in a quarter of the time of ``dataclasses.replace``."""
        copy = object.__new__(type(self))
        vars(copy).update(vars(self), **fields)
        return copy
