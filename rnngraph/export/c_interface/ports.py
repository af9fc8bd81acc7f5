"""Arrays of callers, and entries of exported code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...codegen.loop_ir.functions import Entry
from ...codegen.schedule.emit.scheduled_entry import ScheduledEntry
from ...ir.axes.by_size import axis_of_names
from ...ir.types import ITEM_BYTES, Shape, symbols_of
from .llvm_text import STEPS, elements


@dataclass(frozen=True)
class Port:
    """Array of the C interface.

    ``shape`` has the call's sizes, such as ``STEPS``, or ``2 * STEPS`` for two entries in each step. ``default``
    replaces a null pointer; if it is None, callers must not pass a null pointer.
    """

    name: str
    symbol: str
    dtype: str
    shape: Shape
    default: np.ndarray | None = None

    @property
    def shown(self) -> str:
        """Name of the array for callers; a graph's only output may have none."""
        return self.name or "output"

    @property
    def step_bytes(self) -> int:
        return elements(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def time_axis(self) -> int | None:
        """Axis that grows with the number of steps; None without one."""
        return axis_of_names(self.shape, symbols_of(STEPS))

    @property
    def around(self) -> tuple[int, int]:
        """Number of elements along the axes before time, and number of elements of one step along all other axes.

        Without a time axis, the numbers are 1 and the number of all elements.
        """
        axis = self.time_axis or 0
        return elements(self.shape[:axis]), elements(self.shape[axis:])

    @property
    def is_scattered(self) -> bool:
        """True if the results of one step are not contiguous within the results of a block."""
        return self.time_axis is not None and self.around[0] != 1


@dataclass(frozen=True)
class ExportedEntry:
    """Entry of exported code, with its packed weights if they are embedded."""

    plan: ScheduledEntry
    panels: bytes = b""

    def with_offsets(self, entry: Entry, offsets: Mapping[str, int]) -> Entry:
        """Return ``entry`` with its packed weights at these offsets, by name of buffer."""
        places = {
            buffer: (slot, offsets[buffer.name] if slot == "panels" else offset)
            for buffer, (slot, offset) in entry.places.items()
        }
        return replace(entry, places=places)
