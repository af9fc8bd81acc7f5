"""LLVM text of functions that run a call, or pass it on to a Python function if it does not match its plan."""

from __future__ import annotations

from .arguments import NO, YES
from .instructions import INLINE, ObjectBuilder
from .plan import DATA, MAX_ITEMS, TRY, Api, Plan, Record

_MAX_ON_STACK = 2 * MAX_ITEMS
"""Maximum number of arguments that are passed on in stack memory. More are passed in heap memory."""


def guarded() -> str:
    """Return the LLVM text of a predicate that is true if all words in memory that a plan depends on are unchanged."""
    f = ObjectBuilder()
    guards = f.entry("%plan", Plan.GUARD_LIST, "ptr")
    with f.loop(f.entry("%plan", Plan.GUARDS)) as number:
        index = f.value(f"mul i64 {number}, 2", "index")
        word, wanted = f.entry(guards, index, "ptr"), f.entry(guards, f.value(f"add i64 {index}, 1", "index"))
        f.return_unless(f.icmp("eq", "i64", f.value(f"load i64, ptr {word}", "now"), wanted), NO)
    f.ret(YES)
    return f.function("guarded", "i1", {"plan": "ptr"}, attributes=INLINE)


def all_fit() -> str:
    """Return the LLVM text of a predicate that is true if required feeds are present, and all feeds are valid."""
    f = ObjectBuilder()
    feeds, needed = f.entry("%plan", Plan.FEED_LIST, "ptr"), f.entry("%plan", Plan.NEEDED)
    with f.loop(f.entry("%plan", Plan.FEEDS)) as number:
        value = f.entry("%values", number, "ptr")
        missing = f.is_null(value)
        with f.when(missing):
            f.return_if(f.icmp("ult", "i64", number, needed), NO)
        with f.when(f.negated(missing)):
            fits = f.value(f"call i1 @fits(ptr {f.record(feeds, number)}, ptr {value})", "fits")
            f.return_unless(fits, NO)
    f.ret(YES)
    return f.function("all_fit", "i1", {"plan": "ptr", "values": "ptr"}, attributes=INLINE)


def fill() -> str:
    """Return the LLVM text of a function that copies all feeds, or writes their addresses into the argument block.

    The function returns false if a value of a feed is out of bounds.
    """
    f = ObjectBuilder()
    feeds = f.entry("%plan", Plan.FEED_LIST, "ptr")
    with f.loop(f.entry("%plan", Plan.FEEDS)) as number:
        value = f.entry("%values", number, "ptr")
        with f.when(f.negated(f.is_null(value))):
            record = f.record(feeds, number)
            f.do(f"call void @feed(ptr {record}, ptr {value}, ptr %block)")
            f.return_unless(f.value(f"call i1 @within(ptr {record}, ptr %block)", "within"), NO)
    f.ret(YES)
    return f.function("fill", "i1", {"plan": "ptr", "values": "ptr", "block": "ptr"}, attributes=INLINE)


def place_results() -> str:
    """Return the LLVM text of a function that writes the addresses of result arrays into the argument block.

    Results with memory in the plan are copied later, by ``copy_results``.
    """
    f = ObjectBuilder()
    records = f.entry("%plan", Plan.RESULT_LIST, "ptr")
    with f.loop(f.entry("%plan", Plan.RESULTS)) as number:
        record = f.record(records, number)
        with f.when(f.icmp("eq", "i64", f.entry(record, Record.MEMORY), 0)):
            data = f.field(f.entry("%fresh", number, "ptr"), DATA)
            f.set_entry("%block", f.entry(record, Record.SLOT), data, "ptr")
    f.ret()
    return f.function("place_results", "void", {"plan": "ptr", "fresh": "ptr", "block": "ptr"}, attributes=INLINE)


def copy_results() -> str:
    """Return the LLVM text of a function that copies results from the plan's memory to result arrays."""
    f = ObjectBuilder()
    records = f.entry("%plan", Plan.RESULT_LIST, "ptr")
    with f.loop(f.entry("%plan", Plan.RESULTS)) as number:
        record = f.record(records, number)
        memory = f.entry(record, Record.MEMORY, "ptr")
        with f.when(f.negated(f.is_null(memory))):
            data = f.field(f.entry("%fresh", number, "ptr"), DATA)
            f.do(f"call void @copy(ptr {memory}, ptr {data}, i64 {f.entry(record, Record.BYTES)})")
    f.ret()
    return f.function("copy_results", "void", {"plan": "ptr", "fresh": "ptr"}, attributes=INLINE)


