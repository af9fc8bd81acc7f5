"""Functions that look whether a train step may run, and bring it into effect, as LLVM's text."""

from __future__ import annotations

from ..machine.memory_text import load_word
from .instructions import call, entry, word
from .plan import Api, Place, Train


def _place(name: str, pointer: str, index: str) -> str:
    """Reads one of a list of places."""
    return f"""\
  %{name}.words = mul i64 {index}, {len(Place)}
  %{name} = getelementptr i64, ptr %{pointer}, i64 %{name}.words
{load_word("is.attribute", name, Place.IS_ATTRIBUTE)}{load_word("owner", name, Place.OWNER, "ptr")}\
{load_word("key", name, Place.KEY, "ptr")}{load_word("value", name, Place.VALUE, "ptr")}\
  %by.name = icmp ne i64 %is.attribute, 0
"""


def _of_side(name: str, words: str, first: Train, second: Train) -> str:
    """Reads the address of the list of a side."""
    return f"""\
{load_word(f"{name}.first", words, first, "ptr")}{load_word(f"{name}.second", words, second, "ptr")}\
  %{name} = select i1 %is.first, ptr %{name}.first, ptr %{name}.second
"""


READY = f"""\
define internal i1 @ready(ptr %train, i64 %side) #0 {{
entry:
  %is.first = icmp eq i64 %side, 0
{load_word("is.locked", "train", Train.IS_LOCKED, "ptr")}{load_word("places", "train", Train.PRESENT)}\
{load_word("arrays", "train", Train.OWNED)}\
{_of_side("present", "train", Train.FIRST_PRESENT, Train.SECOND_PRESENT)}\
{_of_side("owned", "train", Train.FIRST_OWNED, Train.SECOND_OWNED)}\
{word("false", Api.FALSE)}{call("locked", Api.PyObject_CallNoArgs, "ptr %is.locked")}\
  %told = icmp ne ptr %locked, null
  br i1 %told, label %look, label %no
look:
{call("locked.let", Api.Py_DecRef, "ptr %locked", "void")}\
  %is.free = icmp eq ptr %locked, %false
  br i1 %is.free, label %compare.versions, label %no
compare.versions:
{load_word("version.at", "train", Train.VERSION, "ptr")}{load_word("expected.at", "train", Train.EXPECTED, "ptr")}\
  %version = load i64, ptr %version.at
  %expected = load i64, ptr %expected.at
  %is.known = icmp eq i64 %version, %expected
  br i1 %is.known, label %head, label %no
head:
  %number = phi i64 [ 0, %compare.versions ], [ %number.next, %next ]
  %more = icmp ult i64 %number, %places
  br i1 %more, label %body, label %owned.head
body:
{_place("one", "present", "%number")}\
  br i1 %by.name, label %attribute, label %item
attribute:
{call("held", Api.PyObject_GetAttr, "ptr %owner, ptr %key")}\
  %is.there = icmp ne ptr %held, null
  br i1 %is.there, label %let, label %no
let:
{call("held.let", Api.Py_DecRef, "ptr %held", "void")}\
  br label %compare
item:
{call("kept", Api.PyDict_GetItemWithError, "ptr %owner, ptr %key")}\
  br label %compare
compare:
  %found = phi ptr [ %held, %let ], [ %kept, %item ]
  %same = icmp eq ptr %found, %value
  br i1 %same, label %next, label %no
next:
  %number.next = add i64 %number, 1
  br label %head
owned.head:
  %index = phi i64 [ 0, %head ], [ %index.next, %owned.next ]
  %owned.more = icmp ult i64 %index, %arrays
  br i1 %owned.more, label %owned.body, label %yes
owned.body:
  %at = mul i64 %index, 2
  %wanted.at = add i64 %at, 1
{entry("array", "owned", "%at")}{entry("wanted", "owned", "%wanted.at", "i64")}{word("size", Api.HEAD, "i64")}\
  %offset = sub i64 %size, 16
  %count.at = getelementptr i8, ptr %array, i64 %offset
  %count = load i32, ptr %count.at
  %holders = zext i32 %count to i64
  %alone = icmp eq i64 %holders, %wanted
  br i1 %alone, label %owned.next, label %no
owned.next:
  %index.next = add i64 %index, 1
  br label %owned.head
yes:
  ret i1 1
no:
  ret i1 0
}}
"""
"""Whether parameters and what an optimizer keeps are where the step reads them, nobody changes them, and nobody else
holds what it writes over. A count of references is an object's first word, of which the lower half counts.
"""

