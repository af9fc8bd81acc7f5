"""LLVM text of a function that copies memory."""

from __future__ import annotations


def _copying(name: str, kind: str, size: int) -> str:
    """Return the LLVM text of basic blocks that copy ``%bytes`` bytes, at least ``size``, in pieces of ``size``."""
    return f"""\
{name}:
  %{name}.last = sub i64 %bytes, {size}
  br label %{name}.body
{name}.body:
  %{name}.at = phi i64 [ 0, %{name} ], [ %{name}.here, %{name}.body ]
  %{name}.from = getelementptr i8, ptr %source, i64 %{name}.at
  %{name}.to = getelementptr i8, ptr %target, i64 %{name}.at
  %{name}.value = load {kind}, ptr %{name}.from, align 1
  store {kind} %{name}.value, ptr %{name}.to, align 1
  %{name}.next = add i64 %{name}.at, {size}
  %{name}.over = icmp ugt i64 %{name}.next, %{name}.last
  %{name}.here = select i1 %{name}.over, i64 %{name}.last, i64 %{name}.next
  %{name}.done = icmp eq i64 %{name}.at, %{name}.last
  br i1 %{name}.done, label %end, label %{name}.body
"""


COPY = f"""\
define internal void @copy(ptr %source, ptr %target, i64 %bytes) #0 {{
entry:
  %wide = icmp uge i64 %bytes, 32
  br i1 %wide, label %vectors, label %narrow
narrow:
  %long = icmp uge i64 %bytes, 8
  br i1 %long, label %words, label %short
short:
  %number = icmp uge i64 %bytes, 4
  br i1 %number, label %halves, label %tiny
tiny:
  %any = icmp uge i64 %bytes, 1
  br i1 %any, label %single, label %end
{_copying("vectors", "<4 x i64>", 32)}{_copying("words", "i64", 8)}{_copying("halves", "i32", 4)}\
{_copying("single", "i8", 1)}\
end:
  ret void
}}
"""