def draw_seed() -> str:
    """Return the LLVM text of a function that draws and stores a random seed, if the net needs one and none is fed."""
    f = ObjectBuilder()
    draw = f.entry("%plan", Plan.DRAW, "ptr")
    f.return_if(f.is_null(draw))
    f.return_unless(f.is_null(f.entry("%values", f.entry("%plan", Plan.SEED_FEED), "ptr")))
    bits = f.value(f"call i64 {draw}(ptr {f.entry('%plan', Plan.GENERATOR, 'ptr')})", "bits")
    f.set_entry(f.entry("%plan", Plan.SEED, "ptr"), 0, f.value(f"lshr i64 {bits}, 1", "seed"))
    f.ret()
    return f.function("draw_seed", "void", {"plan": "ptr", "values": "ptr"}, attributes=INLINE)


def compute() -> str:
    """Return the LLVM text of a function that runs a net's compiled code (its entry), without the GIL in long calls."""
    f = ObjectBuilder()
    entry, releases = f.entry("%plan", Plan.ENTRY, "ptr"), f.entry("%plan", Plan.RELEASES)
    with f.when(f.icmp("eq", "i64", releases, 0)):
        f.do(f"call void {entry}(ptr %block, i64 0, i64 1)")
        f.ret()
    thread = f.call(Api.PyEval_SaveThread)
    f.do(f"call void {entry}(ptr %block, i64 0, i64 1)")
    f.act(Api.PyEval_RestoreThread, f"ptr {thread}")
    f.ret()
    return f.function("compute", "void", {"plan": "ptr", "block": "ptr"}, attributes=INLINE)


def attempt() -> str:
    """Return the LLVM text of a function that runs a whole call by a plan: arguments, results, and compiled code.

    If the call does not match the plan, the function returns null without an exception, and has no effects. If users'
    code raised an exception, it returns null with that exception. The structure of result arrays is made before the
    entry runs, so that nothing can fail afterwards. Guards are checked last, because making objects may run user code.
    """
    f = ObjectBuilder()
    values, fresh, out_at = f.alloca(MAX_ITEMS), f.alloca(MAX_ITEMS), f.alloca(1)
    f.store("ptr", "%argument.out", out_at)
    plan = f.field(f.call(Api.PyTuple_GetItem, "ptr %owner, i64 0"), DATA)
    feeds, results = f.entry(plan, Plan.FEEDS), f.entry(plan, Plan.RESULTS)
    for items, count in ((values, feeds), (fresh, results)):
        with f.loop(count) as number:
            f.set_entry(items, number, "null", "ptr")

    def release_all() -> None:
        f.do(f"call void @release(ptr {fresh}, i64 {results})")
        f.do(f"call void @release(ptr {values}, i64 {feeds})")

    call_arguments = f"ptr {plan}, ptr %arguments, i64 %count, ptr %names, ptr {values}, ptr {out_at}"
    f.branch_unless(f.value(f"call i1 @arguments({call_arguments})", "understood"), "fail")
    f.branch_unless(f.value(f"call i1 @all_fit(ptr {plan}, ptr {values})", "fit"), "fail")
    out, structure = f.load("ptr", out_at), f.entry(plan, Plan.STRUCTURE, "ptr")
    is_none = f.icmp("eq", "ptr", out, f.api(Api.NONE))
    with f.when(f.negated(f.value(f"or i1 {f.is_null(out)}, {is_none}", "none"))):
        has_outs = f.value(f"call i1 @outs(ptr {plan}, ptr {structure}, ptr {out}, ptr {fresh})", "taken")
        f.branch_unless(has_outs, "fail")
    f.branch_unless(f.value(f"call i1 @make_arrays(ptr {plan}, ptr {fresh})", "made"), "fail")
    whole = f.value(f"call ptr @build(ptr {structure}, ptr {fresh})", "whole")
    with f.when(f.is_null(whole)):
        release_all()
        f.ret("ptr null")
    side_at = f.entry(plan, Plan.SIDE, "ptr")
    side = f.value(f"load i64, ptr {side_at}", "side")
    f.branch_unless(f.value(f"call i1 @guarded(ptr {plan})", "holds"), "drop")
    first, second = f.entry(plan, Plan.FIRST_BLOCK, "ptr"), f.entry(plan, Plan.SECOND_BLOCK, "ptr")
    is_first = f.icmp("eq", "i64", side, 0)
    block = f.value(f"select i1 {is_first}, ptr {first}, ptr {second}", "block")
    f.branch_unless(f.value(f"call i1 @fill(ptr {plan}, ptr {values}, ptr {block})", "filled"), "drop")
    f.do(f"call void @place_results(ptr {plan}, ptr {fresh}, ptr {block})")
    weights, busy = f.entry(plan, Plan.WEIGHTS, "ptr"), f.entry(plan, Plan.BUSY, "ptr")
    f.incref(weights)
    f.do(f"store i64 1, ptr {busy}")
    f.do(f"call void @draw_seed(ptr {plan}, ptr {values})")
    f.do(f"call void @compute(ptr {plan}, ptr {block})")
    f.do(f"store i64 {f.value(f'xor i64 {side}, {f.entry(plan, Plan.FLIPS)}', 'side')}, ptr {side_at}")
    f.do(f"call void @copy_results(ptr {plan}, ptr {fresh})")
    f.do(f"store i64 0, ptr {busy}")
    f.decref(weights)
    release_all()
    f.ret(f"ptr {whole}")
    f.start("drop")
    f.decref(whole)
    f.branch("fail")
    f.start("fail")
    release_all()
    f.act(Api.PyErr_Clear)
    f.ret("ptr null")
    parameters = {"owner": "ptr", "arguments": "ptr", "count": "i64", "names": "ptr", "argument.out": "ptr"}
    return f.function("attempt", "ptr", parameters)


