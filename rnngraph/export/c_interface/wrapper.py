"""Common parts of the C functions around entries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, NamedTuple, TypeVar

from ...codegen.machine.ir_builder import signature
from .llvm_text import Data, WrapperBuilder
from .nets import ExportedNet
from .ports import ExportedEntry, Port
from .sizes import Number, strides_of

Pointers = Mapping[tuple[str, str], str]
"""Pointers of a plan's arguments, by kind and name."""
Net = TypeVar("Net", bound=ExportedNet, covariant=True)


class CallMemory(NamedTuple):
    """Memory of a call of an entry, as LLVM operands.

    Attributes:
        arena: Temporaries.
        weights: Packed weights; "" for embedded ones.
        pointers: Inputs and outputs.
    """

    arena: str
    weights: str
    pointers: Pointers


@dataclass
class CWrapper(Generic[Net]):
    """Writer of the C functions of one variant of a net.

    Args:
        panels: Name of embedded packed weights; None: weights come at run time.
        entries: Names of a plan's entries in this variant's code.
        suffix: Suffix of functions if there are several variants.
        variant: Index of the variant.
    """

    exported: Net
    data: Data
    panels: str | None
    entries: Mapping[str, str]
    prefix: str
    suffix: str
    variant: int

    by_choice: ClassVar[tuple[str, ...]]
    """Functions that query the processor."""
    by_maximum: ClassVar[tuple[str, ...]] = ()
    """Functions that return the largest size of all variants."""

    @property
    def by_header(self) -> tuple[str, ...]:
        """Names of functions that read the variant from an instance's header."""
        return ()

    @abstractmethod
    def functions(self) -> list[str]:
        """Return the LLVM text of all functions except for constants and weights."""

    @abstractmethod
    def parameters(self, what: str) -> dict[str, str]:
        """Return the parameters of a function: LLVM types by name."""

    def result(self, what: str) -> str:
        """Return the LLVM type of a function's result."""
        return "i32" if what in ("init", "run", "set_weights") else self.size if what == "scratch_size" else "void"

    @staticmethod
    @abstractmethod
    def numbers(variants: Sequence[Net]) -> dict[str, int]:
        """Return constants of the net, each by the name of the C function that returns it."""

    @property
    def size(self) -> str:
        """LLVM type of C's ``size_t``."""
        return f"i{self.exported.target.pointer_bits}"

    @property
    def group(self) -> int:
        """Number of the functions' attribute group in LLVM: one per processor, or 0 if there is only one processor."""
        return self.variant + 1 if self.suffix else 0

    def name(self, what: str) -> str:
        return f"{self.prefix}_{what}{self.suffix}"

    def function(self, what: str, f: WrapperBuilder, value: Number = "") -> str:
        """Return the LLVM text of the C function ``what``: the instructions of ``f``, then ``ret value``."""
        linkage, parameters, result = (
            "internal " if self.suffix else "",
            signature(self.parameters(what)),
            self.result(what),
        )
        head = f"define {linkage}{result} @{self.name(what)}({parameters}) #{self.group} {{"
        return "\n".join([head, "entry:", *f.allocas, *f.lines, f"  ret {result} {value}".rstrip(), "}", ""])

    def wide(self, f: WrapperBuilder, size: str) -> str:
        """Append the conversion of a ``size_t`` to 64 bits, and return the result's name."""
        return size if self.size == "i64" else f.value(f"zext {self.size} {size} to i64", "size")

    def pointers_of(self, f: WrapperBuilder, ports: Sequence[Port]) -> dict[str, str]:
        """Append the choice of defaults for null array arguments. Return {array: name of its pointer}."""
        arguments = {}
        for port in ports:
            arguments[port.name] = f"%p_{port.symbol}"
            if port.default is not None:
                missing = f.value(f"icmp eq ptr %p_{port.symbol}, null", "missing")
                default = self.data.array(port.default)
                arguments[port.name] = f.value(f"select i1 {missing}, ptr {default}, ptr %p_{port.symbol}", "fed")
        return arguments

    def call(
        self,
        f: WrapperBuilder,
        entry: ExportedEntry,
        memory: CallMemory,
        ports: Sequence[Port],
        sizes: Mapping[str, Number],
        dims: Mapping[str, Number],
    ) -> None:
        """Append the call of a compiled entry, with the addresses of its arrays and its sizes.

        Args:
            sizes: Sizes that the plan reads, by name.
            dims: Values of the sizes in the shapes of ports, by name.
        """
        plan, exported = entry.plan, self.exported
        arena, weights, pointers = memory
        values: dict[str, Number] = {"arena": arena}
        values["panels"] = self.panels or f.moved(weights, exported.panels_place)
        for item in entry.plan.read_arguments:
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
