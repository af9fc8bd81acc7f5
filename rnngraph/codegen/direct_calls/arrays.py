"""Functions that copy feeds, and make the structure of results, as LLVM's text."""

from __future__ import annotations

from ..machine.memory_text import load_word
from .instructions import call, entry, field, word
from .plan import DATA, FLAGS, FREE, LEAF, MAPPING, SHARE, STRIDES, Api, Node, Record

GATHER = f"""\
define internal ptr @gather(ptr %target, ptr %source, ptr %shape, ptr %strides, i64 %axes, i64 %item) #0 {{
entry:
  %single = icmp eq i64 %axes, 0
  br i1 %single, label %one, label %several
one:
  call void @copy(ptr %source, ptr %target, i64 %item)
  %behind.one = getelementptr i8, ptr %target, i64 %item
  ret ptr %behind.one
several:
{entry("size", "shape", "0", "i64")}{entry("stride", "strides", "0", "i64")}\
  %last = icmp eq i64 %axes, 1
  %close = icmp eq i64 %stride, %item
  %together = and i1 %last, %close
  br i1 %together, label %row, label %begin
row:
  %bytes = mul i64 %size, %item
  call void @copy(ptr %source, ptr %target, i64 %bytes)
  %behind.row = getelementptr i8, ptr %target, i64 %bytes
  ret ptr %behind.row
begin:
  %shape.next = getelementptr i64, ptr %shape, i64 1
  %strides.next = getelementptr i64, ptr %strides, i64 1
  %axes.next = sub i64 %axes, 1
  br label %head
head:
  %index = phi i64 [ 0, %begin ], [ %index.next, %body ]
  %to = phi ptr [ %target, %begin ], [ %to.next, %body ]
  %from = phi ptr [ %source, %begin ], [ %from.next, %body ]
  %more = icmp slt i64 %index, %size
  br i1 %more, label %body, label %end
body:
  %to.next = call ptr @gather(ptr %to, ptr %from, ptr %shape.next, ptr %strides.next, i64 %axes.next, i64 %item)
  %from.next = getelementptr i8, ptr %from, i64 %stride
  %index.next = add i64 %index, 1
  br label %head
end:
  ret ptr %to
}}
"""
"""Copies an array of any strides to memory in which it lies side by side. Returns what is behind it there."""

FEED = f"""\
define internal void @feed(ptr %feed, ptr %value, ptr %block) #0 {{
entry:
{field("type", "value", -8, "ptr")}{word("wanted", Api.ARRAY)}{load_word("memory", "feed", Record.MEMORY, "ptr")}\
  %is.array = icmp eq ptr %type, %wanted
  br i1 %is.array, label %array, label %number
array:
{field("data", "value", DATA, "ptr")}\
  %pointed = icmp eq ptr %memory, null
  br i1 %pointed, label %point, label %look
point:
{load_word("slot", "feed", Record.SLOT)}\
  %slot.at = getelementptr i64, ptr %block, i64 %slot
  store ptr %data, ptr %slot.at
  ret void
look:
{field("flags", "value", FLAGS, "i32")}{load_word("bytes", "feed", Record.BYTES)}\
  %contiguous = and i32 %flags, 1
  %plain = icmp ne i32 %contiguous, 0
  br i1 %plain, label %copy, label %gather
copy:
  call void @copy(ptr %data, ptr %memory, i64 %bytes)
  ret void
gather:
{field("strides", "value", STRIDES, "ptr")}{load_word("shape", "feed", Record.SHAPE, "ptr")}\
{load_word("axes", "feed", Record.AXES)}{load_word("item", "feed", Record.ITEM)}\
  %behind = call ptr @gather(ptr %memory, ptr %data, ptr %shape, ptr %strides, i64 %axes, i64 %item)
  ret void
number:
{call("double", Api.PyFloat_AsDouble, "ptr %value", "double")}{load_word("width", "feed", Record.NUMBER)}\
  %wide = icmp eq i64 %width, 8
  br i1 %wide, label %double.store, label %single.store
double.store:
  store double %double, ptr %memory
  ret void
single.store:
  %single = fptrunc double %double to float
  store float %single, ptr %memory
  ret void
}}
"""
"""Copies a feed that fits, or writes into the block where it lies."""

