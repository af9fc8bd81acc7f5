"""Builder of LLVM functions that read objects of CPython and call its C API."""

from __future__ import annotations

from ..machine.ir_builder import IRBuilder
from .plan import Api, Record

INLINE = "alwaysinline #0"
"""Attributes of functions that LLVM inlines, and that are separate only for readability."""
TYPE = -8
"""Offset of an object's type, which is the last word of its header."""


class ObjectBuilder(IRBuilder):
    """Builder of a function that reads objects and arrays, and calls functions of Python's C API.

    The addresses of the functions are in the table that ``direct_begin`` receives.
    """

    def api(self, word: Api, kind: str = "ptr") -> str:
        """Write a load of a word of the table of Python's objects and C functions. Return the name of the value."""
        return self.entry("@api", word, kind, word.name.lower())

    def call(self, function: Api, arguments: str = "", kind: str = "ptr") -> str:
        """Write a call of a function of Python's C API. Return the name of the result, which has type ``kind``."""
        return self.value(f"call {kind} {self.api(function)}({arguments})", function.name.lower())

    def act(self, function: Api, arguments: str = "") -> None:
        """Write a call of a function of Python's C API that has no result."""
        self.do(f"call void {self.api(function)}({arguments})")

    def incref(self, value: str) -> None:
        """Write the increment of an object's reference count."""
        self.act(Api.Py_IncRef, f"ptr {value}")

    def decref(self, value: str) -> None:
        """Write the decrement of an object's reference count."""
        self.act(Api.Py_DecRef, f"ptr {value}")

    def field(self, value: str, offset: int, kind: str = "ptr") -> str:
        """Write a load of an object's field, ``offset`` bytes after the header. Return the name of the loaded value."""
        place = self.value(f"add i64 {self.api(Api.HEAD, 'i64')}, {offset}", "offset")
        return self.value(f"load {kind}, ptr {self.moved(value, place)}", "field")

    def has_type(self, value: str, kind: Api | str) -> str:
        """Write a test that an object has exactly this type. Return the name of the result.

        ``kind`` is the type's word in the table, or the name of a value with the type's address.
        """
        return self.icmp("eq", "ptr", self.field(value, TYPE), self.api(kind) if isinstance(kind, Api) else kind)

    def record(self, records: str, number: str) -> str:
        """Write code for the address of record ``number`` in a list of feeds or results. Return the address's name."""
        return self.place(records, self.value(f"mul i64 {number}, {len(Record)}", "words"))
