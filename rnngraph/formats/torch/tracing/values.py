"""What a tensor of a module stands for: a value of the script, or something that becomes one only where it must."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ....declare.functions.basic import expand_dims
from ....ir.types import Dim
from ...steps import Value


@dataclass(frozen=True, eq=False)
class Filled:
    """One number everywhere, as ``torch.zeros`` gives it."""

    number: float | int | bool
    shape: tuple[Dim, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Positions:
    """``start``, ``start + step`` and on, as ``torch.arange`` gives them."""

    count: Dim
    start: int
    step: int
    dtype: str

    @property
    def shape(self) -> tuple[Dim, ...]:
        return (self.count,)


@dataclass(frozen=True, eq=False)
class Repeated:
    """A value whose axes of size 1 are repeated, of as many axes, as ``expand`` gives it."""

    of: Value
    shape: tuple[Dim, ...]

    @property
    def dtype(self) -> str:
        return self.of.tensor.dtype


@dataclass(frozen=True, eq=False)
class Stacked:
    """Values of one shape along an axis of their own."""

    items: tuple[Any, ...]
    axis: int
    shape: tuple[Dim, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Written:
    """A tensor of one number, into which values were written at places along an axis."""

    ground: Filled
    axis: int
    items: dict[int, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.ground.shape

    @property
    def dtype(self) -> str:
        return self.ground.dtype


@dataclass(frozen=True, eq=False)
class Sorted:
    """What belongs to rows in the order of their lengths: the lengths, their indices, or a tensor of such rows.

    what: ``"lengths"``, ``"order"``, ``"back"`` (the order from there back) or ``"rows"``. of: the lengths as they are,
    or the tensor whose rows they are. axis: of the rows.
    """

    what: str
    of: Any
    lengths: Any
    shape: tuple[Dim, ...]
    dtype: str
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Packed:
    """The steps of a packed sequence. of: [batch, time, …], or [time, batch, …]; lengths: int [batch].

    is_sorted: whether its rows were sorted by length. ends_in_zeros: whether all is 0 past a row's end.
    """

    of: Any
    lengths: Any
    batch_first: bool
    is_sorted: bool
    shape: tuple[Dim, ...]
    dtype: str
    ends_in_zeros: bool = False


@dataclass(frozen=True, eq=False)
class Unknown:
    """What a call gave that can't be read."""

    shape: tuple[Dim, ...]
    dtype: str


Lazy = Filled | Positions | Repeated | Stacked | Written | Sorted | Packed | Unknown


def shape_of(value: Value | Lazy) -> tuple[Dim, ...]:
    return value.tensor.type.shape if isinstance(value, Value) else value.shape


def dtype_of(value: Value | Lazy) -> str:
    return value.tensor.dtype if isinstance(value, Value) else value.dtype


def expanded_of(x: Any) -> tuple[Value, int] | None:
    """The value to which an axis of size 1 was added, and the axis; None of all else."""
    if isinstance(x, Value) and x.step.key is expand_dims and not x.path:
        inner, axis = x.step.operands
        return inner, axis
    return None


def recast(value: Any, dtype: str, cast: Callable[[Any, str], Any]) -> Lazy | None:
    """Return a lazy value in another dtype, or None for one that must be computed. ``cast`` is for what it repeats."""
    if isinstance(value, Filled):
        return Filled(value.number, value.shape, dtype)
    if isinstance(value, Positions):
        return Positions(value.count, value.start, value.step, dtype)
    if isinstance(value, Repeated):
        return Repeated(cast(value.of, dtype), value.shape)
    return None
