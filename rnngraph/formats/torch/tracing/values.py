"""Lazy values: stand-ins for tensors, which are declared in the script only when a call needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ....declare.functions.basic import expand_dims
from ....ir.types import Dim, Size
from ...steps import Value


@dataclass(frozen=True, eq=False)
class Filled:
    """Tensor that is filled with one number, such as the result of ``torch.zeros``."""

    number: float | int | bool
    shape: tuple[Dim, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Positions:
    """1-D tensor of ``start``, ``start + step``, …, such as the result of ``torch.arange``."""

    count: Dim
    start: int
    step: int
    dtype: str

    @property
    def shape(self) -> tuple[Dim, ...]:
        return (self.count,)


@dataclass(frozen=True, eq=False)
class Repeated:
    """Value broadcast along its axes of size 1, as by ``torch.expand``. The rank is unchanged."""

    of: Value
    shape: tuple[Dim, ...]

    @property
    def dtype(self) -> str:
        return self.of.tensor.dtype


@dataclass(frozen=True, eq=False)
class Stacked:
    """Values of one shape, stacked along a new axis."""

    items: tuple[Entry, ...]
    axis: int
    shape: tuple[Dim, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Written:
    """Constant tensor in which some entries of an axis were overwritten with values."""

    ground: Filled
    axis: int
    items: dict[int, Entry] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.ground.shape

    @property
    def dtype(self) -> str:
        return self.ground.dtype


@dataclass(frozen=True, eq=False)
class Sorted:
    """Result of sorting rows by length: the rows, the lengths, or a permutation.

    Attributes:
        what: ``"lengths"``, ``"order"`` (the sorting permutation), ``"back"`` (its inverse), ``"rows"`` or ``"empty"``.
        of: The sorted value in its original order: the lengths, or the rows.
        lengths: The lengths in their original order.
        axis: Axis of the rows.
    """

    what: str
    of: Entry
    lengths: Entry
    shape: tuple[Dim, ...]
    dtype: str
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Packed:
    """Packed sequence.

    Attributes:
        of: The unpacked rows [batch, time, …], or [time, batch, …].
        lengths: int [batch].
        is_sorted: True if the rows were sorted by length.
        ends_in_zeros: True if all entries past the end of a row are 0.
    """

    of: Value
    lengths: Value
    batch_first: bool
    is_sorted: bool
    shape: tuple[Dim, ...]
    dtype: str
    ends_in_zeros: bool = False


@dataclass(frozen=True, eq=False)
class Unknown:
    """Result of an unsupported call."""

    shape: tuple[Dim, ...]
    dtype: str


Computable = Filled | Positions | Repeated | Stacked | Written
"""Lazy values that can become values of the script."""
Lazy = Computable | Sorted | Packed | Unknown
Entry = Value | Lazy
"""Value of the script, or lazy value."""
NOT_VALUES: dict[type, str] = {
    Sorted: "its rows are sorted by length; restore their order first",
    Packed: "its operand is a packed sequence; unpack it with pad_packed_sequence first",
}
"""Error messages for lazy values that cannot be declared in a script."""


def shape_of(value: Value | Lazy) -> tuple[Dim, ...]:
    return value.tensor.type.shape if isinstance(value, Value) else value.shape


def dtype_of(value: Value | Lazy) -> str:
    return value.tensor.dtype if isinstance(value, Value) else value.dtype


def expanded_of(x: object) -> tuple[Value, int] | None:
    """Return (operand, axis) if ``x`` is the result of ``expand_dims``; None otherwise."""
    if isinstance(x, Value) and x.step.key is expand_dims and not x.path:
        inner, axis = x.step.operands
        return inner, axis
    return None


def recast(value: object, dtype: str, cast: Callable[[Value, str], Value]) -> Lazy | None:
    """Return a described value, such as a constant, with another dtype; None if the script must cast it.

    Args:
        cast: Function that casts the value inside a ``Repeated``.
    """
    if isinstance(value, Filled):
        return Filled(value.number, value.shape, dtype)
    if isinstance(value, Positions):
        return Positions(value.count, value.start, value.step, dtype)
    if isinstance(value, Repeated):
        return Repeated(cast(value.of, dtype), value.shape)
    return None


def has_rows(shape: Sequence[Dim]) -> bool:
    """True for the shape of a loop's state: several axes, or one of symbolic size."""
    return len(shape) > 1 or (len(shape) == 1 and isinstance(shape[0], Size))
