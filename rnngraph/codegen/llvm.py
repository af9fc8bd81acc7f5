"""From loop IR to LLVM IR text. Explicit vectors, no calls but of our own functions, no fast-math flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.types import ITEM_BYTES, Dim, Size
from . import elementwise
from .instructions import LLVM_TYPES, Handle, Instructions, element_of, overload_suffix, vector_type
from .loops import (
    Buffer,
    Call,
    Contract,
    Fold,
    For,
    Function,
    Index,
    Let,
    LetIndex,
    Literal,
    Load,
    Operand,
    Statement,
    Store,
    Value,
    When,
)
from .target import Target


@dataclass(frozen=True)
class Entry:
    """The function that is called from outside, ``void name(ptr arguments, i64 worker, i64 workers)``.

    slots: names of what the argument block holds, 8 bytes each: pointers first, then sizes. places: where
    in a slot's memory a buffer begins, in bytes; a buffer that is itself a slot begins at 0.
    """

    name: str
    function: Function
    slots: tuple[str, ...]
    places: dict[Buffer, tuple[str, Dim]]


def module_text(functions: Sequence[Function], entries: Sequence[Entry], target: Target, name: str) -> str:
    """The whole LLVM module as text."""
    intrinsics: dict[str, str] = {}
    helpers: dict[str, str] = {}
    bodies = [_FunctionWriter(function, target, intrinsics, helpers).internal() for function in functions]
    bodies += [_FunctionWriter(entry.function, target, intrinsics, helpers).entry(entry) for entry in entries]
    bodies = [*helpers.values(), *bodies]
    head = [f'; ModuleID = "{name}"', f'source_filename = "{name}"', f'target triple = "{target.triple}"', ""]
    width = max(target.vector_bits, 128)
    flags = f'nounwind "no-builtins" "prefer-vector-width"="{width}" "min-legal-vector-width"="{width}"'
    attributes = f"attributes #0 = {{ {flags} }}"
    return "\n".join([*head, *bodies, *sorted(intrinsics.values()), "", attributes, ""])


def memory_element(dtype: str) -> str:
    """A truth value takes a byte in memory."""
    return "i8" if dtype == "bool" else element_of(dtype)


class _FunctionWriter:
    def __init__(self, function: Function, target: Target, intrinsics: dict[str, str], helpers: dict[str, str]) -> None:
        self.function = function
        self.target = target
        self.lines: list[str] = []
        self.b = Instructions(self.lines, target.has_fma, intrinsics, helpers)
        self.values: dict[str, Handle] = {}
        self.pointers: dict[Buffer, str] = {}
        self.sizes: dict[str, str] = {}
        self.known: list[dict[object, str]] = [{}]  # index arithmetic, by scope
        self.label = "entry"

    # Functions -----------------------------------------------------------------------------------

    def internal(self) -> str:
        function = self.function
        parameters = [f"ptr noalias %{buffer.name}" for buffer in function.buffers]
        parameters += [f"i64 %{name}" for name in function.sizes]
        self.pointers = {buffer: f"%{buffer.name}" for buffer in function.buffers}
        self.sizes = {name: f"%{name}" for name in function.sizes}
        self.statements(function.body)
        comment = f"; {function.comment}\n" if function.comment else ""
        head = f"define internal void @{function.name}({', '.join(parameters)}) #0 {{\nentry:"
        return "\n".join([comment + head, *self.lines, "  ret void", "}", ""])

    def entry(self, entry: Entry) -> str:
        position = {name: number for number, name in enumerate(entry.slots)}
        slots: dict[str, str] = {}
        pointer_slots = {slot for slot, _ in entry.places.values()}
        for name, number in position.items():
            place = self.b.emit(f"getelementptr i64, ptr %arguments, i64 {number}", "i64", 1, "slot").text
            if name in pointer_slots:
                slots[name] = self.b.emit(f"load ptr, ptr {place}", "i64", 1, _plain(name)).text
            else:
                self.sizes[name] = self.b.emit(f"load i64, ptr {place}", "i64", 1, _plain(name)).text
        for buffer, (slot, offset) in entry.places.items():
            pointer = slots[slot]
            if offset != 0:
                pointer = self.b.emit(
                    f"getelementptr i8, ptr {pointer}, i64 {self.index(offset)}",
                    "i64",
                    1,
                    _plain(buffer.name),
                ).text
            self.pointers[buffer] = pointer
        self.statements(entry.function.body)
        head = f"define void @{entry.name}(ptr noalias %arguments, i64 %worker, i64 %workers) #0 {{\nentry:"
        return "\n".join([head, *self.lines, "  ret void", "}", ""])

    # Index arithmetic ----------------------------------------------------------------------------

    def index(self, dim: Index) -> str:
        if not isinstance(dim, Size):
            return str(dim)
        for scope in self.known:
            if dim in scope:
                return scope[dim]
        total = ""
        for names, factor in dim.terms:
            term = ""
            for name in names:
                term = self._combine("mul", term, self.sizes[name]) if term else self.sizes[name]
            if factor != 1 or not term:
                term = self._combine("mul", term, str(factor)) if term else str(factor)
            total = self._combine("add", total, term) if total else term
        self.known[-1][dim] = total
        return total

    def _combine(self, op: str, a: str, b: str) -> str:
        for scope in self.known:
            if (op, a, b) in scope:
                return scope[op, a, b]
        text = self.b.emit(f"{op} i64 {a}, {b}", "i64", 1, "i").text
        self.known[-1][op, a, b] = text
        return text

    def address(self, buffer: Buffer, index: Index) -> str:
        """A pointer to an element: what varies first, then what is constant, which addressing modes absorb."""
        constant = next((factor for names, factor in index.terms if not names), 0) if isinstance(index, Size) else index
        kind = LLVM_TYPES[memory_element(buffer.dtype)]
        pointer = self.pointers[buffer]
        varying = index - constant
        if varying != 0:
            pointer = self._pointer(kind, pointer, self.index(varying))
        return self._pointer(kind, pointer, str(constant)) if constant else pointer

    def _pointer(self, kind: str, pointer: str, offset: str) -> str:
        key = (kind, pointer, offset)
        for scope in self.known:
            if key in scope:
                return scope[key]
        text = self.b.emit(f"getelementptr {kind}, ptr {pointer}, i64 {offset}", "i64", 1, "at").text
        self.known[-1][key] = text
        return text

    # Statements ----------------------------------------------------------------------------------

    def statements(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            match statement:
                case Load():
                    self._load(statement)
                case Store():
                    self._store(statement)
                case Let():
                    self._let(statement)
                case LetIndex():
                    self._let_index(statement)
                case Contract():
                    self._contract(statement)
                case For():
                    self._for(statement)
                case When():
                    self._when(statement)
                case Fold():
                    self._fold(statement)
                case Call():
                    self._call(statement)

    def operand(self, value: Operand) -> Handle:
        if isinstance(value, Value):
            return self.values[value.name]
        return self.b.literal(value.value, element_of(value.dtype), value.lanes)

    def _start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.label = label

    def _labels(self, *names: str) -> list[str]:
        self.b.count += 1
        return [f"{name}.{self.b.count}" for name in names]

    def _for(self, loop: For) -> None:
        before, (head, body, end) = (
            self.label,
            self._labels(f"{loop.var}.head", f"{loop.var}.body", f"{loop.var}.end"),
        )
        start, stop = self.index(loop.start), self.index(loop.stop)
        if loop.comment:
            self.lines.append(f"  ; {loop.comment}")
        before = self.label
        self.lines.append(f"  br label %{head}")
        self._start(head)
        position = len(self.lines)
        variable, following = f"%{loop.var}.{self.b.count}", f"%{loop.var}.next.{self.b.count}"
        self.lines.append("")  # the phi, once the last block of the body is known
        test = self.b.emit(f"icmp slt i64 {variable}, {stop}", "i1", 1, "more")
        self.lines.append(f"  br i1 {test.text}, label %{body}, label %{end}")
        self._start(body)
        self.known.append({})
        shadowed = self.sizes.get(loop.var)
        self.sizes[loop.var] = variable
        self.statements(loop.body)
        self.lines.append(f"  {following} = add i64 {variable}, {loop.step}")
        self.lines[position] = f"  {variable} = phi i64 [ {start}, %{before} ], [ {following}, %{self.label} ]"
        self.lines.append(f"  br label %{head}")
        self.known.pop()
        if shadowed is not None:
            self.sizes[loop.var] = shadowed
        self._start(end)

    def _when(self, branch: When) -> None:
        then, end = self._labels("then", "done")
        index = self.index(branch.index)
        low = self.b.emit(f"icmp sle i64 {self.index(branch.low)}, {index}", "i1", 1, "from")
        high = self.b.emit(f"icmp slt i64 {index}, {self.index(branch.high)}", "i1", 1, "below")
        both = self.b.emit(f"and i1 {low.text}, {high.text}", "i1", 1, "inside")
        self.lines.append(f"  br i1 {both.text}, label %{then}, label %{end}")
        self._start(then)
        self.known.append({})
        self.statements(branch.body)
        self.known.pop()
        self.lines.append(f"  br label %{end}")
        self._start(end)

    def _fold(self, loop: Fold) -> None:
        head, body, end = self._labels(f"{loop.var}.head", f"{loop.var}.body", f"{loop.var}.end")
        start, stop = self.index(loop.start), self.index(loop.stop)
        starts = [self.operand(item) for item in loop.starts]
        before = self.label
        self.lines.append(f"  br label %{head}")
        self._start(head)
        position = len(self.lines)
        variable, following = f"%{loop.var}.{self.b.count}", f"%{loop.var}.next.{self.b.count}"
        self.lines.append("")
        for item, begin in zip(loop.carried, starts, strict=True):
            self.values[item.name] = Handle(f"%{item.name}", begin.element, begin.lanes)
            self.lines.append("")
        test = self.b.emit(f"icmp slt i64 {variable}, {stop}", "i1", 1, "more")
        self.lines.append(f"  br i1 {test.text}, label %{body}, label %{end}")
        self._start(body)
        self.known.append({})
        self.sizes[loop.var] = variable
        self.statements(loop.body)
        nexts = [self.operand(item) for item in loop.nexts]
        self.lines.append(f"  {following} = add i64 {variable}, {loop.step}")
        self.lines[position] = f"  {variable} = phi i64 [ {start}, %{before} ], [ {following}, %{self.label} ]"
        for number, (item, begin, after) in enumerate(zip(loop.carried, starts, nexts, strict=True), 1):
            self.lines[position + number] = (
                f"  %{item.name} = phi {begin.type} [ {begin.text}, %{before} ], [ {after.text}, %{self.label} ]"
            )
        self.lines.append(f"  br label %{head}")
        self.known.pop()
        self._start(end)
        for result, item in zip(loop.results, loop.carried, strict=True):
            self.values[result.name] = self.values[item.name]

    def _call(self, call: Call) -> None:
        given = [f"ptr {self.address(buffer, index)}" for buffer, index in call.buffers]
        given += [f"i64 {self.index(size)}" for size in call.sizes]
        if call.comment:
            self.lines.append(f"  ; {call.comment}")
        self.lines.append(f"  call void @{call.function}({', '.join(given)})")

    def _let_index(self, let: LetIndex) -> None:
        b = self.b
        if let.op == "of":
            assert let.source is not None
            value = self.operand(let.source)
            if value.element == "i32":
                value = b.convert("sext", value, "i64")
            last = Handle(self.index(let.factor - 1), "i64", 1)
            value = b.select(b.compare("slt", value, last), value, last)
            zero = Handle("0", "i64", 1)
            self.sizes[let.name] = b.select(b.compare("sgt", value, zero), value, zero).text
            return
        base, factor = Handle(self.index(let.base), "i64", 1), Handle(self.index(let.factor), "i64", 1)
        match let.op:
            case "parity":
                result = b.and_(base, Handle("1", "i64", 1))
            case "floor":
                result = b.imul(b._binary("sdiv", base, factor), factor)
            case "divide":
                result = b._binary("sdiv", base, factor)
            case "min":
                result = b.select(b.compare("slt", base, factor), base, factor)
            case _:
                result = b.select(b.compare("sgt", base, factor), base, factor)
        self.sizes[let.name] = result.text

    def _let(self, let: Let) -> None:
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
                result = Handle(self.index(attributes["index"]), "i64", 1)
            case "unit":
                base = b.splat(Handle(self.index(attributes["index"]), "i64", 1), lanes)
                result = b.iadd(base, b.lane_numbers(lanes))
            case "across":
                result = _across(b, attributes["combine"], operands[0])
            case _:
                result = elementwise.emit(b, let.op, operands, element, attributes)
        self.values[let.value.name] = result

    # Memory --------------------------------------------------------------------------------------

    def _lanes_at(self, kind: str, pointer: str, stride: Index, lanes: int) -> str:
        """A vector of pointers, ``stride`` elements apart."""
        b = self.b
        offsets = b.imul(b.lane_numbers(lanes), b.splat(Handle(self.index(stride), "i64", 1), lanes))
        text = f"getelementptr {kind}, ptr {pointer}, {offsets.type} {offsets.text}"
        return b.emit(text, "i64", lanes, "lanes").text

    def _read(self, pointer: str, dtype: str, lanes: int, valid: int | None, stride: Index, name: str) -> Handle:
        """Lanes from memory; those that are not valid become 0 and are not touched."""
        b, element, size = self.b, memory_element(dtype), ITEM_BYTES[dtype]
        kind = vector_type(element, lanes)
        if lanes == 1 or (stride == 1 and valid is None):
            return b.emit(f"load {kind}, ptr {pointer}, align {size}", element, lanes, name)
        mask = b.first_lanes(lanes if valid is None else valid, lanes)
        if stride == 1:
            form, places, where = "load", f"ptr {pointer}", "p0"
        else:
            vector = self._lanes_at(LLVM_TYPES[element], pointer, stride, lanes)
            form, places, where = "gather", f"<{lanes} x ptr> {vector}", f"v{lanes}p0"
        full = f"llvm.masked.{form}.{overload_suffix(element, lanes)}.{where}"
        kinds = f"{places.rpartition(' ')[0]}, i32, {mask.type}, {kind}"
        b.intrinsics[full] = f"declare {kind} @{full}({kinds})"
        given = f"{places}, i32 {size}, {mask.type} {mask.text}, {kind} zeroinitializer"
        return b.emit(f"call {kind} @{full}({given})", element, lanes, name)

    def _load(self, load: Load) -> None:
        b, value = self.b, load.value
        name = value.name.rpartition(".")[0] or value.name
        pointer = self.address(load.buffer, load.index)
        result = self._read(pointer, load.buffer.dtype, value.lanes, load.valid, load.stride, name)
        if load.buffer.dtype == "bool":
            result = b.compare("ne", result, b.constant(0, result))
        self.values[value.name] = result

    def _store(self, store: Store) -> None:
        b, dtype = self.b, store.buffer.dtype
        value, pointer = self.operand(store.value), self.address(store.buffer, store.index)
        if dtype == "bool":
            value = b.convert("zext", value, "i8")
        lanes, size = value.lanes, ITEM_BYTES[dtype]
        if lanes == 1 or (store.valid is None and store.stride == 1):
            self.lines.append(f"  store {value.type} {value.text}, ptr {pointer}, align {size}")
            return
        mask = b.first_lanes(lanes if store.valid is None else store.valid, lanes)
        if store.stride == 1:
            form, places, where = "store", f"ptr {pointer}", "p0"
        else:
            vector = self._lanes_at(LLVM_TYPES[value.element], pointer, store.stride, lanes)
            form, places, where = "scatter", f"<{lanes} x ptr> {vector}", f"v{lanes}p0"
        full = f"llvm.masked.{form}.{overload_suffix(value.element, lanes)}.{where}"
        b.intrinsics[full] = f"declare void @{full}({value.type}, {places.rpartition(' ')[0]}, i32, {mask.type})"
        given = f"{value.type} {value.text}, {places}, i32 {size}, {mask.type} {mask.text}"
        self.lines.append(f"  call void @{full}({given})")

    # Contraction ---------------------------------------------------------------------------------

    def _contract(self, tile: Contract) -> None:
        rows, columns = len(tile.results), len(tile.results[0])
        if tile.comment:
            self.lines.append(f"  ; {tile.comment}")
        accumulators = [[self.operand(item) for item in row] for row in tile.starts]
        depth, unroll = tile.depth, tile.unroll
        if isinstance(depth, int) and depth <= max(unroll, 32 // max(1, rows * columns)):
            accumulators = self._steps(tile, accumulators, "0", range(depth))
        else:
            whole: Index
            if isinstance(depth, int):
                whole = depth // unroll * unroll
            else:
                self._let_index(LetIndex("whole", "floor", depth, unroll))
                self.sizes[(fresh := f"whole.{self.b.count}")] = self.sizes["whole"]
                whole = Size((((fresh,), 1),))
            accumulators = self._k_loop(tile, accumulators, 0, whole, unroll)
            if isinstance(depth, int):
                accumulators = self._steps(tile, accumulators, "0", range(int(str(whole)), depth))
            else:
                accumulators = self._k_loop(tile, accumulators, whole, depth, 1)
        for results, row in zip(tile.results, accumulators, strict=True):
            for result, handle in zip(results, row, strict=True):
                self.values[result.name] = handle

    def _k_loop(
        self, tile: Contract, starts: list[list[Handle]], start: Index, stop: Index, unroll: int
    ) -> list[list[Handle]]:
        # Pointers that do not move with k are made before the loop.
        for buffer, index in (*tile.left, *tile.right):
            self.address(buffer, index)
        first, last = self.index(start), self.index(stop)
        head, body, end = self._labels("k.head", "k.body", "k.end")
        number, before = self.b.count, self.label
        self.lines.append(f"  br label %{head}")
        self._start(head)
        position = len(self.lines)
        self.lines.append("")
        accumulators = []
        for r, row in enumerate(starts):
            accumulators.append([h._replace(text=f"%sum.{r}.{j}.{number}") for j, h in enumerate(row)])
            self.lines.extend("" for _ in row)
        test = self.b.emit(f"icmp slt i64 %k.{number}, {last}", "i1", 1, "more")
        self.lines.append(f"  br i1 {test.text}, label %{body}, label %{end}")
        self._start(body)
        self.known.append({})
        nexts = self._steps(tile, accumulators, f"%k.{number}", range(unroll))
        self.known.pop()
        self.lines.append(f"  %k.next.{number} = add i64 %k.{number}, {unroll}")
        self.lines.append(f"  br label %{head}")
        self.lines[position] = f"  %k.{number} = phi i64 [ {first}, %{before} ], [ %k.next.{number}, %{body} ]"
        for r, row in enumerate(starts):
            for j, begin in enumerate(row):
                position += 1
                self.lines[position] = (
                    f"  {accumulators[r][j].text} = phi {begin.type} [ {begin.text}, %{before} ], "
                    f"[ {nexts[r][j].text}, %{body} ]"
                )
        self._start(end)
        return accumulators

    def _steps(self, tile: Contract, accumulators: list[list[Handle]], k: str, offsets: range) -> list[list[Handle]]:
        """The steps k + offset, in order, of every accumulator."""
        b = self.b
        sums = [list(row) for row in accumulators]
        lanes = sums[0][0].lanes
        for offset in offsets:
            left = [self._element(place, k, tile.left_stride, offset, 1, None, 1) for place in tile.left]
            spread = [b.splat(item, lanes) for item in left]
            for j, (place, valid) in enumerate(zip(tile.right, tile.valid, strict=True)):
                weight = self._element(place, k, tile.right_stride, offset, lanes, valid, tile.lane_stride)
                for r in range(len(sums)):
                    sums[r][j] = b.fma(spread[r], weight, sums[r][j])
        return sums

    def _element(
        self,
        place: tuple[Buffer, Index],
        k: str,
        stride: Index,
        offset: int,
        lanes: int,
        valid: int | None,
        between: Index,
    ) -> Handle:
        """A row's element or a column's lanes at step k + offset."""
        buffer, index = place
        kind = LLVM_TYPES[element_of(buffer.dtype)]
        constant = next((f for names, f in index.terms if not names), 0) if isinstance(index, Size) else index
        pointer = self.address(buffer, index - constant)
        if k != "0":
            step = self._combine("mul", k, self.index(stride)) if stride != 1 else k
            pointer = self._pointer(kind, pointer, step)
        behind = constant + stride * offset
        if behind != 0:
            pointer = self._pointer(kind, pointer, self.index(behind))
        return self._read(pointer, buffer.dtype, lanes, valid, between, "a" if lanes == 1 else "w")


def _across(b: Instructions, op: str, x: Handle) -> Handle:
    """All lanes as one, in halves: the order is fixed by the number of lanes."""
    while x.lanes > 1:
        low, high = b.halves(x)
        x = elementwise.emit(b, op, (low, high), low.element, {})
    return x


def _plain(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name)


__all__ = ["Entry", "Literal", "module_text"]
