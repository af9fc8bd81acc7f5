"""The entry in the making: kernels as functions, the calls of them, and the barriers between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.graph import Node
from ...ir.types import size
from ..buffers.packing import Panels
from ..cost_model.work_sharing import sum_cut
from ..kernels.loop_nests import Region, by_one, each_part
from ..kernels.outer_products import add_outer_sum, clear
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Barrier, Buffer, Call, Function, Index, Statement
from ..loop_ir.renaming import free, renamed, work_of
from ..loop_ir.workers import TEAM, WORKER, WORKERS


class Writer:
    """block: where the entry's statements go now. preparing: whether that is what runs when parameters change, which is
    one worker's. since: what kernels workers may still be in, since the last barrier: "", those by "rows", those that
    the first worker does "alone", or any "other".
    """

    def __init__(self, panels: Panels, parts: int) -> None:
        self.panels, self.parts = panels, parts
        self.block = Block()
        self.functions: dict[tuple[Any, ...], Function] = {}
        self.preparing, self.since = False, ""

    def wait(self, by_rows: bool = False, alone: bool = False) -> None:
        """Lets all workers wait before a kernel that may read what others wrote, or write what they still read."""
        if self.parts == 1 or self.preparing:
            return
        kind = "rows" if by_rows else "alone" if alone else "other"
        if self.since and (kind == "other" or kind != self.since):
            self.barrier()
        self.since = kind

    def barrier(self, one_way: bool = False) -> None:
        self.block.add(Barrier(TEAM, WORKER, WORKERS, one_way))
        self.since = ""

    def kernel(
        self, emit: Callable[[Block], None], comment: str, by_rows: bool = False, alone: bool = False
    ) -> None:  # fmt: skip
        """A kernel that is a function of its own."""
        self.wait(by_rows, alone)
        self.emit(emit, comment)

    def emit(self, emit: Callable[[Block], None], comment: str) -> None:
        """The same where no worker needs to wait."""
        block = Block()
        emit(block)
        if self.preparing:  # a panel that the kernel reads must be filled before it runs
            self.panels.pack(self.block)
        self._function(block, comment, "phase")

    def outer_sum(self, region: Region, block: Block, node: Node, comment: str) -> None:
        """Several kernels, with scratch memory between them. Each part packs its own: no worker waits in between."""
        cut = sum_cut(region, node)

        def kernel(inner: Block, emit: Callable[[Block], None]) -> None:
            outer, self.block = self.block, inner
            whole = emit if cut.axis is not None else lambda one: by_one(region, one, emit)
            self.emit(whole, comment)
            self.block = outer

        if region.length is None:
            self.kernel(lambda inner: by_one(region, inner, lambda one: clear(region, one, node)), comment)
        self.wait()
        if cut.axis is None:
            add_outer_sum(region, block, node, kernel)
        else:
            each_part(region, block, cut.axis, lambda inner, share: add_outer_sum(region, inner, node, kernel, share))

    def apart(self, emit: Callable[[], None]) -> list[Statement]:
        """What ``emit`` writes into the entry, taken out of it."""
        outer, self.block = self.block, self.block.nested()
        emit()
        found, self.block = self.block.statements, outer
        return found

    def add_function(
        self, block: Block, comment: str, kind: str, by_rows: bool = False, alone: bool = False
    ) -> None:  # fmt: skip
        """Calls a function with these statements. by_rows: it computes each row from that row alone; alone: the first
        worker does it.
        """
        self.wait(by_rows, alone)
        self._function(block, comment, kind)

    def _function(self, block: Block, comment: str, kind: str) -> None:
        """Functions that do equal work are one."""
        buffers, names = free(block.statements)
        formal = {buffer: Buffer(f"m{i}", buffer.dtype) for i, buffer in enumerate(buffers)}
        symbols: dict[str, Index] = {name: size(f"n{i}") for i, name in enumerate(names)}
        statements = renamed(block.statements, formal, symbols)
        named = Function(
            f"{kind}{len(self.functions)}", tuple(formal.values()), tuple(f"n{i}" for i in range(len(names))),
            statements, comment,
        )  # fmt: skip
        function = self.functions.setdefault(work_of(named), named)
        self.block.add(Call(function.name, tuple((buffer, 0) for buffer in buffers), tuple(map(size, names)), comment))