def call_python() -> str:
    """Return the LLVM text of a function that calls a method's Python function, for calls that do not match a plan."""
    f = ObjectBuilder()
    stack = f.alloca(_MAX_ON_STACK)
    keys = f.either("i64", f.is_null("%names"), lambda: "0", lambda: f.call(Api.PyTuple_Size, "ptr %names", "i64"))
    total = f.value(f"add i64 %count, {keys}", "given")
    places = f.value(f"add i64 {total}, 1", "places")
    is_many = f.icmp("ugt", "i64", places, _MAX_ON_STACK)
    size = f.value(f"mul i64 {places}, 8", "size")
    memory = f.either("ptr", is_many, lambda: f.call(Api.PyMem_Malloc, f"i64 {size}"), lambda: stack)
    with f.when(f.is_null(memory)):
        f.call(Api.PyErr_NoMemory)
        f.ret("ptr null")
    f.set_entry(memory, 0, "%self", "ptr")
    count = f.value(f"mul i64 {total}, 8", "bytes")
    f.do(f"call void @copy(ptr %arguments, ptr {f.place(memory, 1)}, i64 {count})")
    positional = f.value("add i64 %count, 1", "positional")
    asked = f.call(Api.PyObject_Vectorcall, f"ptr %function, ptr {memory}, i64 {positional}, ptr %names")
    with f.when(is_many):
        f.act(Api.PyMem_Free, f"ptr {memory}")
    f.ret(f"ptr {asked}")
    parameters = {"function": "ptr", "self": "ptr", "arguments": "ptr", "count": "i64", "names": "ptr"}
    return f.function("call_python", "ptr", parameters)


def call_method() -> str:
    """Return the LLVM text of a function that runs a method's call by its object's plan, or else in Python.

    The parameter ``trampoline`` points to the method's two words of the table.
    """
    f = ObjectBuilder()
    attribute, function = f.entry("%trampoline", 0, "ptr"), f.entry("%trampoline", 1, "ptr")
    plan_holder = f.call(Api.PyObject_GetAttr, f"ptr %self, ptr {attribute}")
    with f.when(f.is_null(plan_holder)):
        f.act(Api.PyErr_Clear)
        f.branch("python")
    f.branch_if(f.icmp("eq", "ptr", plan_holder, f.api(Api.NONE)), "left")
    result = f.value(
        f"call ptr @attempt(ptr {plan_holder}, ptr %arguments, i64 %count, ptr %names, ptr null)", "result"
    )
    f.branch_unless(f.is_null(result), "done")
    f.branch_if(f.is_null(f.call(Api.PyErr_Occurred)), "left")
    f.branch("done")
    f.start("done")
    f.decref(plan_holder)
    f.ret(f"ptr {result}")
    f.start("left")
    f.decref(plan_holder)
    f.branch("python")
    f.start("python")
    operands = f"ptr {function}, ptr %self, ptr %arguments, i64 %count, ptr %names"
    f.ret(f"ptr {f.value(f'call ptr @call_python({operands})', 'asked')}")
    parameters = {"self": "ptr", "arguments": "ptr", "count": "i64", "names": "ptr", "trampoline": "ptr"}
    return f.function("call_method", "ptr", parameters)


def try_call() -> str:
    """Return the LLVM text of a function that Python calls with (plan, feeds, ``out``) to run a call by the plan.

    The function returns None for a call that does not match the plan.
    """
    f = ObjectBuilder()
    plan_holder, out = f.entry("%arguments", 0, "ptr"), f.entry("%arguments", 2, "ptr")
    operands = f"ptr {plan_holder}, ptr {f.place('%arguments', 1)}, i64 1, ptr null, ptr {out}"
    result = f.value(f"call ptr @attempt({operands})", "result")
    with f.when(f.is_null(result)), f.when(f.is_null(f.call(Api.PyErr_Occurred))):
        none = f.api(Api.NONE)
        f.incref(none)
        f.ret(f"ptr {none}")
    f.ret(f"ptr {result}")
    return f.function(TRY, "ptr", {"module": "ptr", "arguments": "ptr", "count": "i64"}, linkage="")
