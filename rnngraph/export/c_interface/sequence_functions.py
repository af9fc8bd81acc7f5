"""LLVM text of the C functions of a net that takes whole sequences.

A call keeps nothing: it reads its arrays and weights, and writes its results and scratch memory. Sizes are checked
against bounds first, so that no access is out of bounds.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...codegen.machine.ir_builder import signature
from ...ir.attributes import MAX_ELEMENTS
from ...ir.types import Shape
from .llvm_text import WrapperBuilder
from .nets import ExportedSequence
from .sizes import Bounded
from .wrapper import CallMemory, CWrapper

WRONG_SIZES = 1
"""Result of ``run`` for unsupported sizes. The call writes nothing."""
SPARE_BITS = 4
"""Difference in bits between an address and the largest size of a call.

Of these, 3 bits are for elements of up to 8 bytes, and 1 keeps each array within half of the address space.
"""


class SequenceWrapper(CWrapper[ExportedSequence]):
    """Writer of the C functions of one variant of a net for sequences."""

    by_choice = ("run",)
    by_maximum = ("scratch_size",)

    def functions(self) -> list[str]:
        return [self._scratch_bytes(), self._scratch_size(), self._run()]

    @staticmethod
    def numbers(variants: Sequence[ExportedSequence]) -> dict[str, int]:
        return {}

    def parameters(self, what: str) -> dict[str, str]:
        exported = self.exported
        sizes = {f"n_{size.name}": self.size for size in exported.sizes}
        if what == "scratch_size":
            return sizes
        arrays = {f"p_{port.symbol}": "ptr" for port in (*exported.inputs, *exported.outputs)}
        return {"net": "ptr", **sizes, **arrays, "scratch": "ptr"}

    # Sizes ---------------------------------------------------------------------------------------

    @property
    def _names(self) -> list[str]:
        return [size.name for size in self.exported.sizes]

    def _scratch_bytes(self) -> str:
        """Return the LLVM text of a function that returns the bytes of scratch memory; -1 for invalid sizes."""
        exported, f = self.exported, WrapperBuilder()
        reach = min(MAX_ELEMENTS, 1 << exported.target.pointer_bits - SPARE_BITS)
        bounded = Bounded(f, {name: f"%n_{name}" for name in self._names})
        wrong = [f.value(f"icmp ugt i64 %n_{name}, {reach}", "wrong") for name in self._names]
        for size in exported.sizes:
            if size.fixed is not None:
                wrong.append(f.value(f"icmp ne i64 %n_{size.name}, {size.fixed}", "wrong"))
        for dim in exported.differences:
            wrong.append(f.value(f"icmp slt i64 {bounded.number(dim)}, 0", "wrong"))
        for bound in exported.bounds.upper_bounds:
            total = bounded.product(map(bounded.number, bound.dims))
            limit = bound.limit if bound.limit > MAX_ELEMENTS else min(bound.limit, reach)
            wrong.append(f.value(f"icmp ugt i64 {total}, {limit}", "wrong"))
        parts: list[tuple[Shape, Shape]] = [((item.rows,), item.indices) for item in exported.bounds.tables]
        parts += [(item.entries, item.results) for item in exported.bounds.choices]
        for chosen_from, chosen in parts:
            counts = [bounded.product(map(bounded.number, dims)) for dims in (chosen_from, chosen)]
            none = f.value(f"icmp eq i64 {counts[0]}, 0", "none")
            some = f.value(f"icmp ne i64 {counts[1]}, 0", "some")
            wrong.append(f.value(f"and i1 {none}, {some}", "wrong"))
        need = bounded.number(exported.scratch_bytes)
        wrong.append(f.value(f"icmp uge i64 {need}, {1 << min(62, exported.target.pointer_bits - 1)}", "wrong"))
        refused = wrong[0]
        for item in wrong[1:]:
            refused = f.value(f"or i1 {refused}, {item}", "refused")
        result = f.value(f"select i1 {refused}, i64 -1, i64 {need}", "need")
        parameters = signature({f"n_{name}": "i64" for name in self._names})
        head = f"define internal i64 @{self.name('need')}({parameters}) #{self.group} {{"
        return "\n".join([head, "entry:", *f.lines, f"  ret i64 {result}", "}", ""])

    def _needed(self, f: WrapperBuilder, sizes: dict[str, str]) -> str:
        arguments = ", ".join(f"i64 {value}" for value in sizes.values())
        return f.value(f"call i64 @{self.name('need')}({arguments})", "need")

    def _sizes(self, f: WrapperBuilder) -> dict[str, str]:
        return {name: self.wide(f, f"%n_{name}") for name in self._names}

    # Functions -----------------------------------------------------------------------------------

    def _scratch_size(self) -> str:
        f = WrapperBuilder()
        need = self._needed(f, self._sizes(f))
        return self.function("scratch_size", f, need if self.size == "i64" else f.value(f"trunc i64 {need} to i32"))

    def _run(self) -> str:
        exported, f = self.exported, WrapperBuilder()
        sizes = self._sizes(f)
        refused = f.value(f"icmp slt i64 {self._needed(f, sizes)}, 0", "refused")
        wrong, right = f.labels("wrong")[0], f.labels("right")[0]
        f.do(f"br i1 {refused}, label %{wrong}, label %{right}")
        f.start(wrong)
        f.do(f"ret i32 {WRONG_SIZES}")
        f.start(right)
        pointers = {("input", name): pointer for name, pointer in self.pointers_of(f, exported.inputs).items()}
        pointers |= {("output", name): pointer for name, pointer in self.pointers_of(f, exported.outputs).items()}
        weights = "" if exported.embedded else f.aligned("%net")
        slots = {slot: sizes[name] for slot, name in exported.slots.items()}
        memory = CallMemory(f.aligned("%scratch"), weights, pointers)
        self.call(f, exported.entry, memory, exported.inputs, slots, sizes)
        return self.function("run", f, "0")
