"""What the C functions around entries have in common: their names and attributes, and how they call an entry."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from ...codegen.machine.ir_builder import signature
from .llvm_text import Data, WrapperBuilder
from .nets import ExportedNet
from .ports import ExportedEntry, Port
from .sizes import Number, strides_of

Pointers = Mapping[tuple[str, str], str]
"""What an argument of a plan points to, by kind and name."""
Net = TypeVar("Net", bound=ExportedNet, covariant=True)


@dataclass
class CWrapper(Generic[Net]):
    """Writes the functions of one variant.

    panels: what embedded packed weights are called; None where weights are given at run time. entries: what a plan's
    entries are called here. suffix: behind the functions' names, where there are several variants. variant: its number.
    """

    exported: Net
    data: Data
    panels: str | None
    entries: Mapping[str, str]
    prefix: str
    suffix: str
    variant: int

    by_choice: ClassVar[tuple[str, ...]]
    """Those that ask the processor."""
    by_maximum: ClassVar[tuple[str, ...]] = ()
    """Those that give the largest size of all variants."""

    @property
    def by_header(self) -> tuple[str, ...]:
        """Functions, of those that depend on the variant, to which an instance says which it is."""
        return ()

    @abstractmethod
    def functions(self) -> list[str]:
        """All functions but those that give a number and those that take weights."""

    @abstractmethod
    def parameters(self, what: str) -> dict[str, str]:
        """Names and LLVM types of what a function takes."""

    def result(self, what: str) -> str:
        """The LLVM type of what a function gives."""
        return "i32" if what in ("init", "run", "set_weights") else self.size if what == "scratch_size" else "void"

    @staticmethod
    @abstractmethod
    def numbers(variants: Sequence[Net]) -> dict[str, int]:
        """Numbers of the whole net, by the name of the function that gives them."""

    @property
    def size(self) -> str:
        """LLVM's type of C's ``size_t``."""
        return f"i{self.exported.target.pointer_bits}"

    @property
    def group(self) -> int:
        """The number of the functions' attributes: entries are inlined into functions for the same processor only."""
        return self.variant + 1 if self.suffix else 0

    def name(self, what: str) -> str:
        return f"{self.prefix}_{what}{self.suffix}"

    def function(self, what: str, f: WrapperBuilder, value: Number = "") -> str:
        """A function for callers that ends by returning ``value``."""
        linkage, given, result = "internal " if self.suffix else "", signature(self.parameters(what)), self.result(what)
        head = f"define {linkage}{result} @{self.name(what)}({given}) #{self.group} {{"
        return "\n".join([head, "entry:", *f.allocas, *f.lines, f"  ret {result} {value}".rstrip(), "}", ""])

    def wide(self, f: WrapperBuilder, size: str) -> str:
        """A ``size_t`` as a number of 64 bits."""
        return size if self.size == "i64" else f.value(f"zext {self.size} {size} to i64", "size")

    def given(self, f: WrapperBuilder, ports: Sequence[Port]) -> dict[str, str]:
        """Pointers to what the caller feeds, defaults in place of null."""
        found = {}
        for port in ports:
            found[port.name] = f"%p_{port.symbol}"
            if port.default is not None:
                missing = f.value(f"icmp eq ptr %p_{port.symbol}, null", "missing")
                default = self.data.array(port.default)
                found[port.name] = f.value(f"select i1 {missing}, ptr {default}, ptr %p_{port.symbol}", "fed")
        return found

    def call(
        self, f: WrapperBuilder, entry: ExportedEntry, arena: str, weights: str, pointers: Pointers,
        ports: Sequence[Port], sizes: Mapping[str, Number], dims: Mapping[str, Number],
    ) -> None:  # fmt: skip
        """Calls an entry. weights: the memory of packed ones, which embedded ones don't need. sizes: of the plan;
        dims: those that ports' shapes are made of.
        """
        plan, exported = entry.plan, self.exported
        values: dict[str, Number] = {"arena": arena}
        values["panels"] = self.panels or f.moved(weights, exported.panels_place)
        for item in entry.arguments:
            slot = item.buffer.name
            if item.kind == "constant":
                assert item.value is not None
                values[slot] = self.data.array(item.value)
            elif item.kind != "parameter":
                values[slot] = pointers[item.kind, item.name]
            elif exported.embedded:
                values[slot] = self.data.array(exported.parameters[item.name])
            else:
                values[slot] = f.moved(weights, exported.raw_places[item.name])
        by_name = {port.name: port for port in ports}
        for name, slots in plan.strides.items():
            for slot, stride in zip(slots, strides_of(f, by_name[name].shape, dims), strict=False):
                values[slot] = stride
        values |= {name: sizes[name] for name in plan.sizes}
        numbers = {*plan.sizes, *(slot for slots in plan.strides.values() for slot in slots)}
        f.call_entry(self.entries[plan.main.name], plan.main.slots, values, numbers)
