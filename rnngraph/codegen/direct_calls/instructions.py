"""Builder of functions that work on CPython's objects, by the addresses in the module's table."""

from __future__ import annotations

from ..machine.ir_builder import IRBuilder
from .plan import Api, Record

INLINE = "alwaysinline #0"
"""Attributes of functions with a single call, which are separate only for readability."""
TYPE = -8
"""Offset of an object's type, which is the last word of its header."""


class ObjectBuilder(IRBuilder):
    """Builds one function that reads objects and arrays and calls functions of Python's C API."""

    def api(self, word: Api, kind: str = "ptr") -> str:
        """Return a word of the module's table."""
        return self.entry("@api", word, kind, word.name.lower())

    def call(self, function: Api, arguments: str = "", kind: str = "ptr") -> str:
        """Call a function of the table and return its result, of type ``kind``."""
        return self.value(f"call {kind} {self.api(function)}({arguments})", function.name.lower())

    def act(self, function: Api, arguments: str = "") -> None:
        """Call a function of the table without a result."""
        self.do(f"call void {self.api(function)}({arguments})")

    def hold(self, value: str) -> None:
        """Take a reference."""
        self.act(Api.Py_IncRef, f"ptr {value}")

    def let(self, value: str) -> None:
        """Release a reference."""
        self.act(Api.Py_DecRef, f"ptr {value}")

    def field(self, value: str, offset: int, kind: str = "ptr") -> str:
        """Return a field of an object at an offset in bytes after its header."""
        place = self.value(f"add i64 {self.api(Api.HEAD, 'i64')}, {offset}", "offset")
        return self.value(f"load {kind}, ptr {self.moved(value, place)}", "field")

    def has_type(self, value: str, kind: Api | str) -> str:
        """Return True if an object has a type of the table, or the type at an address."""
        return self.icmp("eq", "ptr", self.field(value, TYPE), self.api(kind) if isinstance(kind, Api) else kind)

    def record(self, records: str, number: str) -> str:
        """Return the address of a record in a list."""
        return self.place(records, self.value(f"mul i64 {number}, {len(Record)}", "words"))
