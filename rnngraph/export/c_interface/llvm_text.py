"""Builder of LLVM functions around an exported entry: addresses, copies, data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ...codegen.machine.ir_builder import IRBuilder
from ...ir.types import Dim, evaluate, product, size

STEPS = size("steps")
"""Size of the time axis in a port's shape."""
ROWS = size("rows")
"""Size of the axis of streams in the shape of a port that several streams share."""

_TABLE = [chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\{byte:02X}" for byte in range(256)]


def data_text(data: bytes) -> str:
    """Return bytes as an LLVM literal."""
    return "".join(map(_TABLE.__getitem__, data))


class Data:
    """Constants of a module, without symbols. Equal bytes are stored once."""

    def __init__(self) -> None:
        self.names: dict[bytes, str] = {}

    def name(self, data: bytes) -> str:
        """Return the name of a constant with these bytes, aligned to a cache line."""
        return self.names.setdefault(data, f"@data.{len(self.names)}")

    def array(self, array: np.ndarray) -> str:
        return self.name(np.ascontiguousarray(array).tobytes())

    def text(self) -> str:
        return "\n".join(
            f'{name} = private unnamed_addr constant [{len(data)} x i8] c"{data_text(data)}", align 64'
            for data, name in self.names.items()
        )


class WrapperBuilder(IRBuilder):
    """Builder of a function around exported entries. All numbers are i64."""

    def aligned(self, pointer: str) -> str:
        """Append instructions for the address of the first cache line at or after ``pointer``, and return its name."""
        number = self.value(f"ptrtoint ptr {pointer} to i64", "address")
        return self.moved(pointer, self.value(f"and i64 {self.value(f'sub i64 0, {number}')}, 63", "gap"))

    def copy(self, source: str, to: str, count: int | str, item: int = 1) -> None:
        """Append a loop that copies ``count`` items of ``item`` bytes (1, 4 or 8), from and to aligned addresses."""
        kind = f"i{8 * item}"
        with self.loop(count, "copy") as number:
            there = self.value(f"getelementptr {kind}, ptr {source}, i64 {number}", "from")
            value = self.value(f"load {kind}, ptr {there}, align {item}", "item")
            here = self.value(f"getelementptr {kind}, ptr {to}, i64 {number}", "to")
            self.do(f"store {kind} {value}, ptr {here}, align {item}")

    def call_entry(
        self, entry: str, slots: Sequence[str], values: Mapping[str, int | str], numbers: Collection[str] = ()
    ) -> None:
        """Append a call of an entry (compiled graph), with an argument block on the stack.

        Args:
            values: Values of the block's slots; others are null.
            numbers: Slots that hold numbers instead of pointers.
        """
        block = self.alloca(len(slots))
        for place, slot in enumerate(slots):
            self.store("i64" if slot in numbers else "ptr", values.get(slot, "null"), block, 8 * place)
        self.do(f"call void @{entry}(ptr {block}, i64 0, i64 1)")

    def clear(self, pointer: str, count: int) -> None:
        """Append instructions that write zeros to ``count`` bytes, a multiple of 8, from a cache line on."""
        with self.loop(count // 8, "clear") as number:
            here = self.value(f"getelementptr i64, ptr {pointer}, i64 {number}", "to")
            self.do(f"store i64 0, ptr {here}, align 8")


def elements(shape: Sequence[Dim]) -> int:
    """Return the number of elements of an array in one step."""
    return evaluate(product(shape), {str(STEPS): 1})


def attributes_text(group: int = 0, processor: str = "") -> str:
    """Return the attributes of functions around entries as LLVM text."""
    return f'attributes #{group} = {{ nounwind "no-builtins" {processor} }}'
