"""The functions that run a call and hand it on to Python, as LLVM's text."""

from __future__ import annotations

from ..machine.memory_text import load_word
from .instructions import call, entry, field, record, word
from .plan import DATA, MOST, TRY, Api, Plan, Record

GUARDED = f"""\
define internal i1 @guarded(ptr %plan) #0 {{
entry:
{load_word("count", "plan", Plan.GUARDS)}{load_word("list", "plan", Plan.GUARD_LIST, "ptr")}\
  br label %head
head:
  %number = phi i64 [ 0, %entry ], [ %number.next, %next ]
  %more = icmp ult i64 %number, %count
  br i1 %more, label %body, label %yes
body:
  %index = mul i64 %number, 2
  %index.wanted = add i64 %index, 1
{entry("word", "list", "%index")}{entry("wanted", "list", "%index.wanted", "i64")}\
  %now = load i64, ptr %word
  %holds = icmp eq i64 %now, %wanted
  br i1 %holds, label %next, label %no
next:
  %number.next = add i64 %number, 1
  br label %head
yes:
  ret i1 1
no:
  ret i1 0
}}
"""
"""Whether all conditions of a plan hold."""

ATTEMPT = f"""\
define internal ptr @attempt(ptr %held, ptr %arguments, i64 %count, ptr %names, ptr %given.out) #0 {{
entry:
  %values = alloca [{MOST} x ptr], align 8
  %fresh = alloca [{MOST} x ptr], align 8
  %out.at = alloca ptr, align 8
  store ptr %given.out, ptr %out.at
{call("array", Api.PyTuple_GetItem, "ptr %held, i64 0")}{field("plan", "array", DATA, "ptr")}\
{load_word("feeds", "plan", Plan.FEEDS)}{load_word("feed.list", "plan", Plan.FEED_LIST, "ptr")}\
{load_word("results", "plan", Plan.RESULTS)}{load_word("result.list", "plan", Plan.RESULT_LIST, "ptr")}\
{load_word("needed", "plan", Plan.NEEDED)}\
  br label %clear.head
clear.head:
  %clear = phi i64 [ 0, %entry ], [ %clear.next, %clear.body ]
  %clear.more = icmp ult i64 %clear, %feeds
  br i1 %clear.more, label %clear.body, label %clear.results.head
clear.body:
  %clear.at = getelementptr ptr, ptr %values, i64 %clear
  store ptr null, ptr %clear.at
  %clear.next = add i64 %clear, 1
  br label %clear.head
clear.results.head:
  %clear.result = phi i64 [ 0, %clear.head ], [ %clear.result.next, %clear.results.body ]
  %clear.results.more = icmp ult i64 %clear.result, %results
  br i1 %clear.results.more, label %clear.results.body, label %read
clear.results.body:
  %clear.result.at = getelementptr ptr, ptr %fresh, i64 %clear.result
  store ptr null, ptr %clear.result.at
  %clear.result.next = add i64 %clear.result, 1
  br label %clear.results.head
read:
  %understood = call i1 @arguments(ptr %plan, ptr %arguments, i64 %count, ptr %names, ptr %values, ptr %out.at)
  br i1 %understood, label %fit.head, label %fail
fit.head:
  %fit = phi i64 [ 0, %read ], [ %fit.next, %fit.end ]
  %fit.more = icmp ult i64 %fit, %feeds
  br i1 %fit.more, label %fit.body, label %given
fit.body:
{record("feed", "feed.list", "%fit")}{entry("value", "values", "%fit")}\
  %missing = icmp eq ptr %value, null
  br i1 %missing, label %fit.missing, label %fit.given
fit.missing:
  %optional = icmp uge i64 %fit, %needed
  br i1 %optional, label %fit.end, label %fail
fit.given:
  %fits = call i1 @fits(ptr %feed, ptr %value)
  br i1 %fits, label %fit.end, label %fail
fit.end:
  %fit.next = add i64 %fit, 1
  br label %fit.head
given:
  %out = load ptr, ptr %out.at
{word("none", Api.NONE)}\
  %no.out = icmp eq ptr %out, null
  %is.none = icmp eq ptr %out, %none
  %all.fresh = or i1 %no.out, %is.none
  br i1 %all.fresh, label %make.head, label %outs
outs:
{load_word("shape.of.all", "plan", Plan.STRUCTURE, "ptr")}\
  %taken = call i1 @outs(ptr %plan, ptr %shape.of.all, ptr %out, ptr %fresh)
  br i1 %taken, label %make.head, label %fail
make.head:
  %make = phi i64 [ 0, %given ], [ 0, %outs ], [ %make.next, %make.end ]
  %make.more = icmp ult i64 %make, %results
  br i1 %make.more, label %make.body, label %structure
make.body:
{entry("present", "fresh", "%make")}\
  %absent = icmp eq ptr %present, null
  br i1 %absent, label %make.one, label %make.end
make.one:
{record("kind", "result.list", "%make")}{load_word("dtype", "kind", Record.DTYPE, "ptr")}\
{load_word("axes", "kind", Record.AXES)}{load_word("shape", "kind", Record.SHAPE, "ptr")}{word("type", Api.ARRAY)}\
{call("dtype.held", Api.Py_IncRef, "ptr %dtype", "void")}\
  %axes.short = trunc i64 %axes to i32
{
    call(
        "made",
        Api.PyArray_NewFromDescr,
        "ptr %type, ptr %dtype, i32 %axes.short, ptr %shape, ptr null, ptr null, i32 0, ptr null",
    )
}\
  %is.made = icmp ne ptr %made, null
  br i1 %is.made, label %make.store, label %fail
make.store:
  %made.at = getelementptr ptr, ptr %fresh, i64 %make
  store ptr %made, ptr %made.at
  br label %make.end
make.end:
  %make.next = add i64 %make, 1
  br label %make.head
structure:
{load_word("root", "plan", Plan.STRUCTURE, "ptr")}\
  %whole = call ptr @build(ptr %root, ptr %fresh)
  %is.whole = icmp ne ptr %whole, null
  br i1 %is.whole, label %check, label %raise
raise:
  call void @release(ptr %fresh, i64 %results)
  call void @release(ptr %values, i64 %feeds)
  ret ptr null
check:
{load_word("side.at", "plan", Plan.SIDE, "ptr")}\
  %side = load i64, ptr %side.at
  %holds = call i1 @guarded(ptr %plan)
  br i1 %holds, label %fill, label %drop
drop:
{call("dropped", Api.Py_DecRef, "ptr %whole", "void")}\
  br label %fail
fill:
{load_word("first", "plan", Plan.FIRST_BLOCK, "ptr")}\
{load_word("second", "plan", Plan.SECOND_BLOCK, "ptr")}{load_word("entry.at", "plan", Plan.ENTRY, "ptr")}\
{load_word("flips", "plan", Plan.FLIPS)}{load_word("releases", "plan", Plan.RELEASES)}\
{load_word("busy", "plan", Plan.BUSY, "ptr")}{load_word("weights", "plan", Plan.WEIGHTS, "ptr")}\
  %is.first = icmp eq i64 %side, 0
  %block = select i1 %is.first, ptr %first, ptr %second
  br label %fill.head
fill.head:
  %filled = phi i64 [ 0, %fill ], [ %filled.next, %fill.end ]
  %fill.more = icmp ult i64 %filled, %feeds
  br i1 %fill.more, label %fill.body, label %place.head
fill.body:
{entry("fed", "values", "%filled")}{record("fed.as", "feed.list", "%filled")}\
  %unfed = icmp eq ptr %fed, null
  br i1 %unfed, label %fill.end, label %fill.one
fill.one:
  call void @feed(ptr %fed.as, ptr %fed, ptr %block)
  %within = call i1 @within(ptr %fed.as, ptr %block)
  br i1 %within, label %fill.end, label %drop
fill.end:
  %filled.next = add i64 %filled, 1
  br label %fill.head
place.head:
  %place = phi i64 [ 0, %fill.head ], [ %place.next, %place.end ]
  %place.more = icmp ult i64 %place, %results
  br i1 %place.more, label %place.body, label %run
place.body:
{record("placed.as", "result.list", "%place")}{load_word("apart", "placed.as", Record.MEMORY)}\
  %pointed = icmp eq i64 %apart, 0
  br i1 %pointed, label %place.one, label %place.end
place.one:
{entry("placed", "fresh", "%place")}{field("placed.data", "placed", DATA, "ptr")}\
{load_word("slot", "placed.as", Record.SLOT)}\
  %slot.at = getelementptr i64, ptr %block, i64 %slot
  store ptr %placed.data, ptr %slot.at
  br label %place.end
place.end:
  %place.next = add i64 %place, 1
  br label %place.head
run:
{call("weights.held", Api.Py_IncRef, "ptr %weights", "void")}\
  store i64 1, ptr %busy
{load_word("draw", "plan", Plan.DRAW, "ptr")}\
  %may.draw = icmp ne ptr %draw, null
  br i1 %may.draw, label %seed.look, label %seeded
seed.look:
{load_word("seed.place", "plan", Plan.SEED_FEED)}{entry("seed.given", "values", "%seed.place")}\
  %no.seed = icmp eq ptr %seed.given, null
  br i1 %no.seed, label %seed.draw, label %seeded
seed.draw:
{load_word("generator", "plan", Plan.GENERATOR, "ptr")}{load_word("seed.at", "plan", Plan.SEED, "ptr")}\
  %random = call i64 %draw(ptr %generator)
  %seed = lshr i64 %random, 1
  store i64 %seed, ptr %seed.at
  br label %seeded
seeded:
  %is.long = icmp ne i64 %releases, 0
  br i1 %is.long, label %run.long, label %run.short
run.long:
{call("thread", Api.PyEval_SaveThread, "")}\
  call void %entry.at(ptr %block, i64 0, i64 1)
{call("back", Api.PyEval_RestoreThread, "ptr %thread", "void")}\
  br label %ran
run.short:
  call void %entry.at(ptr %block, i64 0, i64 1)
  br label %ran
ran:
  %flipped = xor i64 %side, %flips
  store i64 %flipped, ptr %side.at
  br label %give.head
give.head:
  %give = phi i64 [ 0, %ran ], [ %give.next, %give.end ]
  %give.more = icmp ult i64 %give, %results
  br i1 %give.more, label %give.body, label %given.all
give.body:
{record("given.as", "result.list", "%give")}{load_word("from", "given.as", Record.MEMORY, "ptr")}\
  %is.copied = icmp ne ptr %from, null
  br i1 %is.copied, label %give.one, label %give.end
give.one:
{entry("target", "fresh", "%give")}{field("target.data", "target", DATA, "ptr")}\
{load_word("bytes", "given.as", Record.BYTES)}\
  call void @copy(ptr %from, ptr %target.data, i64 %bytes)
  br label %give.end
give.end:
  %give.next = add i64 %give, 1
  br label %give.head
given.all:
  store i64 0, ptr %busy
{call("weights.let", Api.Py_DecRef, "ptr %weights", "void")}\
  br label %let
fail:
  br label %let
let:
  %result = phi ptr [ %whole, %given.all ], [ null, %fail ]
  call void @release(ptr %fresh, i64 %results)
  call void @release(ptr %values, i64 %feeds)
  %is.result = icmp ne ptr %result, null
  br i1 %is.result, label %yes, label %no
yes:
  ret ptr %result
no:
{call("cleared", Api.PyErr_Clear, "", "void")}\
  ret ptr null
}}
"""
"""What the call gives; null, no error and nothing done, where it is left to others; null and an error where what was
written in Python raised. Arrays and structure are made before anything runs, so that nothing can fail behind that; and
conditions are looked at behind them, as to make objects may run what others wrote.
"""

