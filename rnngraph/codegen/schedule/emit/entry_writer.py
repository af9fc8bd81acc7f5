"""Builder of an entry: functions of kernels, their calls, and barriers between the calls."""

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
from ...loop_ir.renaming import parameters, renamed, work_of
from ...loop_ir.worker_names import TEAM, WORKER, WORKERS
from .ticks import Ticks, Timed


class EntryWriter:
    """Builder of an entry whose kernels are split into ``parts``, and of the functions that it calls.

    Attributes:
        block: Block to which statements are added.
        preparation: Block that runs on one worker when parameters change.
        unsynchronized: Kind of the kernels since the last barrier: "" for none, "rows", "serial" (on the first
            worker), or "other".
        ticks: Timers of a profiled entry.
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
        """Within this context, statements are added to the preparation block."""
        self.is_preparing = True
        with self.into(self.preparation):
            yield
        self.is_preparing = False

    @contextmanager
    def timing(self, timed: Timed) -> Iterator[None]:
        """Within this context, the time of added calls is counted in the slot of ``timed``."""
        outer, self._timed = self._timed, timed
        yield
        self._timed = outer

    def count(self, slot: int | None = None) -> None:
        """Write code of a timer that adds the time since the last such code to a slot of the profile.

        The default is the slot of the part being timed, or ``rest`` outside of such parts. Nothing is written if the
        entry has no timers, or while preparing.
        """
        if self.ticks is not None and not self.is_preparing:
            counted_slot = slot if self._timed is None or slot is not None else self.ticks.of(self._timed)
            self.block.add(self.ticks.count(self.ticks.rest if counted_slot is None else counted_slot))

    def synchronize(self, by_rows: bool = False, serial: bool = False) -> None:
        """Write a barrier before a kernel if other workers may have used its values since the last barrier.

        Args:
            by_rows: True if the kernel computes each row from that row alone.
            serial: True if the kernel runs on the first worker.
        """
        if self.parts == 1 or self.is_preparing:
            return
        kind = "rows" if by_rows else "serial" if serial else "other"
        if self.unsynchronized and (kind == "other" or kind != self.unsynchronized):
            self.barrier()
        self.unsynchronized = kind

    def barrier(self, one_way: bool = False) -> None:
        """Add a barrier. If it is ``one_way``, the first worker does not wait, and the others wait only for it."""
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
        """Add a call of a function whose body ``emit`` writes, after a barrier if it needs one."""
        self.synchronize(by_rows, serial)
        self.emit(emit, comment, origin)

    def emit(self, emit: Callable[[Block], None], comment: str, origin: Where | None = None) -> Call:
        """Add a call of a function whose body ``emit`` writes, without a barrier. Return the call."""
        block = Block(origin=origin or self.block.origin)
        emit(block)
        if self.is_preparing:  # before the kernel runs, fill the panels that it reads
            self.panels.pack(self.block)
        return self._call(block, comment, "fused")

    def function(self, block: Block, comment: str, kind: str, by_rows: bool = False, serial: bool = False) -> None:
        """Add a call of a function with these statements, after a barrier if it needs one.

        Args:
            block: Block with the statements.
            comment: Description.
            kind: Prefix of the function's name.
            by_rows: True if the function computes each row from that row alone.
            serial: True if the function runs on the first worker.
        """
        self.synchronize(by_rows, serial)
        self._call(block, comment, kind)

    @contextmanager
    def into(self, block: Block) -> Iterator[None]:
        """Within this context, statements are added to another block."""
        outer, self.block = self.block, block
        yield
        self.block = outer

    def captured(self, emit: Callable[[], None]) -> list[Statement]:
        """Return the statements that ``emit`` writes, without adding them to the entry."""
        block = self.block.nested()
        with self.into(block):
            emit()
        return block.statements

    def captured_serial(self, emits: Sequence[Callable[[], None]]) -> list[list[Statement]]:
        """Return the statements that each of ``emits`` writes if the entry has a single worker."""
        parts, self.parts = self.parts, 1
        captured = [self.captured(emit) for emit in emits]
        self.parts = parts
        return captured

    def effects(self, statements: Sequence[Statement]) -> Effects:
        """Return the buffers that statements of the entry read and write."""
        self._effects.add((*self.functions.values(), *self.panels.functions))
        return self._effects.of(statements)

    def _call(self, block: Block, comment: str, kind: str) -> Call:
        """Make a function of a block's statements, or find an equal one. Add and return a call of the function."""
        needs = parameters(block.statements)
        param = {buffer: Buffer(f"m{i}", buffer.dtype) for i, buffer in enumerate(needs.buffers)}
        symbols: dict[str, Index] = {name: size(f"n{i}") for i, name in enumerate(needs.sizes)}
        statements = renamed(block.statements, param, symbols, needs.buffers)
        name, sizes_of = f"{kind}{len(self.functions)}", tuple(f"n{i}" for i in range(len(needs.sizes)))
        named = Function(name, tuple(param.values()), sizes_of, statements, comment)
        work = work_of(named)
        function = self.functions.setdefault(work, named)
        if function is not named:
            function = self.functions[work] = function.with_origins(origins_in(statements))
        sizes = tuple(map(size, needs.sizes))
        call = Call(function.name, tuple(needs.buffers.items()), sizes, comment, origin=block.origin)
        self.block.add(call)
        self.count()
        return call
