"""Builder of an LLVM function: its lines, handles of values, index arithmetic and addresses."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from ...ir.sizes.polynomial import Floor, Size, Term
from ...support.errors import ArgumentError
from ..loop_ir.nodes import Buffer, Condition, Index, LetIndex, Operand, Value
from ..loop_ir.origins import Origins, StatementOrigins
from ..machine.target import Target
from .instructions import LLVM_TYPES, Handle, Instructions, element_of, memory_element

_NOWHERE = nullcontext()


class FunctionBuilder:
    """Builder of an LLVM function, with handles of the loop IR's values, buffers and sizes.

    Attributes:
        index_kind: LLVM type of index arithmetic, which is as wide as a pointer.
        known: Results of index arithmetic that are available, one dictionary for each enclosing scope.
        own: Origins of the function as a whole.
        origins: Origins of the current statement.
        marks: Numbers of the lines at which the origins change, with the new origins.
    """

    def __init__(
        self,
        target: Target,
        intrinsics: dict[str, str],
        helpers: dict[str, str],
        statements: StatementOrigins | None = None,
    ) -> None:
        """Start an empty function. ``statements`` has the script lines of statements; None if lines need none."""
        self.lines: list[str] = []
        self.b = Instructions(
            self.lines,
            target.has_fma,
            target.has_estimates,
            intrinsics,
            helpers,
            absent=target.absent,
            has_scale=target.has_scale,
        )
        self.target = target
        self.index_kind, self.reach = f"i{target.pointer_bits}", 1 << target.pointer_bits - 1
        self.values: dict[str, Handle] = {}
        self.pointers: dict[Buffer, str] = {}
        self.sizes: dict[str, str] = {}
        self.known: list[dict[object, str]] = [{}]
        self.statement_origins = statements
        self.own: Origins = ()
        self.origins: Origins = ()
        self.marks: list[tuple[int, Origins]] = []

    def at(self, origins: Origins) -> AbstractContextManager[None]:
        """Within this context, new lines have ``origins``; if empty, the origins from outside the context."""
        return _NOWHERE if self.statement_origins is None else self._at(origins)

    @contextmanager
    def _at(self, origins: Origins) -> Iterator[None]:
        outer = self.origins
        self._mark(origins or outer)
        yield
        self._mark(outer)

    def _mark(self, origins: Origins) -> None:
        if origins != self.origins:
            self.origins = origins
            self.marks.append((len(self.lines), origins))

    def line_origins(self) -> list[Origins]:
        """Return the origins of each line."""
        origins_by_line: list[Origins] = [self.own] * len(self.lines)
        ends = [*(first for first, _ in self.marks[1:]), len(self.lines)]
        for (first, origins), end in zip(self.marks, ends, strict=False):
            origins_by_line[first:end] = [origins or self.own] * (end - first)
        return origins_by_line

    def operand(self, value: Operand) -> Handle:
        """Return the handle of a computed value or of a literal."""
        if isinstance(value, Value):
            return self.values[value.name]
        return self.b.literal(value.value, element_of(value.dtype), value.lanes)

    def start(self, label: str) -> None:
        """Start the basic block ``label``."""
        self.b.start(label)

    @property
    def label(self) -> str:
        """Name of the current basic block."""
        return self.b.label

    def labels(self, *names: str) -> list[str]:
        """Return fresh labels that share a number."""
        return self.b.labels(*names)

    def loop(
        self,
        name: str,
        bounds: tuple[Index, Index, Index],
        starts: Sequence[Handle],
        iteration: Callable[[str, Sequence[Handle]], Sequence[Handle]],
        is_opaque: bool = False,
    ) -> list[Handle]:
        """Write a loop over an index that carries values by ``iteration``. Return the values after the loop.

        If the bounds are ints that make the loop run at least once, the test before the loop is left out.

        Args:
            name: Name of the variable.
            bounds: First value, limit and step of the variable.
            starts: Carried values before the first iteration.
            iteration: Function (variable, carried values) that writes an iteration, and returns the next values.
            is_opaque: True to freeze the variable, so that LLVM's loop strength reduction ignores the loop. Loops
                around tiles and vectors compile in nine tenths of the time on x86, and run as fast.

        Returns:
            The values after the last iteration.
        """
        (start, stop, step), kind = map(self.index, bounds), self.index_kind
        body, end = self.labels(f"{name}.body", f"{name}.end")
        number, before = self.b.count, self.label
        variable, following = f"%{name}.{number}", f"%{name}.next.{number}"
        if is_certain := isinstance(bounds[0], int) and isinstance(bounds[1], int) and bounds[0] < bounds[1]:
            self.lines.append(f"  br label %{body}")
        else:
            test = self.b.emit(f"icmp slt {kind} {start}, {stop}", "i1", 1, "any")
            self.lines.append(f"  br i1 {test.text}, label %{body}, label %{end}")
        self.start(body)
        place = len(self.lines)
        self.lines.extend("" for _ in range(1 + len(starts)))  # room for phis, which name the last block of the body
        carried = [handle._replace(text=f"%{name}.{number}.{place}") for place, handle in enumerate(starts)]
        self.known.append({})
        nexts = iteration(variable, carried)
        self.known.pop()
        self.lines.append(f"  {following} = add {kind} {variable}, {step}")
        if is_opaque:
            self.lines.append(f"  {following}.f = freeze {kind} {following}")
            following += ".f"
        test = self.b.emit(f"icmp slt {kind} {following}, {stop}", "i1", 1, "more")
        last = self.label
        self.lines.append(f"  br i1 {test.text}, label %{body}, label %{end}")
        self.lines[place] = f"  {variable} = phi {kind} [ {start}, %{before} ], [ {following}, %{last} ]"
        sources = [
            f"phi {a.type} [ {a.text}, %{before} ], [ {b.text}, %{last} ]" for a, b in zip(starts, nexts, strict=True)
        ]
        self.lines[place + 1 : place + 1 + len(starts)] = [
            f"  {handle.text} = {source}" for handle, source in zip(carried, sources, strict=True)
        ]
        self.start(end)
        if is_certain:
            return [*nexts]
        return [self.b.emit(source, a.element, a.lanes, name) for source, a in zip(sources, starts, strict=True)]

    # Index arithmetic ----------------------------------------------------------------------------

    def index(self, dim: Index) -> str:
        """Write code that computes an index expression, unless it is computed already. Return the operand's text."""
        return self._sum(dim.terms) if isinstance(dim, Size) else self._number(dim)

    def _known(self, key: Hashable) -> str | None:
        """Return the operand that this scope or an enclosing one computed for ``key``; None if there is none."""
        for scope in self.known:
            if key in scope:
                return scope[key]
        return None

    def _sum(self, terms: tuple[Term, ...]) -> str:
        """Write code that computes a sum of terms, unless it is computed already. Return the operand's text."""
        if (known := self._known(terms)) is not None:
            return known
        total = ""
        for names, factor in terms:
            term = ""
            for name in names:
                factor_text = self._floor(name) if isinstance(name, Floor) else self.sizes[name]
                term = self.combine("mul", term, factor_text) if term else factor_text
            if factor != 1 or not term:
                number = self._number(factor)
                term = self.combine("mul", term, number) if term else number
            total = self.combine("add", total, term) if total else term
        self.known[-1][terms] = total
        return total

    def _floor(self, floor: Floor) -> str:
        """Write a division by a constant, which LLVM compiles to a multiplication. Operands are never negative."""
        return self.combine("udiv", self.index(floor.dim), self._number(floor.by))

    def _number(self, number: int) -> str:
        """Return an int as a literal of the index type.

        Raises:
            ArgumentError: The number exceeds the index type. LLVM would silently truncate it.
        """
        if not -self.reach <= number < self.reach:
            raise ArgumentError(
                f"code for {self.target.name} can't address as much memory as this graph needs; make the graph's "
                "arrays smaller, or compile for a 64-bit target"
            )
        return str(number)

    def combine(self, op: str, a: str, b: str) -> str:
        """Return ``a op b`` in index arithmetic. A result that this scope or an enclosing one computed is reused."""
        return self.once(f"{op} {self.index_kind} {a}, {b}", self.index_kind, "i")

    def once(self, instruction: str, element: str, name: str) -> str:
        """Return the result of a pure instruction. A result that this scope or an enclosing one computed is reused."""
        if (known := self._known(instruction)) is not None:
            return known
        self.known[-1][instruction] = text = self.b.emit(instruction, element, 1, name).text
        return text

    def holds(self, condition: Condition) -> Handle:
        """Write the test of a condition. Return the result."""
        index, b = self.index(condition[0]), self.b
        low = b.emit(f"icmp sle {self.index_kind} {self.index(condition[1])}, {index}", "i1", 1, "from")
        high = b.emit(f"icmp slt {self.index_kind} {index}, {self.index(condition[2])}", "i1", 1, "below")
        return b.emit(f"and i1 {low.text}, {high.text}", "i1", 1, "inside")

    def base(self, buffer: Buffer) -> str:
        """Return the pointer to a buffer's first element."""
        return self.pointers[buffer]

    def address(self, buffer: Buffer, index: Index) -> str:
        """Write code for the address of the element ``index`` of a buffer. Return the pointer's name.

        The variable part of the offset is added first, then the constant part, which becomes part of an instruction's
        address.
        """
        pointer, constant = self.variable_part(buffer, index)
        kind = LLVM_TYPES[memory_element(buffer.dtype)]
        return self.pointer(kind, pointer, str(constant), ascends(index)) if constant else pointer

    def variable_part(self, buffer: Buffer, index: Index) -> tuple[str, int]:
        """Write code that adds the variable part of an offset to an address. Return the sum, and the constant part.

        LLVM's loop strength reduction tries to share sums between all pointers of a loop. That takes a quarter of the
        compile time, and gains nothing on x86, whose instructions add the parts of an address. There, the sum is
        frozen, so that LLVM does not see it.
        """
        if not isinstance(index, Size):
            return self.base(buffer), index
        (names, constant), *others = index.terms  # the constant is the first term
        varying, constant = (index.terms, 0) if names else (tuple(others), constant)
        key = buffer, varying
        if (known := self._known(key)) is not None:
            return known, constant
        kind = LLVM_TYPES[memory_element(buffer.dtype)]
        pointer = self.pointer(kind, self.base(buffer), self._sum(varying))
        if self.target.is_x86_64:
            pointer = self.frozen(pointer)
        self.known[-1][key] = pointer
        return pointer, constant

    def pointer(self, kind: str, pointer: str, offset: str, onward: bool = False) -> str:
        """Return a pointer moved by a number of elements. It is computed once per scope.

        Args:
            kind: LLVM type of the elements.
            pointer: The original pointer.
            offset: Number of elements.
            onward: True if the pointer moves upward within its buffer, so that the address does not wrap. On
                WebAssembly, LLVM can then make the offset part of a load; elsewhere, there is no effect.
        """
        flag = " nuw" if onward and self.index_kind == "i32" else ""
        return self.once(f"getelementptr{flag} {kind}, ptr {pointer}, {self.index_kind} {offset}", "i64", "at")

    def wide_index(self, dim: Index) -> Handle:
        """Return an index expression as a value of the loop IR, which has 64 bits on all processors."""
        handle = Handle(self.index(dim), self.index_kind, 1)
        is_number = not handle.text.startswith("%")
        return handle._replace(element="i64") if is_number or handle.element == "i64" else self._sized(handle, "i64")

    def lane_count(self, valid: Index) -> Handle:
        """Return ``valid``, a number of lanes, as a 32-bit integer."""
        return self._sized(Handle(self.index(valid), self.index_kind, 1), "i32")

    def _sized(self, x: Handle, element: str) -> Handle:
        """Convert an integer to another width."""
        if x.element == element:
            return x
        return self.b.convert("sext" if element == "i64" else "trunc", x, element)

    def fixed(self, pointer: str) -> str:
        """Return a pointer that LLVM's passes for loops do not rewrite.

        On WebAssembly, the passes would add an addition to each load, because they cannot prove that sums do not wrap.
        """
        return self.frozen(pointer) if self.target.triple.startswith("wasm") else pointer

    def frozen(self, pointer: str) -> str:
        """Freeze a pointer, once per scope, to hide from LLVM that the pointer is a sum."""
        return self.once(f"freeze ptr {pointer}", "i64", "at")

    def let_index(self, let: LetIndex) -> None:
        """Write code that computes a size of the loop IR, such as a minimum, and bind it to the size's name."""
        b, kind = self.b, self.index_kind
        if let.op == "read":
            assert let.source is not None
            self.sizes[let.name] = self._sized(self.operand(let.source), kind).text
            return
        if let.op == "of":
            assert let.source is not None
            value = self._sized(self.operand(let.source), "i64")
            last = self.wide_index(let.factor - 1)
            value = b.select(b.compare("slt", value, last), value, last)
            zero = Handle("0", "i64", 1)
            self.sizes[let.name] = self._sized(b.select(b.compare("sgt", value, zero), value, zero), kind).text
            return
        # Divisors are constants, because some processors have no division, and code calls no library.
        assert let.op not in ("floor", "divide") or isinstance(let.factor, int)
        base, factor = Handle(self.index(let.base), kind, 1), Handle(self.index(let.factor), kind, 1)
        match let.op:
            case "parity":
                result = b.and_(base, Handle("1", kind, 1))
            case "floor":
                result = b.imul(b.binary("sdiv", base, factor), factor)
            case "divide":
                result = b.binary("sdiv", base, factor)
            case "min":
                result = b.select(b.compare("slt", base, factor), base, factor)
            case _:
                result = b.select(b.compare("sgt", base, factor), base, factor)
        self.sizes[let.name] = result.text


def ascends(index: Index) -> bool:
    """True if an index expression has no subtraction, so that no partial sum is negative."""
    return all(factor >= 0 for _, factor in index.terms) if isinstance(index, Size) else index >= 0
