"""The arena: one block of memory for all temporaries, whose size is a formula in the run-time sizes."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir.types import ITEM_BYTES, Dim
from .loops import Buffer
from .panels import ALIGNMENT


@dataclass
class Arena:
    """Gives out temporaries, one after the other. Sizes may be formulas of run-time sizes."""

    places: dict[Buffer, tuple[str, Dim]] = field(default_factory=dict)
    total: Dim = 0
    count: int = 0

    def buffer(self, name: str, dtype: str, elements: Dim) -> Buffer:
        self.count += 1
        buffer = Buffer(f"{name}_{self.count}", dtype)
        size_bytes = elements * ITEM_BYTES[dtype]
        if isinstance(size_bytes, int):
            size_bytes = -(-size_bytes // ALIGNMENT) * ALIGNMENT
        elif _may_be_uneven(size_bytes):
            size_bytes = size_bytes + ALIGNMENT
        self.places[buffer] = ("arena", self.total)
        self.total = self.total + size_bytes
        return buffer


def _may_be_uneven(size_bytes: Dim) -> bool:
    """Whether a formula is not sure to be a multiple of the alignment."""
    return not isinstance(size_bytes, int) and any(factor % ALIGNMENT for _, factor in size_bytes.terms)


def padded_row(width: Dim, dtype: str) -> Dim:
    """Elements of a row of ``width``, padded to 64 bytes; a width of 1 is not padded."""
    if not isinstance(width, int) or width == 1:
        return width
    per_line = ALIGNMENT // ITEM_BYTES[dtype]
    return -(-width // per_line) * per_line
