"""Builder of the text of LLVM functions: instructions, basic blocks, loops and branches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

Carried = Sequence[tuple[str, int | str]]
"""Carried values of a loop: the LLVM type and the initial value of each."""


class IRBuilder:
    """Builder of an LLVM function. Names of values are numbered, so that they are unique.

    Attributes:
        lines: Lines of the function so far.
        allocas: Lines that allocate stack memory, in the entry block.
        count: Number in the last fresh name.
        label: Name of the current basic block.
        is_open: True if the current block has no terminator yet.
    """

    def __init__(self, lines: list[str] | None = None) -> None:
        self.lines: list[str] = [] if lines is None else lines
        self.allocas: list[str] = []
        self.count = 0
        self.label, self.is_open = "entry", True

    def function(
        self, name: str, result: str, parameters: Mapping[str, str], linkage: str = "internal", attributes: str = "#0"
    ) -> str:
        """Return the LLVM text of the whole function. ``parameters`` has the LLVM type of each parameter, by name."""
        head = f"define {linkage + ' ' if linkage else ''}{result} @{name}({signature(parameters)}) {attributes} {{"
        return "\n".join([head, "entry:", *self.allocas, *self.lines, "}", ""])

    # Instructions --------------------------------------------------------------------------------

    def value(self, text: str, name: str = "v") -> str:
        """Write an instruction with a result, and return the name of the result."""
        self.count += 1
        self.lines.append(f"  %{name}.{self.count} = {text}")
        return f"%{name}.{self.count}"

    def do(self, text: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {text}")

    def alloca(self, words: int, kind: str = "i64") -> str:
        """Allocate ``words`` words of 8 bytes on the stack, and return the name of their address."""
        self.count += 1
        self.allocas.append(f"  %room.{self.count} = alloca [{words} x {kind}], align 8")
        return f"%room.{self.count}"

    def icmp(self, predicate: str, kind: str, one: int | str, other: int | str, name: str = "is") -> str:
        """Write an ``icmp``, and return the name of its ``i1``."""
        return self.value(f"icmp {predicate} {kind} {one}, {other}", name)

    def negated(self, condition: str) -> str:
        """Write the negation of an ``i1``, and return its name."""
        return self.value(f"xor i1 {condition}, true", "not")

    def is_null(self, pointer: str) -> str:
        """Write the comparison of a pointer with null, and return the name of its ``i1``."""
        return self.icmp("eq", "ptr", pointer, "null", "none")

    def moved(self, pointer: str, count: int | str) -> str:
        """Write code that moves a pointer by ``count`` bytes. Return the name of the result."""
        return pointer if count == 0 else self.value(f"getelementptr i8, ptr {pointer}, i64 {count}", "at")

    def place(self, pointer: str, index: int | str, kind: str = "i64") -> str:
        """Write the computation of the address of an array element, and return the name of the address."""
        number = int(index) if isinstance(index, int) else index  # an IntEnum becomes an int
        return self.value(f"getelementptr {kind}, ptr {pointer}, i64 {number}", "place")

    def entry(self, pointer: str, index: int | str, kind: str = "i64", name: str = "word") -> str:
        """Write a load from an array of 8-byte words, and return the name of the loaded value."""
        return self.value(f"load {kind}, ptr {self.place(pointer, index)}", name)

    def set_entry(self, pointer: str, index: int | str, value: int | str, kind: str = "i64") -> None:
        """Write a store to an array of 8-byte words."""
        self.do(f"store {kind} {value}, ptr {self.place(pointer, index)}")

    def times(self, number: int | str, factor: int | str) -> int | str:
        """Write a multiplication, if needed, and return the product: the name of a value, or an int."""
        if isinstance(number, int) and isinstance(factor, int):
            return number * factor
        if 0 in (number, factor):
            return 0
        if 1 in (number, factor):
            return factor if number == 1 else number
        return self.value(f"mul i64 {number}, {factor}", "times")

    def plus(self, number: int | str, other: int | str) -> int | str:
        """Write an addition, if needed, and return the sum: the name of a value, or an int."""
        if isinstance(number, int) and isinstance(other, int):
            return number + other
        if 0 in (number, other):
            return other if number == 0 else number
        return self.value(f"add i64 {number}, {other}", "plus")

    def load(self, kind: str, pointer: str, offset: int = 0) -> str:
        """Write a load from ``offset`` bytes after a pointer, and return the name of the loaded value."""
        return self.value(f"load {kind}, ptr {self.moved(pointer, offset)}, align 8", "word")

    def store(self, kind: str, value: int | str, pointer: str, offset: int = 0) -> None:
        """Write a store to ``offset`` bytes after a pointer."""
        self.do(f"store {kind} {value}, ptr {self.moved(pointer, offset)}, align 8")

    # Basic blocks --------------------------------------------------------------------------------

    def labels(self, *names: str) -> list[str]:
        """Return new labels, which share a number."""
        self.count += 1
        return [f"{name}.{self.count}" for name in names]

    def start(self, label: str) -> None:
        """Start the basic block ``label``."""
        self.lines.append(f"{label}:")
        self.label, self.is_open = label, True

    def branch(self, label: str) -> None:
        """Write a branch to ``label``, which ends the basic block."""
        self.do(f"br label %{label}")
        self.is_open = False

    def branch_either(self, condition: str, then: str, other: str) -> None:
        """Write a branch to ``then`` if a condition is true, else to ``other``, which ends the basic block."""
        self.do(f"br i1 {condition}, label %{then}, label %{other}")
        self.is_open = False

    def branch_if(self, condition: str, label: str) -> None:
        """Write a branch to ``label`` if a condition is true; code after it runs otherwise."""
        (following,) = self.labels("next")
        self.branch_either(condition, label, following)
        self.start(following)

    def branch_unless(self, condition: str, label: str) -> None:
        """Write a branch to ``label`` if a condition is false; code after it runs otherwise."""
        (following,) = self.labels("next")
        self.branch_either(condition, following, label)
        self.start(following)

    def ret(self, value: str = "void") -> None:
        """Write a return of ``value``, which includes its type; it ends the basic block."""
        self.do(f"ret {value}")
        self.is_open = False

    def return_if(self, condition: str, value: str = "void") -> None:
        """Write a return of ``value`` if a condition is true; code after it runs otherwise."""
        with self.when(condition):
            self.ret(value)

    def return_unless(self, condition: str, value: str = "void") -> None:
        """Write a return of ``value`` if a condition is false; code after it runs otherwise."""
        following, leave = self.labels("next", "leave")
        self.branch_either(condition, following, leave)
        self.start(leave)
        self.ret(value)
        self.start(following)

    def phi(self, kind: str, *entries: tuple[int | str, str], name: str = "v") -> str:
        """Write a phi of pairs (value, label of the block from which it comes), and return its name."""
        return self.value(f"phi {kind} " + ", ".join(f"[ {value}, %{label} ]" for value, label in entries), name)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Context manager: code written within it runs only if a condition is true."""
        then, end = self.labels("then")[0], self.labels("end")[0]
        self.branch_either(condition, then, end)
        self.start(then)
        yield
        if self.is_open:
            self.branch(end)
        self.start(end)

    def either(self, kind: str, condition: str, then: Callable[[], str], other: Callable[[], str]) -> str:
        """Write an if-else whose branches ``then`` and ``other`` write. Return the name of the chosen value."""
        labels = self.labels("then", "else", "end")
        self.branch_either(condition, labels[0], labels[1])
        entries: list[tuple[int | str, str]] = []
        for label, write in zip(labels, (then, other), strict=False):
            self.start(label)
            entries.append((write(), self.label))
            self.branch(labels[2])
        self.start(labels[2])
        return self.phi(kind, *entries)

    @contextmanager
    def loop(self, stop: int | str, name: str = "i") -> Iterator[str]:
        """Context manager: code written within it loops over 0, 1, … below ``stop``. Yields the index's name."""
        head, body, end = (self.labels(f"{name}.{part}")[0] for part in ("head", "body", "end"))
        before, variable = self.labels(f"{name}.before")[0], f"%{self.labels(name)[0]}"
        self.branch(before)
        self.start(before)
        self.branch(head)
        self.start(head)
        place = len(self.lines)
        self.lines.append("")
        more = self.value(f"icmp ult i64 {variable}, {stop}", "more")
        self.branch_either(more, body, end)
        self.start(body)
        yield variable
        last, following = self.labels(f"{name}.last")[0], self.value(f"add i64 {variable}, 1", "next")
        self.branch(last)
        self.start(last)
        self.branch(head)
        self.lines[place] = f"  {variable} = phi i64 [ 0, %{before} ], [ {following}, %{last} ]"
        self.start(end)

    def fold(self, first: Carried, stop: int | str, iterate: Callable[..., Sequence[int | str]]) -> list[str]:
        """Write a loop that runs ``stop`` times and updates values by ``iterate``. Return the final values' names.

        Args:
            first: LLVM types and initial values.
            stop: Number of iterations.
            iterate: Writes an iteration, given the names of the index and of the carried values. Returns the next
                values.
        """
        head, body, end = self.labels("head", "body", "end")
        variable, *carried = self._carried(1 + len(first))
        before = self._start_loop(head)
        place = len(self.lines)
        self.branch_either(self.icmp("ult", "i64", variable, stop, "more"), body, end)
        self.start(body)
        following = iterate(variable, *carried)
        index: tuple[str, int | str, int | str] = ("i64", 0, self.value(f"add i64 {variable}, 1", "next"))
        phis = [index]
        phis += [(kind, value, last) for (kind, value), last in zip(first, following, strict=True)]
        self._close_loop(head, before, place, [variable, *carried], phis)
        self.start(end)
        return carried

    def endless_loop(self, first: Carried, iterate: Callable[..., Sequence[int | str]]) -> None:
        """Write an endless loop that updates values by ``iterate``; an iteration leaves by a return or a branch."""
        (head,) = self.labels("turn")
        carried = self._carried(len(first))
        before = self._start_loop(head)
        place, following = len(self.lines), iterate(*carried)
        phis = [(kind, value, last) for (kind, value), last in zip(first, following, strict=True)]
        self._close_loop(head, before, place, carried, phis)

    def _carried(self, count: int) -> list[str]:
        """Return new names of carried values."""
        return [f"%{label}" for label in self.labels(*(f"carried.{number}" for number in range(count)))]

    def _start_loop(self, head: str) -> str:
        """Start the first block of a loop, and return the label of the preceding block."""
        before = self.label
        self.branch(head)
        self.start(head)
        return before

    def _close_loop(
        self, head: str, before: str, place: int, names: Sequence[str], phis: Sequence[tuple[str, int | str, int | str]]
    ) -> None:
        """Insert the phis of a loop into its first block, and branch back to that block.

        ``phis`` has the type, the initial value and the next value of each carried value.
        """
        self.lines[place:place] = [
            f"  {name} = phi {kind} [ {first}, %{before} ], [ {following}, %{self.label} ]"
            for name, (kind, first, following) in zip(names, phis, strict=True)
        ]
        self.branch(head)


def signature(parameters: Mapping[str, str]) -> str:
    """Return parameters in LLVM's syntax, given their types by name."""
    return ", ".join(f"{kind} %{name}" for name, kind in parameters.items())