_FEW = 2 * MOST
"""Arguments that are handed on by the stack: a caller may give any number of them, and stacks end."""

CALL = f"""\
define internal ptr @call(ptr %self, ptr %arguments, i64 %count, ptr %names, ptr %door) #0 {{
entry:
  %stack = alloca [{_FEW} x ptr], align 8
{entry("attribute", "door", "0")}{entry("function", "door", "1")}{word("none", Api.NONE)}\
{call("held", Api.PyObject_GetAttr, "ptr %self, ptr %attribute")}\
  %is.there = icmp ne ptr %held, null
  br i1 %is.there, label %look, label %no
look:
  %is.none = icmp eq ptr %held, %none
  br i1 %is.none, label %leave, label %try
try:
  %result = call ptr @attempt(ptr %held, ptr %arguments, i64 %count, ptr %names, ptr null)
  %is.done = icmp ne ptr %result, null
  br i1 %is.done, label %done, label %failed
failed:
{call("error", Api.PyErr_Occurred, "")}\
  %is.error = icmp ne ptr %error, null
  br i1 %is.error, label %done, label %leave
done:
{call("held.done", Api.Py_DecRef, "ptr %held", "void")}\
  ret ptr %result
leave:
{call("held.left", Api.Py_DecRef, "ptr %held", "void")}\
  br label %ask
no:
{call("cleared", Api.PyErr_Clear, "", "void")}\
  br label %ask
ask:
  %no.names = icmp eq ptr %names, null
  br i1 %no.names, label %all, label %named
named:
{call("keys", Api.PyTuple_Size, "ptr %names", "i64")}\
  br label %all
all:
  %more = phi i64 [ 0, %ask ], [ %keys, %named ]
  %given = add i64 %count, %more
  %places = add i64 %given, 1
  %is.many = icmp ugt i64 %places, {_FEW}
  br i1 %is.many, label %many, label %pass
many:
  %space = mul i64 %places, 8
{call("heap", Api.PyMem_Malloc, "i64 %space")}\
  %is.heap = icmp ne ptr %heap, null
  br i1 %is.heap, label %pass, label %full
full:
{call("no.memory", Api.PyErr_NoMemory, "")}\
  ret ptr null
pass:
  %places.at = phi ptr [ %stack, %all ], [ %heap, %many ]
  store ptr %self, ptr %places.at
  %behind = getelementptr ptr, ptr %places.at, i64 1
  %bytes = mul i64 %given, 8
  call void @copy(ptr %arguments, ptr %behind, i64 %bytes)
  %positional = add i64 %count, 1
{call("asked", Api.PyObject_Vectorcall, "ptr %function, ptr %places.at, i64 %positional, ptr %names")}\
  br i1 %is.many, label %free, label %end
free:
{call("freed", Api.PyMem_Free, "ptr %places.at", "void")}\
  br label %end
end:
  ret ptr %asked
}}
"""
"""A call of a door: by the object's plan, or by the function in Python. door: its two words of the table."""

TRYING = f"""\
define ptr @{TRY}(ptr %module, ptr %arguments, i64 %count) #0 {{
entry:
{entry("held", "arguments", "0")}{entry("out", "arguments", "2")}{word("none", Api.NONE)}\
  %feeds = getelementptr ptr, ptr %arguments, i64 1
  %result = call ptr @attempt(ptr %held, ptr %feeds, i64 1, ptr null, ptr %out)
  %is.done = icmp ne ptr %result, null
  br i1 %is.done, label %done, label %failed
failed:
{call("error", Api.PyErr_Occurred, "")}\
  %is.error = icmp ne ptr %error, null
  br i1 %is.error, label %done, label %left
done:
  ret ptr %result
left:
{call("held.none", Api.Py_IncRef, "ptr %none", "void")}\
  ret ptr %none
}}
"""
