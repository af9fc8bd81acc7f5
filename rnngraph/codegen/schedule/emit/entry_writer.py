"""The entry in the making: kernels as functions, the calls of them, and the barriers between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ....ir.types import size
from ....support.errors import Where
from ...buffers.packing import Panels
from ...loop_ir.builder import Block
from ...loop_ir.effects import CallEffects, Effects
from ...loop_ir.functions import Function, origins_in
from ...loop_ir.nodes import Barrier, Buffer, Call, Index, Statement
from ...loop_ir.renaming import free, renamed, work_of
from ...loop_ir.workers import TEAM, WORKER, WORKERS
from .ticks import Ticks, Timed


class EntryWriter:
    """Adds statements to an entry for workers who cut kernels into ``parts``, and collects the functions that it calls.

    block: where statements go now. preparation: what runs when parameters change, which is one worker's.
    unsynchronized: what kernels workers may still be in, since the last barrier: "", those by "rows", those that are
    "serial", the first worker's, or any "other". ticks: of an entry that counts what time its parts take.
    """

    def __init__(self, panels: Panels, parts: int, ticks: Ticks | None = None) -> None:
        self.panels, self.parts, self.ticks = panels, parts, ticks
        self._timed: Timed | None = None
        self.block, self.preparation = Block(), Block()
        self.functions: dict[tuple[Any, ...], Function] = {}
        self.is_preparing, self.unsynchronized = False, ""
        self._effects = CallEffects(())

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Statements go to the preparation."""
        self.is_preparing = True
        with self.into(self.preparation):
            yield
        self.is_preparing = False

    @contextmanager
    def timing(self, timed: Timed) -> Iterator[None]:
        """Times of what is called meanwhile count as ``timed``."""
        outer, self._timed = self._timed, timed
        yield
        self._timed = outer

    def count(self, slot: int | None = None) -> None:
        """Counts the time since the last tick, in a slot or as what is being timed."""
        if self.ticks is not None and not self.is_preparing:
            found = slot if self._timed is None or slot is not None else self.ticks.of(self._timed)
            self.block.add(self.ticks.count(self.ticks.rest if found is None else found))

    def synchronize(self, by_rows: bool = False, serial: bool = False) -> None:
        """Lets all workers wait before a kernel that may read what others wrote, or write what they still read."""
        if self.parts == 1 or self.is_preparing:
            return
        kind = "rows" if by_rows else "serial" if serial else "other"
        if self.unsynchronized and (kind == "other" or kind != self.unsynchronized):
            self.barrier()
        self.unsynchronized = kind

    def barrier(self, one_way: bool = False) -> None:
        self.block.add(Barrier(TEAM, WORKER, WORKERS, one_way))
        if self.ticks is not None:
            self.count(self.ticks.wait)
        self.unsynchronized = ""

    def kernel(
        self,
        emit: Callable[[Block], None],
        comment: str,
        by_rows: bool = False,
        serial: bool = False,
        origin: Where | None = None,
    ) -> None:
        """A kernel that is a function of its own. origin: where it comes from, if not from where all around it does."""
        self.synchronize(by_rows, serial)
        self.emit(emit, comment, origin)

    def emit(self, emit: Callable[[Block], None], comment: str, origin: Where | None = None) -> None:
        """Adds a kernel, as a function of its own, before which no worker needs to wait."""
        block = Block(origin=origin or self.block.origin)
        emit(block)
        if self.is_preparing:  # a panel that the kernel reads must be filled before it runs
            self.panels.pack(self.block)
        self._call(block, comment, "fused")

    def function(self, block: Block, comment: str, kind: str, by_rows: bool = False, serial: bool = False) -> None:
        """Calls a function with these statements. by_rows: it computes each row from that row alone; serial: the first
        worker does it.
        """
        self.synchronize(by_rows, serial)
        self._call(block, comment, kind)

    @contextmanager
    def into(self, block: Block) -> Iterator[None]:
        """Statements go to another block."""
        outer, self.block = self.block, block
        yield
        self.block = outer

    def captured(self, emit: Callable[[], None]) -> list[Statement]:
        """What ``emit`` writes into the entry, taken out of it."""
        block = self.block.nested()
        with self.into(block):
            emit()
        return block.statements

    def captured_serial(self, emits: Sequence[Callable[[], None]]) -> list[list[Statement]]:
        """What each of several calls of ``emit`` writes, all of it for one worker."""
        parts, self.parts = self.parts, 1
        found = [self.captured(emit) for emit in emits]
        self.parts = parts
        return found

    def effects(self, statements: Sequence[Statement]) -> Effects:
        """What statements of the entry read and write."""
        self._effects.add((*self.functions.values(), *self.panels.functions))
        return self._effects.of(statements)

    def _call(self, block: Block, comment: str, kind: str) -> None:
        """Functions that do equal work are one."""
        buffers, names = free(block.statements)
        formal = {buffer: Buffer(f"m{i}", buffer.dtype) for i, buffer in enumerate(buffers)}
        symbols: dict[str, Index] = {name: size(f"n{i}") for i, name in enumerate(names)}
        statements = renamed(block.statements, formal, symbols)
        name, sizes_of = f"{kind}{len(self.functions)}", tuple(f"n{i}" for i in range(len(names)))
        named = Function(name, tuple(formal.values()), sizes_of, statements, comment)
        work = work_of(named)
        function = self.functions.setdefault(work, named)
        if function is not named:
            function = self.functions[work] = function.beside(origins_in(statements))
        places, sizes = tuple((buffer, 0) for buffer in buffers), tuple(map(size, names))
        self.block.add(Call(function.name, places, sizes, comment, origin=block.origin))
        self.count()