COMMIT = f"""\
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

define internal void @count(ptr %train, i64 %word) #0 {{
entry:
  %at.place = getelementptr i64, ptr %train, i64 %word
  %at = load ptr, ptr %at.place
  %before = load i64, ptr %at
  %after = add i64 %before, 1
  store i64 %after, ptr %at
  ret void
}}

define internal ptr @commit(ptr %train, ptr %side.at, ptr %whole) #0 {{
entry:
  %side = load i64, ptr %side.at
  %is.first = icmp eq i64 %side, 0
{load_word("loss.at", "train", Train.LOSS, "ptr")}{load_word("norm.at", "train", Train.NORM, "ptr")}\
{load_word("bytes", "train", Train.LOSS_BYTES)}{load_word("norm.bytes", "train", Train.NORM_BYTES)}\
{load_word("skips", "train", Train.SKIPS)}{load_word("fetches", "train", Train.FETCHES)}\
{load_word("kept.norm", "train", Train.GRADIENT_NORM, "ptr")}{load_word("state", "train", Train.STATE, "ptr")}\
{load_word("carried", "train", Train.CARRIED, "ptr")}\
{load_word("places", "train", Train.CHANGES)}{_of_side("changes", "train", Train.FIRST_CHANGES, Train.SECOND_CHANGES)}\
  %loss = call double @number(ptr %loss.at, i64 %bytes)
  %norm = call double @number(ptr %norm.at, i64 %norm.bytes)
  store double %norm, ptr %kept.norm
  %loss.size = call double @llvm.fabs.f64(double %loss)
  %norm.size = call double @llvm.fabs.f64(double %norm)
  %loss.finite = fcmp one double %loss.size, 0x7FF0000000000000
  %norm.finite = fcmp one double %norm.size, 0x7FF0000000000000
  %finite = and i1 %loss.finite, %norm.finite
  %always = icmp eq i64 %skips, 0
  %counts = or i1 %always, %finite
  %is.pair = icmp ne i64 %fetches, 0
  br i1 %counts, label %take, label %skip
skip:
  call void @count(ptr %train, i64 {Train.SKIPPED})
  br label %end
take:
  br label %head
head:
  %number = phi i64 [ 0, %take ], [ %number.next, %next ]
  %more = icmp ult i64 %number, %places
  br i1 %more, label %body, label %counted
body:
{_place("one", "changes", "%number")}\
  br i1 %by.name, label %attribute, label %item
attribute:
{call("set", Api.PyObject_SetAttr, "ptr %owner, ptr %key, ptr %value", "i32")}\
  br label %next
item:
{call("put", Api.PyDict_SetItem, "ptr %owner, ptr %key, ptr %value", "i32")}\
  br label %next
next:
  %number.next = add i64 %number, 1
  br label %head
counted:
  call void @count(ptr %train, i64 {Train.VERSION})
  call void @count(ptr %train, i64 {Train.EXPECTED})
  call void @count(ptr %train, i64 {Train.UPDATES})
  %flipped = xor i64 %side, 1
  store i64 %flipped, ptr %side.at
  %carries = icmp ne ptr %carried, null
  br i1 %carries, label %carry.on, label %end
carry.on:
  br i1 %is.pair, label %carry.first, label %carry.set
carry.first:
{call("first", Api.PyTuple_GetItem, "ptr %whole, i64 0")}\
  br label %carry.set
carry.set:
  %states = phi ptr [ %whole, %carry.on ], [ %first, %carry.first ]
{call("set.carried", Api.PyObject_SetAttr, "ptr %state, ptr %carried, ptr %states", "i32")}\
  br label %end
end:
{call("given", Api.PyFloat_FromDouble, "double %loss")}\
  %is.given = icmp ne ptr %given, null
  %has.more = and i1 %is.pair, %is.given
  br i1 %has.more, label %pair, label %alone
pair:
{call("put.loss", Api.PyTuple_SetItem, "ptr %whole, i64 0, ptr %given", "i32")}\
  ret ptr %whole
alone:
{call("let.states", Api.Py_DecRef, "ptr %whole", "void")}\
  ret ptr %given
}}
"""
"""Brings a step into effect if it counts, and gives its loss, or its pair. What it sets is there before, so nothing can
fail.
"""

WAIT = f"""\
define internal void @wait(ptr %train) #0 {{
entry:
{load_word("is.locked", "train", Train.IS_LOCKED, "ptr")}{word("false", Api.FALSE)}\
  br label %look
look:
{call("locked", Api.PyObject_CallNoArgs, "ptr %is.locked")}\
  %told = icmp ne ptr %locked, null
  br i1 %told, label %told.so, label %leave
told.so:
{call("locked.let", Api.Py_DecRef, "ptr %locked", "void")}\
  %is.free = icmp eq ptr %locked, %false
  br i1 %is.free, label %end, label %leave
leave:
{call("thread", Api.PyEval_SaveThread, "")}{call("back", Api.PyEval_RestoreThread, "ptr %thread", "void")}\
  br label %look
end:
  ret void
}}
"""
"""Lets others run until nobody changes parameters, as they may while a long step runs, for microseconds."""
