"""Translation of the loop IR to the text of an LLVM module: functions, statements and loops.

Vectors are explicit, there are no fast-math flags, and no library is called. The builder of a function is in
``function_builder``; ``load_store`` and ``register_tile`` write to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import assert_never

from ...ir.sizes.polynomial import symbols_of
from ...ir.types import Dim
from ...support.stage_text import StageLine, StageText
from ..loop_ir.effects import has_barrier
from ..loop_ir.functions import Entry, Function, nested
from ..loop_ir.nodes import (
    Barrier,
    Buffer,
    Call,
    Contract,
    Fold,
    For,
    Let,
    LetIndex,
    Load,
    Pipeline,
    Prefetch,
    Statement,
    Store,
    Tick,
    TileProduct,
    When,
)
from ..loop_ir.origins import StatementOrigins, layers_text
from ..loop_ir.renaming import free
from ..loop_ir.worker_names import WORKER, WORKERS
from ..machine.amx import tile_product_text
from ..machine.cycle_counter import cycle_counter
from ..machine.target import Target
from ..threads.barrier import barrier_text
from ..threads.claim import claim_text, stages_text
from ..threads.spin_wait import pause
from . import elementwise, load_store
from .dot_products import bfloat16_words
from .function_builder import FunctionBuilder
from .instructions import Handle, Instructions, element_of
from .register_tile import contract


def module_text(functions: Sequence[Function], entries: Sequence[Entry], target: Target, name: str) -> str:
    """Return the text of an LLVM module, without origins."""
    return str.__str__(module_lines(functions, entries, target, name, False))


def module_lines(
    functions: Sequence[Function],
    entries: Sequence[Entry],
    target: Target,
    name: str,
    with_origins: bool = True,
    is_linked: bool = False,
) -> StageText:
    """Return the LLVM text of a module with loop IR functions and entries, line by line with its script lines.

    Args:
        functions: Functions that the entries call.
        entries: Functions that are called from outside.
        target: The processor.
        name: Name of the module.
        with_origins: True to return each line with the origins of its statement.
        is_linked: True if LLVM may inline entries, because the module that calls them is linked to this module.
    """
    intrinsics: dict[str, str] = {}
    helpers: dict[str, str] = {}

    def writer(function: Function) -> _FunctionWriter:
        return _FunctionWriter(function, target, intrinsics, helpers, with_origins)

    bodies = [writer(function).internal() for function in functions]
    flags_of = [_OPTIMIZED if is_linked else _flags_of(entry, target) for entry in entries]
    bodies += [writer(entry.function).entry(entry, flags) for entry, flags in zip(entries, flags_of, strict=True)]
    bodies = [*map(_without_origins, helpers.values()), *bodies]
    head = [f'; ModuleID = "{name}"', f'source_filename = "{name}"', f'target triple = "{target.triple}"', ""]
    width = max(target.vector_bits, 128)
    flags = f'nounwind "no-builtins" "prefer-vector-width"="{width}" "min-legal-vector-width"="{width}"'
    if target.grows_stack:
        bodies.insert(0, _without_origins(_STACK))
        flags += ' "no-stack-arg-probe"'
    attributes = [f"attributes {_OPTIMIZED} = {{ {flags} }}"]
    if _PLAIN in flags_of:
        attributes.append(f"attributes {_PLAIN} = {{ {flags} noinline optnone }}")
    declarations = _without_origins("\n".join([*sorted(intrinsics.values()), "", *attributes]))
    return StageText([*map(StageLine, head), *(line for body in bodies for line in body), *declarations])


def _flags_of(entry: Entry, target: Target) -> str:
    """Return the LLVM attributes of an entry. On x86, entries with many calls are not optimised."""
    calls = sum(isinstance(item, Call) for item in nested(entry.function.body))
    return _PLAIN if calls >= MANY_CALLS and target.is_x86_64 else _OPTIMIZED


def _without_origins(text: str) -> list[StageLine]:
    """Return the lines of a text, without origins."""
    return [*map(StageLine, text.split("\n"))]


_OPTIMIZED, _PLAIN = "#0", "#1"
"""Attributes of functions: with all optimizations of LLVM, and with none."""
MANY_CALLS = 24
"""Calls from which an entry is compiled without optimizations.

