"""LLVM text of the C functions of a net that runs step by step.

An instance is the caller's memory. It has a header, and two copies of all states: a step reads one and writes the
other. It also has space for results that are moved afterwards, states of several streams, and the arena. Nothing else
is written, so that any number of instances run in parallel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...codegen.machine.ir_builder import signature
from ...ir.types import ITEM_BYTES
from .llvm_text import ROWS, STEPS, WrapperBuilder
from .nets import HEADER, ExportedStream, RowBatch
from .ports import ExportedEntry, Port
from .sizes import Number
from .wrapper import CallMemory, CWrapper

TURN, VARIANT, WEIGHTS = 0, 8, 16
"""Offsets in an instance's header, in bytes."""


class StreamWrapper(CWrapper[ExportedStream]):
    """Writer of the C functions of one variant of a stream."""

    by_choice = ("init",)

    @property
    def by_header(self) -> tuple[str, ...]:
        of_states = ("get_state", "set_state") if self.exported.tail is None else ("flush", "get_state", "set_state")
        return ("reset", "step", "step_rows", "process", *of_states)

    def functions(self) -> list[str]:
        states = self._state("get_state"), self._state("set_state")
        tail = () if self.exported.tail is None else (self._flush(self.exported.tail),)
        steps = self._step(), self._step_rows(), self._process()
        return [self._init(), self._reset(), *steps, *tail, *states]

    @staticmethod
    def numbers(variants: Sequence[ExportedStream]) -> dict[str, int]:
        """Return the byte counts that suffice for every variant, by the name of the C function that returns them."""
        return {"state_size": max(exported.memory_bytes for exported in variants)}

    def parameters(self, what: str) -> dict[str, str]:
        exported = self.exported
        ports = dict.fromkeys(("step", "step_rows", "process"), (*exported.inputs, *exported.outputs))
        ports |= {"init": exported.initial_inputs, "reset": exported.initial_inputs}
        ports["flush"] = (*exported.held_inputs, *exported.owed)
        parameters = {"memory": "ptr"}
        if what == "step_rows":
            parameters |= {"states": "ptr", "rows": "ptr", "count": self.size}
        if what == "process":
            parameters["steps"] = self.size
        if what == "init" and not exported.embedded:
            parameters["weights"] = "ptr"
        if what in ("get_state", "set_state"):
            parameters["state"] = "ptr"
        return parameters | {f"p_{port.symbol}": "ptr" for port in ports.get(what, ())}

    # Memory --------------------------------------------------------------------------------------

    def _begin(self) -> tuple[WrapperBuilder, str]:
        f = WrapperBuilder()
        return f, f.aligned("%memory")

    def _copies(self, f: WrapperBuilder, base: str, turn: str) -> tuple[dict[str, str], dict[str, str]]:
        """Append instructions for the addresses of current and next states. Return both {state: name}."""
        size = self.exported.copy_bytes
        before = f.moved(f.moved(base, HEADER), f.times(turn, size))
        after = f.moved(f.moved(base, HEADER), f.times(f.value(f"xor i64 {turn}, 1"), size))
        places = self.exported.state_places.items()
        first, second = ({name: f.moved(copy, place) for name, place in places} for copy in (before, after))
        return first, second

    def _call(
        self,
        f: WrapperBuilder,
        entry: ExportedEntry,
        base: str,
        pointers: Mapping[tuple[str, str], str],
        ports: Sequence[Port],
        count: Number,
        dims: Mapping[str, Number],
    ) -> None:
        """Append a call of an entry (compiled graph) for ``count`` steps or streams."""
        arena = f.moved(base, self.exported.arena_place)
        weights = "" if self.exported.embedded else f.load("ptr", base, WEIGHTS)
        memory = CallMemory(arena, weights, pointers)
        self.call(f, entry, memory, ports, dict.fromkeys(entry.plan.sizes, count), dims)

    # Functions -----------------------------------------------------------------------------------

    def _init(self) -> str:
        f, base = self._begin()
        f.store("i64", 0, base, TURN)
        f.store("i64", self.variant, base, VARIANT)
        if not self.exported.embedded:
            f.store("ptr", f.aligned("%weights"), base, WEIGHTS)
        arguments = signature({name: kind for name, kind in self.parameters("reset").items() if name != "memory"})
        f.do(f"call void @{self.name('reset')}({', '.join(filter(None, ['ptr %memory', arguments]))})")
        return self.function("init", f, "0")

    def _reset(self) -> str:
        f, base = self._begin()
        exported = self.exported
        f.store("i64", 0, base, TURN)
        present, _ = self._copies(f, base, "0")
        if isinstance(exported.initial, ExportedEntry):
            pointers = {("output", name): pointer for name, pointer in present.items()}
            feeds = self.pointers_of(f, exported.initial_inputs)
            pointers |= {("input", name): pointer for name, pointer in feeds.items()}
            self._call(f, exported.initial, base, pointers, exported.initial_inputs, 1, {str(STEPS): 1})
            return self.function("reset", f)
        if exported.states:
            f.clear(f.moved(base, HEADER), exported.copy_bytes)
        for port in exported.states:
            array = exported.initial[port.name]
            if array.tobytes().strip(b"\0"):
                f.copy(self.data.array(array), present[port.name], array.nbytes)
        return self.function("reset", f)

    def _step(self) -> str:
        f, base = self._begin()
        inputs, outputs = self.pointers_of(f, self.exported.inputs), self.pointers_of(f, self.exported.outputs)
        self._run(f, self.exported.step, base, inputs, outputs, 1, 1)
        return self.function("step", f)

    def _step_rows(self) -> str:
        """Return the LLVM text of ``step_rows``, as a loop over rows.

        Each saved state is copied to the instance and back, so that only ``step`` has the code of a step.
        """
        if self.exported.together is not None:
            return self._step_together(self.exported.together)
        f, base = self._begin()
        with f.loop(self.wide(f, "%count"), "number") as number:
            state = self._saved(f, number)
            self._move_states(f, base, state, back=False)
            arrays = [_of_row(f, port, number) for port in (*self.exported.inputs, *self.exported.outputs)]
            f.do(f"call void @{self.name('step')}({', '.join(f'ptr {item}' for item in ['%memory', *arrays])})")
            self._move_states(f, base, state, back=True)
        return self.function("step_rows", f)

    def _step_together(self, together: RowBatch) -> str:
        """Return the LLVM text of ``step_rows``, which steps several rows at a time.

        Saved states are copied to the entry's inputs, and back from its outputs. Feeds and results are contiguous
        already.
        """
        f, base = self._begin()
        exported, count = self.exported, self.wide(f, "%count")
        before = f.moved(base, exported.streams_place)
        after = f.moved(before, exported.streams_bytes)
        room = f.alloca(1)  # number of streams copied so far
        f.store("i64", 0, room)
        with f.loop(count, "number") as number:
            moved = f.load("i64", room)
            self._move(f, self._saved(f, number), self._of_stream(f, before, moved), back=False)
            filled = f.plus(moved, 1)
            f.store("i64", filled, room)
            is_full = f.value(f"icmp eq i64 {filled}, {together.max_rows}", "full")
            is_last = f.value(f"icmp eq i64 {f.plus(number, 1)}, {count}", "last")
            with f.when(f.value(f"or i1 {is_full}, {is_last}", "runs")):
                first = f.value(f"sub i64 {number}, {moved}", "first")
                pointers = {("input", port.name): _of_row(f, port, first) for port in exported.inputs}
                pointers |= {("output", port.name): _of_row(f, port, first) for port in exported.outputs}
                for kind, place in (("input", before), ("output", after)):
                    pointers |= {(kind, name): item for name, item in self._of_stream(f, place, 0).items()}
                dims = {str(STEPS): 1, str(ROWS): filled}
                self._call(f, together.entry, base, pointers, together.ports, filled, dims)
                with f.loop(filled, "stream") as stream:
                    state = self._saved(f, f.plus(first, stream))
                    self._move(f, state, self._of_stream(f, after, stream), back=True)
                f.store("i64", 0, room)
        return self.function("step_rows", f)

    def _saved(self, f: WrapperBuilder, number: Number) -> str:
        """Append instructions for the address of a row's saved state, and return its name."""
        place = f.value(f"getelementptr {self.size}, ptr %rows, i64 {number}", "place")
        row = f.value(f"load {self.size}, ptr {place}, align {self.exported.target.pointer_bits // 8}", "row")
        return f.moved("%states", f.times(self.wide(f, row), self.exported.packed_bytes))

    def _of_stream(self, f: WrapperBuilder, place: str, stream: Number) -> dict[str, str]:
        """Append instructions for the addresses of one stream's states. Return {state: name of its address}."""
        places, sizes = self.exported.streams_places, {port.name: port.step_bytes for port in self.exported.states}
        return {name: f.moved(f.moved(place, places[name]), f.times(stream, sizes[name])) for name in places}

    def _move_states(self, f: WrapperBuilder, base: str, state: str, back: bool, by_items: bool = True) -> None:
        """Append instructions that copy all saved states to the current ones; with ``back``, the reverse.

        ``by_items`` is True if saved states are aligned to items.
        """
        present, _ = self._copies(f, base, f.load("i64", base, TURN))
        self._move(f, state, present, back, by_items)

    def _move(
        self, f: WrapperBuilder, state: str, present: Mapping[str, str], back: bool, by_items: bool = True
    ) -> None:
        """Append instructions that copy a saved state to the current one; with ``back``, the reverse."""
        sizes, place = {ITEM_BYTES[port.dtype] for port in self.exported.states}, 0
        item = sizes.pop() if by_items and len(sizes) == 1 else 1  # with several sizes some may be unaligned
        for port in self.exported.states:
            saved, own = f.moved(state, place), present[port.name]
            source, to = (own, saved) if back else (saved, own)
            f.copy(source, to, port.step_bytes // item, item)
            place += port.step_bytes

    def _run(
        self,
        f: WrapperBuilder,
        entry: ExportedEntry,
        base: str,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        steps: Number,
        whole: Number,
    ) -> None:
        """Append instructions that call an entry, and then swap the current and the next states.

        ``whole`` is the size of the time axis of the arrays, of which the run computes ``steps``.
        """
        turn = f.load("i64", base, TURN)
        before, after = self._copies(f, base, turn)
        pointers = {("input", name): pointer for name, pointer in {**inputs, **before}.items()}
        pointers |= {("output", name): pointer for name, pointer in {**outputs, **after}.items()}
        self._call(f, entry, base, pointers, (*self.exported.inputs, *self.exported.states), steps, {str(STEPS): whole})
        f.store("i64", f.value(f"xor i64 {turn}, 1", "turn"), base, TURN)

    def _process(self) -> str:
        f, base = self._begin()
        steps = self.wide(f, "%steps")
        inputs, outputs = self.pointers_of(f, self.exported.inputs), self.pointers_of(f, self.exported.outputs)
        if self.exported.block is None:
            self._steps(f, base, steps, inputs, outputs)
            return self.function("process", f)
        with f.when(f.value(f"icmp ne i64 {steps}, 0", "any")):
            self._run(f, self.exported.block, base, inputs, outputs, steps, steps)
        return self.function("process", f)

    def _steps(
        self, f: WrapperBuilder, base: str, steps: str, inputs: Mapping[str, str], outputs: Mapping[str, str]
    ) -> None:
        """Append a loop that runs single steps, on the inputs and outputs of a block of steps."""
        exported = self.exported
        scratch = f.moved(base, HEADER + 2 * exported.copy_bytes)
        with f.loop(steps, "step") as number:
            fed = {port.name: _at_step(f, port, inputs[port.name], number) for port in exported.inputs}
            results = {port.name: _at_step(f, port, outputs[port.name], number) for port in exported.outputs}
            room = {name: f.moved(scratch, place) for name, place in exported.scratch_places.items()}
            self._run(f, exported.step, base, fed, results | room, 1, steps)
            for port in exported.outputs:
                if port.name in room:
                    self._scatter(f, port, room[port.name], results[port.name], steps)

    def _scatter(self, f: WrapperBuilder, port: Port, source: str, to: str, steps: str) -> None:
        """Append instructions that copy one step's results to their place in a block's results."""
        (before, after), size = port.around, ITEM_BYTES[port.dtype]
        with f.loop(before, "row") as row:
            row_bytes = f.times(row, after * size)
            f.copy(f.moved(source, row_bytes), f.moved(to, f.times(row_bytes, steps)), after, size)

    def _flush(self, tail: ExportedEntry) -> str:
        """Return the LLVM text of the function that computes the outputs at the end. It only reads the states."""
        f, base = self._begin()
        exported = self.exported
        present, _ = self._copies(f, base, f.load("i64", base, TURN))
        # no entries of sequences remain, so their inputs may point anywhere
        fed = {port.name: base for port in exported.inputs}
        fed |= self.pointers_of(f, exported.held_inputs)
        pointers = {("input", name): pointer for name, pointer in {**fed, **present}.items()}
        pointers |= {("output", port.name): f"%p_{port.symbol}" for port in exported.owed}
        self._call(f, tail, base, pointers, (*exported.inputs, *exported.states), 0, {str(STEPS): 0})
        return self.function("flush", f)

    def _state(self, what: str) -> str:
        """Return the LLVM text of ``get_state`` or ``set_state``, which copy all states of an instance."""
        f, base = self._begin()
        self._move_states(f, base, "%state", back=what == "get_state", by_items=False)
        return self.function(what, f)


def _of_row(f: WrapperBuilder, port: Port, number: str) -> str:
    """Append instructions for the address of one row's array, and return its name. A null pointer stays null."""
    moved = f.moved(f"%p_{port.symbol}", f.times(number, port.step_bytes))
    if port.default is None:
        return moved
    missing = f.value(f"icmp eq ptr %p_{port.symbol}, null", "missing")
    return f.value(f"select i1 {missing}, ptr null, ptr {moved}", "fed")


def _at_step(f: WrapperBuilder, port: Port, pointer: str, number: str) -> str:
    """Append instructions for the address of one step's part of a block, and return its name."""
    if port.time_axis is None:
        return pointer
    return f.moved(pointer, f.times(number, port.around[1] * ITEM_BYTES[port.dtype]))
