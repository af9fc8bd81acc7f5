"""Functions that find a call's feeds and ``out`` among its arguments and look whether they fit, as LLVM's text."""

from __future__ import annotations

from ..machine.memory_text import load_word
from .instructions import call, entry, field, record, word
from .plan import AXES, DATA, DESCR, FLAGS, LEAF, MAPPING, PLAIN, SHAPE, WRITABLE, Api, Node, Plan, Record

ALIKE = f"""\
define internal i1 @alike(ptr %record, ptr %value) #0 {{
entry:
{field("type", "value", -8, "ptr")}{word("wanted", Api.ARRAY)}\
  %is.array = icmp eq ptr %type, %wanted
  br i1 %is.array, label %array, label %no
array:
{field("axes", "value", AXES, "i32")}{load_word("axes.wanted", "record", Record.AXES)}\
{field("dtype", "value", DESCR, "ptr")}{load_word("dtype.wanted", "record", Record.DTYPE, "ptr")}\
{field("shape", "value", SHAPE, "ptr")}{load_word("shape.wanted", "record", Record.SHAPE, "ptr")}\
  %axes.given = sext i32 %axes to i64
  %same.axes = icmp eq i64 %axes.given, %axes.wanted
  %same.dtype = icmp eq ptr %dtype, %dtype.wanted
  %same = and i1 %same.axes, %same.dtype
  br i1 %same, label %head, label %no
head:
  %axis = phi i64 [ 0, %array ], [ %axis.next, %next ]
  %more = icmp ult i64 %axis, %axes.wanted
  br i1 %more, label %body, label %yes
body:
{entry("size", "shape", "%axis", "i64")}{entry("size.wanted", "shape.wanted", "%axis", "i64")}\
  %fits = icmp eq i64 %size, %size.wanted
  br i1 %fits, label %next, label %no
next:
  %axis.next = add i64 %axis, 1
  br label %head
yes:
  ret i1 1
no:
  ret i1 0
}}
"""
"""Whether a value is an array of a record's dtype, the very object, and shape."""

FITS = f"""\
define internal i1 @fits(ptr %feed, ptr %value) #0 {{
entry:
  %array = call i1 @alike(ptr %feed, ptr %value)
  br i1 %array, label %placed, label %number
placed:
{load_word("memory", "feed", Record.MEMORY)}{field("flags", "value", FLAGS, "i32")}\
  %copied = icmp ne i64 %memory, 0
  %kept = and i32 %flags, {PLAIN}
  %plain = icmp eq i32 %kept, {PLAIN}
  %taken = or i1 %copied, %plain
  ret i1 %taken
number:
{load_word("bytes", "feed", Record.NUMBER)}{field("type", "value", -8, "ptr")}{word("wanted", Api.FLOAT)}\
  %takes = icmp ne i64 %bytes, 0
  %is.float = icmp eq ptr %type, %wanted
  %both = and i1 %takes, %is.float
  br i1 %both, label %range, label %no
range:
{call("double", Api.PyFloat_AsDouble, "ptr %value", "double")}\
  %single = fptrunc double %double to float
  %size = call float @llvm.fabs.f32(float %single)
  %size.before = call double @llvm.fabs.f64(double %double)
  %wide = icmp eq i64 %bytes, 8
  %finite = fcmp une float %size, 0x7FF0000000000000
  %infinite = fcmp oeq double %size.before, 0x7FF0000000000000
  %within = or i1 %finite, %infinite
  %right = or i1 %wide, %within
  ret i1 %right
no:
  ret i1 0
}}
"""
"""Whether a value is what a feed must be: an array, or a number that is not too large for its float."""