In a long entry, optimizing the addresses of the calls' arguments would take a tenth of the compile time. Without it, a
call takes a few ns longer, which matters only in short entries of small nets.
"""
_PAGES = 16
_STACK = "\n".join(
    [
        "; touches the stack page by page, since it grows by one page at a time",
        "define internal void @stack() noinline #0 {",
        f"  %pages = alloca [{4096 * _PAGES} x i8]",
        *(
            line
            for page in range(_PAGES)
            for line in (
                f"  %p{page} = getelementptr i8, ptr %pages, i64 {4096 * (_PAGES - 1 - page)}",
                f"  store volatile i8 0, ptr %p{page}",
            )
        ),
        "  ret void",
        "}",
        "",
    ]
)


class _FunctionWriter(FunctionBuilder):
    """Writer of the statements of one function."""

    def __init__(
        self,
        function: Function,
        target: Target,
        intrinsics: dict[str, str],
        helpers: dict[str, str],
        with_origins: bool,
    ) -> None:
        super().__init__(target, intrinsics, helpers, StatementOrigins(function) if with_origins else None)
        self.function = function
        self._slots: dict[str, int] = {}
        self._places: dict[Buffer, tuple[str, Dim]] = {}

    # Functions -----------------------------------------------------------------------------------

    def internal(self) -> list[StageLine]:
        """Return the LLVM text of the function as one that only other functions of the module call."""
        function = self.function
        # If a function has a barrier, other workers access its memory, too.
        noalias = "" if has_barrier(function.body) else " noalias"
        parameters = [f"ptr{noalias} %{buffer.name}" for buffer in function.buffers]
        parameters += [f"{self.index_kind} %{name}" for name in function.sizes]
        self.pointers = {buffer: f"%{buffer.name}" for buffer in function.buffers}
        self.sizes = {name: f"%{name}" for name in function.sizes}
        self.statements(function.body)
        head = [f"; {function.comment}"] if function.comment else []
        return self._lines([*head, f"define internal void @{function.name}({', '.join(parameters)}) #0 {{"], True)

    def _lines(self, head: Sequence[str], is_internal: bool) -> list[StageLine]:
        """Return the LLVM text of the function: ``head``, the body that was written so far, and the return."""
        if self.statement_origins is None:  # no origins are needed
            return [StageLine("\n".join([*head, "entry:", *self.lines, "  ret void", "}", ""]))]
        every = self.statement_origins.all
        self.own = every[:1] if is_internal else tuple(origin.of("") for origin in every[:1])
        body = map(StageLine, self.lines, self.line_origins())
        if every:
            head = [f"; {layers_text(every)}", *head]
        begin = [*(StageLine(line, every) for line in head), StageLine("entry:", self.own)]
        return [*begin, *body, StageLine("  ret void", self.own), StageLine("}", self.own), StageLine("")]

    def entry(self, entry: Entry, flags: str) -> list[StageLine]:
        """Return the LLVM text of the function as an entry, called from outside. ``flags`` are LLVM attributes."""
        self._slots = {name: number for number, name in enumerate(entry.slots)}
        self._places = entry.places
        kind = self.index_kind
        offsets = [offset for _, offset in entry.places.values()]
        for name in dict.fromkeys((*free(entry.function.body)[1], *chain.from_iterable(map(symbols_of, offsets)))):
            if name in self._slots:
                # with 32-bit indices, the lower bytes of the slot; all targets are little-endian
                self.sizes[name] = self._slot(name, kind)
        for name, argument in ((str(WORKER), "%worker"), (str(WORKERS), "%workers")):
            shorter = kind != "i64"
            self.sizes[name] = (
                self.b.emit(f"trunc i64 {argument} to {kind}", kind, 1, "own").text if shorter else argument
            )
        if self.target.grows_stack:
            self.lines.append("  call void @stack()")
        self.statements(entry.function.body)
        return self._lines(
            [f"define void @{entry.name}(ptr noalias %arguments, i64 %worker, i64 %workers) {flags} {{"], False
        )

    def base(self, buffer: Buffer) -> str:
        """Return a pointer to a buffer's first element: a parameter of the function, or in an argument's memory."""
        if buffer in self.pointers:
            return self.pointers[buffer]
        slot, offset = self._places[buffer]
        pointer = self._slot(slot, "ptr")
        if offset == 0:
            return pointer
        moved = f"getelementptr i8, ptr {pointer}, {self.index_kind} {self.index(offset)}"
        return self.once(moved, "i64", _plain(buffer.name))

    def _slot(self, name: str, kind: str) -> str:
        """Write a load of an argument, unless the scope has one. Return its name."""
        place = self.once(f"getelementptr i64, ptr %arguments, i64 {self._slots[name]}", "i64", "slot")
        return self.once(f"load {kind}, ptr {place}", "i64" if kind == "ptr" else kind, _plain(name))

    # Statements ----------------------------------------------------------------------------------

    def statements(self, statements: Sequence[Statement]) -> None:
        known = self.statement_origins
        for statement in statements:
            with self.at(() if known is None else known.of(statement)):
                self._statement(statement)

    def _statement(self, statement: Statement) -> None:
        match statement:
            case Load():
                load_store.load(self, statement)
            case Store():
                load_store.store(self, statement)
            case Prefetch():
                self.b.prefetch(self.address(statement.buffer, statement.index))
            case Let():
                self._let(statement)
            case LetIndex():
                self.let_index(statement)
            case Contract():
                contract(self, statement)
            case TileProduct():
                self._tile_product(statement)
            case For():
                self._for(statement)
            case When():
                self._when(statement)
            case Fold():
                self._fold(statement)
            case Call():
                self._call(statement)
            case Barrier():
                self._barrier(statement)
            case Pipeline():
                self._pipeline(statement)
            case Tick():
                self._tick(statement)
            case _:
                assert_never(statement)

    def _for(self, loop: For) -> None:
        def iteration(variable: str, _: Sequence[Handle]) -> list[Handle]:
            shadowed = self.sizes.get(loop.var)
            self.sizes[loop.var] = variable
            self.statements(loop.body)
            if shadowed is not None:
                self.sizes[loop.var] = shadowed
            return []

        if loop.comment:
            self.lines.append(f"  ; {loop.comment}")
        bounds = loop.start, loop.stop, loop.step
        self.loop(loop.var, bounds, [], iteration, is_opaque=self.target.is_x86_64)

    def _when(self, branch: When) -> None:
        then, end = self.labels("then", "done")
        inside = self.holds((branch.index, branch.low, branch.high))
        self.lines.append(f"  br i1 {inside.text}, label %{then}, label %{end}")
        self.start(then)
        self.known.append({})
        self.statements(branch.body)
        self.known.pop()
        self.lines.append(f"  br label %{end}")
        self.start(end)

    def _fold(self, loop: Fold) -> None:
        def iteration(variable: str, carried: Sequence[Handle]) -> list[Handle]:
            self.sizes[loop.var] = variable
            self.values.update(zip((item.name for item in loop.carried), carried, strict=True))
            self.statements(loop.body)
            return [self.operand(item) for item in loop.nexts]

        starts = [self.operand(item) for item in loop.starts]
        results = self.loop(loop.var, (loop.start, loop.stop, loop.step), starts, iteration)
        self.values.update(zip((item.name for item in loop.results), results, strict=True))

    def _call(self, call: Call) -> None:
        arguments = [f"ptr {self.address(buffer, index)}" for buffer, index in call.buffers]
        arguments += [f"{self.index_kind} {self.index(size)}" for size in call.sizes]
        if call.comment:
            self.lines.append(f"  ; {call.comment}")
        self.lines.append(f"  call void @{call.function}({', '.join(arguments)})")

    def _tile_product(self, tiles: TileProduct) -> None:
        self.b.helpers["tile_product"] = tile_product_text(self.b.intrinsics)
        (sums, left, right) = (self.address(*place) for place in (tiles.sums, tiles.left, tiles.right))
        counts = ", ".join(f"i64 {count}" for count in (tiles.rows, tiles.columns, tiles.depth))
        if tiles.comment:
            self.lines.append(f"  ; {tiles.comment}")
        self.lines.append(f"  call void @tile_product(ptr {sums}, ptr {left}, ptr {right}, {counts})")

    def _barrier(self, barrier: Barrier) -> None:
        self.b.helpers["barrier"] = barrier_text(self.target)
        self.b.intrinsics["pause"] = pause(self.target)[1]
        awaited = 1 if barrier.one_way else barrier.workers
        arguments = (f"i64 {self.wide_index(item).text}" for item in (barrier.worker, barrier.workers, awaited))
        self.lines.append(f"  call void @barrier(ptr {self.base(barrier.team)}, {', '.join(arguments)})")

    def _pipeline(self, pipeline: Pipeline) -> None:
        """Write the loop in which a worker claims stages and runs their next chunks, until no chunks are left."""
        number = sum(name.startswith("stages") for name in self.b.helpers)
        self.b.helpers[f"stages{number}"] = stages_text(number, pipeline.stages)
        self.b.helpers["claim"] = claim_text(self.target)
        self.b.intrinsics["pause"] = pause(self.target)[1]
        head, work, done, end = self.labels("claim", "work", "done", "end")
        labels = [self.labels("stage")[0] for _ in pipeline.stages]
        states, team = self.base(pipeline.states), self.base(pipeline.team)
        stop, step = self.wide_index(pipeline.stop).text, self.wide_index(pipeline.step).text
        stage, state = f"%task.{self.b.count}", f"%state.{self.b.count}"
        if pipeline.comment:
            self.lines.append(f"  ; {pipeline.comment}")
        before = self.label
        self.lines.append(f"  br label %{head}")
        self.start(head)
        self.lines.append(f"  {stage}.last = phi i64 [ -1, %{before} ], [ {stage}, %{done} ]")
        counts = f"i64 {len(labels)}, i64 {stop}, i64 {step}, i64 {pipeline.interval}, i64 {stage}.last"
        operands = f"ptr {states}, ptr @stages{number}, {counts}, ptr {team}"
        self.lines.append(f"  {stage} = call i64 @claim({operands})")
        self.lines.append(f"  {stage}.none = icmp slt i64 {stage}, 0")
        self.lines.append(f"  br i1 {stage}.none, label %{end}, label %{work}")
        self.start(work)
        self.lines.append(f"  {state}.place = getelementptr i64, ptr {states}, i64 {stage}")
        self.lines.append(f"  {state} = load atomic i64, ptr {state}.place monotonic, align 8")
        chunk = self._sized(self.b.emit(f"lshr i64 {state}, 1", "i64", 1, "chunk"), self.index_kind)
        cases = " ".join(f"i64 {position}, label %{label}" for position, label in enumerate(labels))
        self.lines.append(f"  switch i64 {stage}, label %{done} [ {cases} ]")
        self.sizes[pipeline.var] = chunk.text
        for label, item in zip(labels, pipeline.stages, strict=True):
            self.start(label)
            self.known.append({})
            self.statements(item.body)
            self.known.pop()
            self.lines.append(f"  br label %{done}")
        self.start(done)
        self.lines.append(f"  {state}.after = add i64 {state}, 1")
        self.lines.append(f"  store atomic i64 {state}.after, ptr {state}.place release, align 8")
        self.lines.append(f"  br label %{head}")
        self.start(end)

    def _tick(self, tick: Tick) -> None:
        text, declaration, metadata = cycle_counter(self.target)
        self.b.intrinsics["cycle counter"] = "\n".join((declaration, *metadata))
        now = self.b.emit(text, "i64", 1, "now")
        clock = self.address(tick.counters, tick.clock)
        if tick.slot is not None:
            before = self.b.emit(f"load i64, ptr {clock}", "i64", 1, "before")
            passed = self.b.emit(f"sub i64 {now.text}, {before.text}", "i64", 1, "passed")
            for place, more in ((tick.slot, passed.text), (tick.slot + 1, "1")):
                pointer = self.address(tick.counters, place)
                known = self.b.emit(f"load i64, ptr {pointer}", "i64", 1, "known")
                total = self.b.emit(f"add i64 {known.text}, {more}", "i64", 1, "total")
                self.lines.append(f"  store i64 {total.text}, ptr {pointer}")
        self.lines.append(f"  store i64 {now.text}, ptr {clock}")

    def _let(self, let: Let) -> None:
        """Write the LLVM code of a loop IR statement that computes a value, and bind the value's name."""
        b = self.b
        attributes = dict(let.attributes)
        element, lanes = element_of(let.value.dtype), let.value.lanes
        operands = [self.operand(item) for item in let.operands]
        if let.comment:
            self.lines.append(f"  ; {let.comment}")
        match let.op:
            case "splat":
                result = b.splat(operands[0], lanes)
            case "index":
                result = self.wide_index(attributes["index"])
            case "unit":
                base = b.splat(self.wide_index(attributes["index"]), lanes)
                result = b.iadd(base, b.lane_numbers(lanes))
            case "bfloat16_words":
                result = bfloat16_words(b, operands[0], operands[1], attributes["interleaved"])
            case "shuffle":
                result = b.shuffle(operands[0], operands[1], attributes["order"])
            case "across":
                result = _across(b, attributes["combine"], operands)
            case _:
                result = elementwise.emit(b, let.op, operands, element, attributes)
        self.values[let.value.name] = result


