"""Weights as the tiles stream them: packed panels, with all gates of one slice of units together.

A panel lies as [group of blocks][k][gate][block][lane], units past the end filled with zeros. It is packed
when parameters change, never while a graph runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.types import ITEM_BYTES, size
from .loops import Block, Buffer, For, Function, Index, Load, Store, Value
from .views import View

ALIGNMENT = 64


@dataclass(frozen=True)
class Panel:
    """A packed panel and its depth, the number of k."""

    buffer: Buffer
    depth: int
    gates: int
    bytes: int


class Panels:
    """The panels that a program's kernels ask for, each made once."""

    def __init__(self, parameters: Sequence[Buffer]) -> None:
        self.parameters = set(parameters)
        self.made: dict[tuple[tuple[View, ...], int, int, int], Panel] = {}
        self.offsets: dict[Buffer, int] = {}
        self.filled: set[Buffer] = set()
        self.total = 0

    def packs(self, view: View) -> bool:
        """Whether a right operand depends on parameters alone, so that it can be packed ahead of time."""
        return view.buffer in self.parameters

    def prepared(self, name: str, dtype: str, elements: int) -> Buffer:
        """Memory for a value that is computed from parameters when they change."""
        buffer = Buffer(f"{name}_p{len(self.offsets)}", dtype)
        self._place(buffer, elements)
        self.parameters.add(buffer)
        return buffer

    def _place(self, buffer: Buffer, elements: int) -> int:
        self.offsets[buffer] = self.total
        size_bytes = elements * ITEM_BYTES[buffer.dtype]
        self.total += -(-size_bytes // ALIGNMENT) * ALIGNMENT
        return size_bytes

    def panel(self, views: tuple[View, ...], width: int, lanes: int, blocks: int) -> Panel:
        key = (views, width, lanes, blocks)
        if key not in self.made:
            depth = int(str(views[0].shape[0]))
            dtype = views[0].buffer.dtype
            count = -(-width // lanes) * lanes * depth * len(views)
            buffer = Buffer(f"panel{len(self.made)}", dtype)
            self.made[key] = Panel(buffer, depth, len(views), self._place(buffer, count))
        return self.made[key]

    def pack_function(self, name: str, block: Block) -> Function:
        """The function that fills every panel from the parameters, after what ``block`` prepares."""
        self.pack(block)
        return Function(name, (), (), tuple(block.statements), "packs parameters into panels")

    def pack(self, block: Block) -> None:
        """Fills the panels that were asked for and are not filled yet."""
        for (views, width, lanes, blocks), panel in self.made.items():
            if panel.buffer not in self.filled:
                _pack(block, views, width, lanes, blocks, panel)
                self.filled.add(panel.buffer)


def _pack(block: Block, views: tuple[View, ...], width: int, lanes: int, blocks: int, panel: Panel) -> None:
    total = -(-width // lanes)
    first = 0
    while first < total:
        # All groups of full blocks run in one loop; the last blocks stand alone.
        count = min(blocks, total - first)
        whole = (total - first) // count if count == blocks else 1
        ends_short = (first + whole * count) * lanes > width
        if ends_short and whole > 1:
            whole -= 1
            ends_short = False
        _groups(block, views, width, lanes, first, count, whole, ends_short, panel)
        first += whole * count


def _groups(
    block: Block, views: tuple[View, ...], width: int, lanes: int, first: int, count: int, whole: int,
    ends_short: bool, panel: Panel,
) -> None:  # fmt: skip
    gates = len(views)
    per_group = panel.depth * gates * count * lanes
    group_name, k_name = block.fresh("group").replace(".", ""), block.fresh("k").replace(".", "")
    group, k = size(group_name), size(k_name)
    base: Index = first * panel.depth * gates * lanes + group * per_group + k * (gates * count * lanes)
    inner = block.nested()
    for gate, view in enumerate(views):
        for number in range(count):
            unit = (first + number) * lanes + group * (count * lanes)
            valid = None
            if ends_short and (first + number + 1) * lanes > width:
                valid = max(0, width - (first + number) * lanes)
            source = view.offset + k * view.strides[0] + unit * view.strides[1]
            value = Value(inner.fresh("w"), view.buffer.dtype, lanes)
            inner.add(Load(value, view.buffer, source, valid, view.strides[1]))
            inner.add(Store(value, panel.buffer, base + (gate * count + number) * lanes))
    per_k = For(k_name, 0, panel.depth, 1, tuple(inner.statements))
    block.add(For(group_name, 0, whole, 1, (per_k,)))
