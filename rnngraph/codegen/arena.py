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
    shared: dict[str, tuple[list[Buffer], int]] = field(default_factory=dict)

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

    def scratch(self, name: str, dtype: str, elements: int) -> Buffer:
        """Memory of one kernel's own while it runs: all that is given out under one name is the same."""
        buffers, largest = self.shared.get(name, ([], 0))
        buffer = next((item for item in buffers if item.dtype == dtype), Buffer(f"{name}_{dtype}", dtype))
        largest = max(largest, elements * ITEM_BYTES[dtype])
        self.shared[name] = ([*buffers, buffer] if buffer not in buffers else buffers, largest)
        return buffer

    def place_scratch(self) -> None:
        """Places all scratch, once no more is asked for."""
        for buffers, largest in self.shared.values():
            self.places.update(dict.fromkeys(buffers, ("arena", self.total)))
            self.total = self.total + -(-largest // ALIGNMENT) * ALIGNMENT
        self.shared.clear()


def _may_be_uneven(size_bytes: Dim) -> bool:
    """Whether a formula is not sure to be a multiple of the alignment."""
    return not isinstance(size_bytes, int) and any(factor % ALIGNMENT for _, factor in size_bytes.terms)


def padded_row(width: Dim, dtype: str) -> Dim:
    """Elements of a row of ``width``, padded to 64 bytes; a width of 1 is not padded."""
    if not isinstance(width, int) or width == 1:
        return width
    per_line = ALIGNMENT // ITEM_BYTES[dtype]
    return -(-width // per_line) * per_line