def _across(b: Instructions, op: str, rows: Sequence[Handle]) -> Handle:
    """Write code that reduces each of 2^n vectors to one lane, by the op ``op``. Return a vector of the results.

    Each step combines the two halves of the lanes. Several vectors are first combined to one vector, which has some
    lanes of each row; then each step combines the halves of all rows at once.
    """
    lanes = rows[0].lanes  # lanes of a vector that belong to one row
    while lanes > 1:
        lanes //= 2
        pairs = [*zip(rows[::2], rows[1::2], strict=True)] if len(rows) > 1 else [(rows[0], rows[0])]
        rows = [_halves_combined(b, op, one, other, lanes, len(rows) > 1) for one, other in pairs]
    return rows[0]


def _halves_combined(b: Instructions, op: str, one: Handle, other: Handle, half: int, are_two: bool) -> Handle:
    """Write ``op`` on the lower and upper halves of each 2·half lanes of one vector, or two. Return the results."""
    if one.lanes == 2 and not are_two:
        low, high = b.halves(one)
    else:
        starts = range(0, one.lanes * (2 if are_two else 1), 2 * half)
        low = b.shuffle(one, other, [start + lane for start in starts for lane in range(half)])
        high = b.shuffle(one, other, [start + half + lane for start in starts for lane in range(half)])
    return elementwise.emit(b, op, (low, high), low.element, {})


def _plain(name: str) -> str:
    """Return a name with underscores in place of all characters but letters and digits."""
    return "".join(character if character.isalnum() else "_" for character in name)