ARGUMENTS = f"""\
define internal i1 @arguments(ptr %plan, ptr %arguments, i64 %count, ptr %names, ptr %values, ptr %out) #0 {{
entry:
{load_word("feeds", "plan", Plan.FEEDS)}{load_word("list", "plan", Plan.FEED_LIST, "ptr")}{word("none", Api.NONE)}\
  switch i64 %count, label %no [
    i64 0, label %keywords
    i64 1, label %first
  ]
first:
{entry("mapping", "arguments", "0")}\
  %left.out = icmp eq ptr %mapping, %none
  br i1 %left.out, label %keywords, label %given
given:
{field("type", "mapping", -8, "ptr")}{word("wanted", Api.DICT)}\
  %is.dict = icmp eq ptr %type, %wanted
  br i1 %is.dict, label %dict, label %no
dict:
{call("size", Api.PyDict_Size, "ptr %mapping", "i64")}\
  br label %dict.head
dict.head:
  %feed = phi i64 [ 0, %dict ], [ %feed.next, %dict.next ]
  %found = phi i64 [ 0, %dict ], [ %found.next, %dict.next ]
  %dict.more = icmp ult i64 %feed, %feeds
  br i1 %dict.more, label %by.name, label %dict.end
by.name:
{record("record", "list", "%feed")}{load_word("name", "record", Record.NAME, "ptr")}\
{call("named", Api.PyDict_GetItemWithError, "ptr %mapping, ptr %name")}\
  %is.named = icmp ne ptr %named, null
  br i1 %is.named, label %take, label %by.key
by.key:
{load_word("key", "record", Record.KEY, "ptr")}\
  %has.key = icmp ne ptr %key, null
  br i1 %has.key, label %look, label %dict.next
look:
{call("keyed", Api.PyDict_GetItemWithError, "ptr %mapping, ptr %key")}\
  %is.keyed = icmp ne ptr %keyed, null
  br i1 %is.keyed, label %take, label %dict.next
take:
  %value = phi ptr [ %named, %by.name ], [ %keyed, %look ]
  %value.at = getelementptr ptr, ptr %values, i64 %feed
  store ptr %value, ptr %value.at
{call("value.held", Api.Py_IncRef, "ptr %value", "void")}\
  br label %dict.next
dict.next:
  %more.found = phi i64 [ 1, %take ], [ 0, %by.key ], [ 0, %look ]
  %found.next = add i64 %found, %more.found
  %feed.next = add i64 %feed, 1
  br label %dict.head
dict.end:
  %all = icmp eq i64 %found, %size
  br i1 %all, label %keywords, label %no
keywords:
  %is.short = icmp eq ptr %names, null
  br i1 %is.short, label %yes, label %count.names
count.names:
{call("keys", Api.PyTuple_Size, "ptr %names", "i64")}{word("out.name", Api.OUT)}\
  %behind = getelementptr ptr, ptr %arguments, i64 %count
  br label %names.head
names.head:
  %number = phi i64 [ 0, %count.names ], [ %number.next, %names.next ]
  %names.more = icmp ult i64 %number, %keys
  br i1 %names.more, label %names.body, label %yes
names.body:
{call("keyword", Api.PyTuple_GetItem, "ptr %names, i64 %number")}{entry("fed", "behind", "%number")}\
  %is.out = icmp eq ptr %keyword, %out.name
  br i1 %is.out, label %out.store, label %find.head
out.store:
  store ptr %fed, ptr %out
  br label %names.next
find.head:
  %place = phi i64 [ 0, %names.body ], [ %place.next, %find.next ]
  %find.more = icmp ult i64 %place, %feeds
  br i1 %find.more, label %find.body, label %no
find.body:
{record("one", "list", "%place")}{load_word("known", "one", Record.NAME, "ptr")}\
  %is.it = icmp eq ptr %known, %keyword
  br i1 %is.it, label %find.take, label %find.next
find.next:
  %place.next = add i64 %place, 1
  br label %find.head
find.take:
  %fed.at = getelementptr ptr, ptr %values, i64 %place
  %before = load ptr, ptr %fed.at
  %is.first = icmp eq ptr %before, null
  br i1 %is.first, label %find.store, label %no
find.store:
  store ptr %fed, ptr %fed.at
{call("fed.held", Api.Py_IncRef, "ptr %fed", "void")}\
  br label %names.next
names.next:
  %number.next = add i64 %number, 1
  br label %names.head
yes:
  ret i1 1
no:
  ret i1 0
}}
"""
"""Finds the feeds, by their place in the plan, and ``out`` among what a call is given: by keyword, or in one mapping.
False where it is given anything else, or one twice. Errors of comparing keys may be left behind. Each feed is held as
soon as it is found, also where more is not understood: to compare keys may run what others wrote, which may take it out
of the mapping.
"""

