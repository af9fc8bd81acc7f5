"""LLVM text of the wrapper around an exported entry: lines, addresses, copies, data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from ...ir.types import Dim, evaluate, product, size

STEPS = size("steps")
"""In a port's shape, the axis of time."""
ROWS = size("rows")
"""In the shape of one that several streams share, the axis of these."""

_TABLE = [chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\{byte:02X}" for byte in range(256)]


def data_text(data: bytes) -> str:
    """Bytes as LLVM spells them."""
    return "".join(map(_TABLE.__getitem__, data))


class Data:
    """Constants of a module, each set of bytes once. They have no symbol."""

    def __init__(self) -> None:
        self.names: dict[bytes, str] = {}

    def name(self, data: bytes) -> str:
        """What stands for bytes that begin at a cache line."""
        return self.names.setdefault(data, f"@data.{len(self.names)}")

    def array(self, array: np.ndarray) -> str:
        return self.name(np.ascontiguousarray(array).tobytes())

    def text(self) -> str:
        return "\n".join(
            f'{name} = private unnamed_addr constant [{len(data)} x i8] c"{data_text(data)}", align 64'
            for data, name in self.names.items()
        )


class FunctionText:
    """The body of one function in the making. Numbers are i64 throughout."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.first: list[str] = []
        self.count = 0

    def emit(self, text: str, name: str = "v") -> str:
        self.count += 1
        self.lines.append(f"  %{name}.{self.count} = {text}")
        return f"%{name}.{self.count}"

    def room(self, words: int) -> str:
        """Memory of the function's own: ``words`` of 8 bytes."""
        self.count += 1
        self.first.append(f"  %room.{self.count} = alloca [{words} x i64], align 8")
        return f"%room.{self.count}"

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def label(self, name: str) -> str:
        self.count += 1
        return f"{name}.{self.count}"

    def at(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def moved(self, pointer: str, count: int | str) -> str:
        """A pointer so many bytes on."""
        return pointer if count == 0 else self.emit(f"getelementptr i8, ptr {pointer}, i64 {count}", "at")

    def times(self, number: int | str, factor: int | str) -> int | str:
        if isinstance(number, int) and isinstance(factor, int):
            return number * factor
        if 0 in (number, factor):
            return 0
        if 1 in (number, factor):
            return factor if number == 1 else number
        return self.emit(f"mul i64 {number}, {factor}", "times")

    def plus(self, number: int | str, other: int | str) -> int | str:
        if isinstance(number, int) and isinstance(other, int):
            return number + other
        if 0 in (number, other):
            return other if number == 0 else number
        return self.emit(f"add i64 {number}, {other}", "plus")

    def load(self, kind: str, pointer: str, offset: int = 0) -> str:
        return self.emit(f"load {kind}, ptr {self.moved(pointer, offset)}, align 8", "word")

    def store(self, kind: str, value: int | str, pointer: str, offset: int = 0) -> None:
        self.do(f"store {kind} {value}, ptr {self.moved(pointer, offset)}, align 8")

    def aligned(self, pointer: str) -> str:
        """The first cache line from ``pointer`` on: the caller's memory may begin anywhere."""
        number = self.emit(f"ptrtoint ptr {pointer} to i64", "address")
        return self.moved(pointer, self.emit(f"and i64 {self.emit(f'sub i64 0, {number}')}, 63", "gap"))

    @contextmanager
    def loop(self, stop: int | str, name: str = "i") -> Iterator[str]:
        """Runs what is written inside for 0, 1 … below ``stop``."""
        head, body, end = self.label(f"{name}.head"), self.label(f"{name}.body"), self.label(f"{name}.end")
        before, variable = self.label(f"{name}.before"), f"%{self.label(name)}"
        self.do(f"br label %{before}")
        self.at(before)
        self.do(f"br label %{head}")
        self.at(head)
        place = len(self.lines)
        self.lines.append("")
        more = self.emit(f"icmp ult i64 {variable}, {stop}", "more")
        self.do(f"br i1 {more}, label %{body}, label %{end}")
        self.at(body)
        yield variable
        last, following = self.label(f"{name}.last"), self.emit(f"add i64 {variable}, 1", "next")
        self.do(f"br label %{last}")
        self.at(last)
        self.do(f"br label %{head}")
        self.lines[place] = f"  {variable} = phi i64 [ 0, %{before} ], [ {following}, %{last} ]"
        self.at(end)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        then, end = self.label("then"), self.label("end")
        self.do(f"br i1 {condition}, label %{then}, label %{end}")
        self.at(then)
        yield
        self.do(f"br label %{end}")
        self.at(end)

    def copy(self, source: str, to: str, count: int | str, item: int = 1) -> None:
        """Copies ``count`` items of ``item`` bytes, 1, 4 or 8, from places that are aligned to them."""
        kind = f"i{8 * item}"
        with self.loop(count, "copy") as number:
            there = self.emit(f"getelementptr {kind}, ptr {source}, i64 {number}", "from")
            value = self.emit(f"load {kind}, ptr {there}, align {item}", "item")
            here = self.emit(f"getelementptr {kind}, ptr {to}, i64 {number}", "to")
            self.do(f"store {kind} {value}, ptr {here}, align {item}")

    def call_entry(
        self, entry: str, slots: Sequence[str], values: Mapping[str, int | str], numbers: Collection[str] = ()
    ) -> None:
        """Calls an entry with an argument block. values: of its slots, null where there is none; numbers: slots that
        hold no pointer.
        """
        block = self.room(len(slots))
        for place, slot in enumerate(slots):
            self.store("i64" if slot in numbers else "ptr", values.get(slot, "null"), block, 8 * place)
        self.do(f"call void @{entry}(ptr {block}, i64 0, i64 1)")

    def clear(self, pointer: str, count: int) -> None:
        """Zeros in so many bytes, a multiple of 8, from a cache line on."""
        with self.loop(count // 8, "clear") as number:
            here = self.emit(f"getelementptr i64, ptr {pointer}, i64 {number}", "to")
            self.do(f"store i64 0, ptr {here}, align 8")


def elements(shape: Sequence[Dim]) -> int:
    """How many an array has in one step."""
    return evaluate(product(shape), {str(STEPS): 1})


def attributes_text(group: int = 0, processor: str = "") -> str:
    """The attributes of functions around entries: those of group 0 run on every processor of the target's kind."""
    return f'attributes #{group} = {{ nounwind "no-builtins" {processor} }}'


def signature(types: Mapping[str, str]) -> str:
    return ", ".join(f"{kind} %{name}" for name, kind in types.items())