WITHIN = f"""\
define internal double @number(ptr %place, i64 %bytes) #0 {{
entry:
  %is.double = icmp eq i64 %bytes, 8
  br i1 %is.double, label %double, label %single
double:
  %wide = load double, ptr %place
  ret double %wide
single:
  %narrow = load float, ptr %place
  %widened = fpext float %narrow to double
  ret double %widened
}}

define internal i1 @within(ptr %feed, ptr %block) #0 {{
entry:
{load_word("checked", "feed", Record.CHECKED)}{load_word("high", "feed", Record.HIGH)}\
{load_word("memory", "feed", Record.MEMORY, "ptr")}{load_word("bytes", "feed", Record.BYTES)}\
{load_word("item", "feed", Record.ITEM)}{load_word("slot", "feed", Record.SLOT)}\
  %free = icmp eq i64 %checked, {FREE}
  br i1 %free, label %yes, label %find
find:
  %slot.at = getelementptr i64, ptr %block, i64 %slot
  %is.copied = icmp ne ptr %memory, null
  %pointed = load ptr, ptr %slot.at
  %data = select i1 %is.copied, ptr %memory, ptr %pointed
  %is.wide = icmp eq i64 %item, 8
  %is.share = icmp eq i64 %checked, {SHARE}
  br i1 %is.share, label %share, label %head
share:
  %number = call double @number(ptr %data, i64 %item)
  %single = fptrunc double %number to float
  %above = fcmp ogt float %single, 0.0
  %below = fcmp ole float %single, 1.0
  %is.right = and i1 %above, %below
  br i1 %is.right, label %yes, label %no
head:
  %offset = phi i64 [ 0, %find ], [ %offset.next, %next ]
  %more = icmp ult i64 %offset, %bytes
  br i1 %more, label %body, label %yes
body:
  %at = getelementptr i8, ptr %data, i64 %offset
  br i1 %is.wide, label %wide, label %narrow
wide:
  %long = load i64, ptr %at
  br label %next
narrow:
  %short = load i32, ptr %at
  %extended = sext i32 %short to i64
  br label %next
next:
  %value = phi i64 [ %long, %wide ], [ %extended, %narrow ]
  %offset.next = add i64 %offset, %item
  %fits = icmp ule i64 %value, %high
  br i1 %fits, label %head, label %no
yes:
  ret i1 1
no:
  ret i1 0
}}
"""
"""Whether the numbers of a feed are as they must be, once it is where native code reads it."""

BUILD = f"""\
define internal ptr @build(ptr %node, ptr %leaves) #0 {{
entry:
{load_word("kind", "node", Node.KIND)}{load_word("count", "node", Node.COUNT)}\
{load_word("maker", "node", Node.MAKER, "ptr")}{load_word("keys", "node", Node.KEYS, "ptr")}\
{load_word("parts", "node", Node.PARTS, "ptr")}\
  %plain = icmp eq ptr %maker, null
  switch i64 %kind, label %sequence [
    i64 {LEAF}, label %leaf
    i64 {MAPPING}, label %mapping
  ]
leaf:
{entry("array", "leaves", "%count")}{call("held", Api.Py_IncRef, "ptr %array", "void")}\
  ret ptr %array
mapping:
{call("made", Api.PyObject_CallNoArgs, "ptr %maker")}\
  %is.made = icmp ne ptr %made, null
  br i1 %is.made, label %mapping.head, label %no
mapping.head:
  %item = phi i64 [ 0, %mapping ], [ %item.next, %mapping.next ]
  %mapping.more = icmp ult i64 %item, %count
  br i1 %mapping.more, label %mapping.body, label %mapping.end
mapping.body:
{entry("key", "keys", "%item")}{entry("part", "parts", "%item")}\
  %value = call ptr @build(ptr %part, ptr %leaves)
  %has.value = icmp ne ptr %value, null
  br i1 %has.value, label %mapping.set, label %mapping.fail
mapping.set:
{call("code", Api.PyDict_SetItem, "ptr %made, ptr %key, ptr %value", "i32")}\
{call("let.value", Api.Py_DecRef, "ptr %value", "void")}\
  %is.set = icmp eq i32 %code, 0
  br i1 %is.set, label %mapping.next, label %mapping.fail
mapping.next:
  %item.next = add i64 %item, 1
  br label %mapping.head
mapping.end:
  ret ptr %made
mapping.fail:
{call("let.made", Api.Py_DecRef, "ptr %made", "void")}\
  ret ptr null
sequence:
{call("tuple", Api.PyTuple_New, "i64 %count")}\
  %is.tuple = icmp ne ptr %tuple, null
  br i1 %is.tuple, label %sequence.head, label %no
sequence.head:
  %index = phi i64 [ 0, %sequence ], [ %index.next, %sequence.set ]
  %sequence.more = icmp ult i64 %index, %count
  br i1 %sequence.more, label %sequence.body, label %sequence.end
sequence.body:
{entry("child", "parts", "%index")}\
  %entry.made = call ptr @build(ptr %child, ptr %leaves)
  %has.entry = icmp ne ptr %entry.made, null
  br i1 %has.entry, label %sequence.set, label %sequence.fail
sequence.set:
{call("placed", Api.PyTuple_SetItem, "ptr %tuple, i64 %index, ptr %entry.made", "i32")}\
  %index.next = add i64 %index, 1
  br label %sequence.head
sequence.fail:
{call("let.tuple", Api.Py_DecRef, "ptr %tuple", "void")}\
  ret ptr null
sequence.end:
  br i1 %plain, label %as.tuple, label %as.made
as.tuple:
  ret ptr %tuple
as.made:
{call("sequence.made", Api.PyObject_CallOneArg, "ptr %maker, ptr %tuple")}\
{call("let.entries", Api.Py_DecRef, "ptr %tuple", "void")}\
  ret ptr %sequence.made
no:
  ret ptr null
}}
"""
"""Makes a result's structure of arrays, which it holds; null where an error was raised."""

RELEASE = f"""\
define internal void @release(ptr %objects, i64 %count) #0 {{
entry:
  br label %head
head:
  %number = phi i64 [ 0, %entry ], [ %number.next, %next ]
  %more = icmp ult i64 %number, %count
  br i1 %more, label %body, label %end
body:
{entry("object", "objects", "%number")}\
  %empty = icmp eq ptr %object, null
  br i1 %empty, label %next, label %let
let:
{call("gone", Api.Py_DecRef, "ptr %object", "void")}\
  br label %next
next:
  %number.next = add i64 %number, 1
  br label %head
end:
  ret void
}}
"""