OUT = f"""\
define internal i1 @writable(ptr %record, ptr %array) #0 {{
entry:
  %alike = call i1 @alike(ptr %record, ptr %array)
  br i1 %alike, label %look, label %no
look:
{field("flags", "array", FLAGS, "i32")}{load_word("memory", "record", Record.MEMORY)}\
  %kept = and i32 %flags, {PLAIN | WRITABLE}
  %plain = icmp eq i32 %kept, {PLAIN | WRITABLE}
  %copied = icmp ne i64 %memory, 0
  %taken = and i1 %plain, %copied
  ret i1 %taken
no:
  ret i1 0
}}

define internal i1 @apart(ptr %list, i64 %results, ptr %fresh, i64 %last) #0 {{
entry:
{entry("array", "fresh", "%last")}{record("record", "list", "%last")}{load_word("bytes", "record", Record.BYTES)}\
{field("begin", "array", DATA, "i64")}\
  %end = add i64 %begin, %bytes
  br label %head
head:
  %other = phi i64 [ 0, %entry ], [ %other.next, %next ]
  %more = icmp ult i64 %other, %results
  br i1 %more, label %body, label %yes
body:
{entry("there", "fresh", "%other")}\
  %empty = icmp eq ptr %there, null
  %itself = icmp eq i64 %other, %last
  %skipped = or i1 %empty, %itself
  br i1 %skipped, label %next, label %compare
compare:
{record("theirs", "list", "%other")}{load_word("their.bytes", "theirs", Record.BYTES)}\
{field("their.begin", "there", DATA, "i64")}\
  %their.end = add i64 %their.begin, %their.bytes
  %before = icmp ule i64 %end, %their.begin
  %behind = icmp ule i64 %their.end, %begin
  %is.other = icmp ne ptr %array, %there
  %far = or i1 %before, %behind
  %apart = and i1 %far, %is.other
  br i1 %apart, label %next, label %no
next:
  %other.next = add i64 %other, 1
  br label %head
yes:
  ret i1 1
no:
  ret i1 0
}}

define internal i1 @outs(ptr %plan, ptr %node, ptr %out, ptr %fresh) #0 {{
entry:
{load_word("results", "plan", Plan.RESULTS)}{load_word("list", "plan", Plan.RESULT_LIST, "ptr")}\
{load_word("kind", "node", Node.KIND)}{load_word("count", "node", Node.COUNT)}\
{load_word("keys", "node", Node.KEYS, "ptr")}{load_word("parts", "node", Node.PARTS, "ptr")}\
{field("type", "out", -8, "ptr")}\
  switch i64 %kind, label %sequence [
    i64 {LEAF}, label %leaf
    i64 {MAPPING}, label %mapping
  ]
leaf:
{record("record", "list", "%count")}\
  %fits = call i1 @writable(ptr %record, ptr %out)
  br i1 %fits, label %take, label %no
take:
{call("held", Api.Py_IncRef, "ptr %out", "void")}\
  %fresh.at = getelementptr ptr, ptr %fresh, i64 %count
  store ptr %out, ptr %fresh.at
  %apart = call i1 @apart(ptr %list, i64 %results, ptr %fresh, i64 %count)
  ret i1 %apart
mapping:
{word("dict", Api.DICT)}{word("result", Api.RESULT)}\
  %is.dict = icmp eq ptr %type, %dict
  %is.result = icmp eq ptr %type, %result
  %is.mapping = or i1 %is.dict, %is.result
  br i1 %is.mapping, label %whole, label %no
whole:
{call("size", Api.PyDict_Size, "ptr %out", "i64")}\
  %all = icmp eq i64 %size, %count
  br i1 %all, label %head, label %no
sequence:
{load_word("container", "node", Node.CONTAINER, "ptr")}\
  %is.container = icmp eq ptr %type, %container
  br i1 %is.container, label %long, label %no
long:
{call("length", Api.PyTuple_Size, "ptr %out", "i64")}\
  %whole.sequence = icmp eq i64 %length, %count
  br i1 %whole.sequence, label %head, label %no
head:
  %number = phi i64 [ 0, %whole ], [ 0, %long ], [ %number.next, %next ]
  %more = icmp ult i64 %number, %count
  br i1 %more, label %body, label %yes
body:
{entry("part", "parts", "%number")}\
  %by.key = icmp eq i64 %kind, {MAPPING}
  br i1 %by.key, label %keyed, label %placed
keyed:
{entry("key", "keys", "%number")}{call("value", Api.PyDict_GetItemWithError, "ptr %out, ptr %key")}\
  %is.there = icmp ne ptr %value, null
  br i1 %is.there, label %inner, label %no
placed:
{call("item", Api.PyTuple_GetItem, "ptr %out, i64 %number")}\
  br label %inner
inner:
  %given = phi ptr [ %value, %keyed ], [ %item, %placed ]
{call("given.held", Api.Py_IncRef, "ptr %given", "void")}\
  %taken = call i1 @outs(ptr %plan, ptr %part, ptr %given, ptr %fresh)
{call("given.let", Api.Py_DecRef, "ptr %given", "void")}\
  br i1 %taken, label %next, label %no
next:
  %number.next = add i64 %number, 1
  br label %head
yes:
  ret i1 1
no:
  ret i1 0
}}
"""
"""Takes the caller's arrays for results, all of them and apart from each other. Each is held, and each mapping while
what is in it is looked at.
"""
