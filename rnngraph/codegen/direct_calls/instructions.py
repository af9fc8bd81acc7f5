"""Instructions that direct calls are made of, as LLVM's text: reads of memory, and calls of Python's functions."""

from __future__ import annotations

from .plan import Api, Record


def word(name: str, word: Api, kind: str = "ptr") -> str:
    """Reads a word of the table."""
    return f"""\
  %{name}.place = getelementptr i64, ptr @api, i64 {int(word)}
  %{name} = load {kind}, ptr %{name}.place
"""


def call(value: str, function: Api, arguments: str, kind: str = "ptr") -> str:
    """Calls a function of the table. value: a name for what it gives, and for its address where it gives nothing."""
    result = "" if kind == "void" else f"%{value} = "
    return f"""\
{word(f"{value}.function", function)}\
  {result}call {kind} %{value}.function({arguments})
"""


def field(name: str, array: str, offset: int, kind: str) -> str:
    """Reads a field of an array."""
    return f"""\
{word(f"{name}.head", Api.HEAD, "i64")}\
  %{name}.offset = add i64 %{name}.head, {offset}
  %{name}.at = getelementptr i8, ptr %{array}, i64 %{name}.offset
  %{name} = load {kind}, ptr %{name}.at
"""


def entry(name: str, pointer: str, index: str, kind: str = "ptr") -> str:
    """Reads an entry of a list of words."""
    return f"""\
  %{name}.place = getelementptr i64, ptr %{pointer}, i64 {index}
  %{name} = load {kind}, ptr %{name}.place
"""


def record(name: str, pointer: str, index: str) -> str:
    """Where a record of a list lies."""
    return f"""\
  %{name}.words = mul i64 {index}, {len(Record)}
  %{name} = getelementptr i64, ptr %{pointer}, i64 %{name}.words
"""
