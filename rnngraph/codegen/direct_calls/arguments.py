"""LLVM text of functions that find and check the arguments of a direct call."""

from __future__ import annotations

from .instructions import INLINE, ObjectBuilder
from .plan import AXES, DATA, DESCR, FLAGS, LEAF, MAPPING, PLAIN, SEQUENCE, SHAPE, WRITABLE, Api, Node, Plan, Record

YES, NO = "i1 1", "i1 0"


def matches_record() -> str:
    """Return the LLVM text of a predicate that is true if an array has the shape and dtype in a plan's record."""
    f = ObjectBuilder()
    f.return_unless(f.has_type("%value", Api.ARRAY), NO)
    axes = f.value(f"sext i32 {f.field('%value', AXES, 'i32')} to i64", "axes")
    f.return_unless(f.icmp("eq", "i64", axes, f.entry("%record", Record.AXES)), NO)
    f.return_unless(f.icmp("eq", "ptr", f.field("%value", DESCR), f.entry("%record", Record.DTYPE, "ptr")), NO)
    shape, wanted = f.field("%value", SHAPE), f.entry("%record", Record.SHAPE, "ptr")
    with f.loop(axes) as axis:
        f.return_unless(f.icmp("eq", "i64", f.entry(shape, axis), f.entry(wanted, axis)), NO)
    f.ret(YES)
    return f.function("matches_record", "i1", {"record": "ptr", "value": "ptr"}, attributes=INLINE)


def fits() -> str:
    """Return the LLVM text of a predicate that is true if a call can take a Python object as the value of a feed.

    The value must be an array with the feed's shape and dtype. Unless the call copies the feed, the array must be
    contiguous and aligned. If the feed accepts numbers, the value may also be a Python float in the dtype's range.
    """
    f = ObjectBuilder()
    with f.when(f.value("call i1 @matches_record(ptr %feed, ptr %value)", "array")):
        copied = f.icmp("ne", "i64", f.entry("%feed", Record.MEMORY), 0)
        flags = f.value(f"and i32 {f.field('%value', FLAGS, 'i32')}, {PLAIN}", "flags")
        plain = f.icmp("eq", "i32", flags, PLAIN)
        f.ret(f"i1 {f.value(f'or i1 {copied}, {plain}', 'taken')}")
    width = f.entry("%feed", Record.NUMBER)
    f.return_if(f.icmp("eq", "i64", width, 0), NO)
    f.return_unless(f.has_type("%value", Api.FLOAT), NO)
    f.return_if(f.icmp("eq", "i64", width, 8), YES)
    double = f.call(Api.PyFloat_AsDouble, "ptr %value", "double")
    single = f.value(f"fptrunc double {double} to float", "single")
    size = f.value(f"call float @llvm.fabs.f32(float {single})", "size")
    before = f.value(f"call double @llvm.fabs.f64(double {double})", "size")
    finite = f.value(f"fcmp une float {size}, 0x7FF0000000000000", "finite")
    infinite = f.value(f"fcmp oeq double {before}, 0x7FF0000000000000", "infinite")
    f.ret(f"i1 {f.value(f'or i1 {finite}, {infinite}', 'within')}")
    return f.function("fits", "i1", {"feed": "ptr", "value": "ptr"}, attributes=INLINE)


def from_mapping() -> str:
    """Return the LLVM text of a function that stores the feeds in a dict by their index, with a new reference to each.

    The function returns true if all items of the dict are feeds. Feeds may be missing.
    """
    f = ObjectBuilder()

    def take_feed(number: str, count: str) -> list[str]:
        record = f.record("%feeds", number)

        def item(word: Record) -> str:
            return f.call(Api.PyDict_GetItemWithError, f"ptr %mapping, ptr {f.entry(record, word, 'ptr')}")

        def keyed() -> str:
            has_key = f.icmp("ne", "ptr", f.entry(record, Record.KEY, "ptr"), "null")
            return f.either("ptr", has_key, lambda: item(Record.KEY), lambda: "null")

        named = item(Record.NAME)
        value = f.either("ptr", f.is_null(named), keyed, lambda: named)
        is_present = f.icmp("ne", "ptr", value, "null")
        with f.when(is_present):
            f.set_entry("%values", number, value, "ptr")
            f.incref(value)
        return [f.value(f"add i64 {count}, {f.value(f'zext i1 {is_present} to i64')}", "found")]

    size = f.call(Api.PyDict_Size, "ptr %mapping", "i64")
    (count_of_feeds,) = f.fold([("i64", 0)], "%count", take_feed)
    f.ret(f"i1 {f.icmp('eq', 'i64', count_of_feeds, size)}")
    return f.function(
        "from_mapping", "i1", {"feeds": "ptr", "count": "i64", "mapping": "ptr", "values": "ptr"}, attributes=INLINE
    )


def from_keyword() -> str:
    """Return the LLVM text of a function that stores a keyword argument as the feed of that name, by its index.

    The function returns true if the keyword is the name of a feed that is still missing.
    """
    f = ObjectBuilder()
    with f.loop("%count") as number:
        known = f.entry(f.record("%feeds", number), Record.NAME, "ptr")
        with f.when(f.icmp("eq", "ptr", known, "%keyword")):
            f.return_unless(f.is_null(f.entry("%values", number, "ptr")), NO)
            f.set_entry("%values", number, "%fed", "ptr")
            f.incref("%fed")
            f.ret(YES)
    f.ret(NO)
    parameters = {"feeds": "ptr", "count": "i64", "keyword": "ptr", "fed": "ptr", "values": "ptr"}
    return f.function("from_keyword", "i1", parameters, attributes=INLINE)


def arguments() -> str:
    """Return the LLVM text of a function that finds the feeds and ``out`` among a call's arguments.

    Feeds are passed as keyword arguments or in one mapping, and are stored by their index in the plan. The function
    returns false if there are other arguments, or a duplicate feed. An exception from comparing keys may remain set.
    The function increments a feed's reference count as soon as it reads the feed, even if the call is then passed on.
    Comparing keys may run users' code, which could remove the feed from the mapping.
    """
    f = ObjectBuilder()
    count, feeds = f.entry("%plan", Plan.FEEDS), f.entry("%plan", Plan.FEED_LIST, "ptr")
    f.return_if(f.icmp("ugt", "i64", "%count", 1), NO)
    with f.when(f.icmp("eq", "i64", "%count", 1)):
        mapping = f.entry("%arguments", 0, "ptr")
        with f.when(f.icmp("ne", "ptr", mapping, f.api(Api.NONE))):
            f.return_unless(f.has_type(mapping, Api.DICT), NO)
            operands = f"ptr {feeds}, i64 {count}, ptr {mapping}, ptr %values"
            f.return_unless(f.value(f"call i1 @from_mapping({operands})", "taken"), NO)
    f.return_if(f.is_null("%names"), YES)
    keys, out = f.call(Api.PyTuple_Size, "ptr %names", "i64"), f.api(Api.OUT)
    keyword_values = f.place("%arguments", "%count", "ptr")
    with f.loop(keys) as number:
        keyword = f.call(Api.PyTuple_GetItem, f"ptr %names, i64 {number}")
        fed, is_out = f.entry(keyword_values, number, "ptr"), f.icmp("eq", "ptr", keyword, out)
        with f.when(is_out):
            f.store("ptr", fed, "%out")
        with f.when(f.negated(is_out)):
            operands = f"ptr {feeds}, i64 {count}, ptr {keyword}, ptr {fed}, ptr %values"
            f.return_unless(f.value(f"call i1 @from_keyword({operands})", "taken"), NO)
    f.ret(YES)
    parameters = {"plan": "ptr", "arguments": "ptr", "count": "i64", "names": "ptr", "values": "ptr", "out": "ptr"}
    return f.function("arguments", "i1", parameters, attributes=INLINE)


def writable() -> str:
    """Return the LLVM text of a predicate that is true if the call can copy a result to an array of the caller."""
    f = ObjectBuilder()
    f.return_unless(f.value("call i1 @matches_record(ptr %record, ptr %array)", "alike"), NO)
    flags = f.value(f"and i32 {f.field('%array', FLAGS, 'i32')}, {PLAIN | WRITABLE}", "flags")
    f.return_unless(f.icmp("eq", "i32", flags, PLAIN | WRITABLE), NO)
    f.ret(f"i1 {f.icmp('ne', 'i64', f.entry('%record', Record.MEMORY), 0)}")
    return f.function("writable", "i1", {"record": "ptr", "array": "ptr"})


def is_separate() -> str:
    """Return the LLVM text of a predicate that is true if array ``last`` overlaps no other array read from ``out``."""
    f = ObjectBuilder()

    def extent(array: str, number: str) -> tuple[str, str]:
        begin, size = f.field(array, DATA, "i64"), f.entry(f.record("%records", number), Record.BYTES)
        return begin, f.value(f"add i64 {begin}, {size}", "end")

    array = f.entry("%fresh", "%last", "ptr")
    begin, end = extent(array, "%last")
    with f.loop("%results") as number:
        other = f.entry("%fresh", number, "ptr")
        there = f.icmp("ne", "ptr", other, "null")
        is_other = f.icmp("ne", "i64", number, "%last")
        with f.when(f.value(f"and i1 {there}, {is_other}", "both")):
            f.return_if(f.icmp("eq", "ptr", array, other), NO)
            other_begin, other_end = extent(other, number)
            before, after = f.icmp("ule", "i64", end, other_begin), f.icmp("ule", "i64", other_end, begin)
            f.return_unless(f.value(f"or i1 {before}, {after}", "disjoint"), NO)
    f.ret(YES)
    return f.function("is_separate", "i1", {"records": "ptr", "results": "i64", "fresh": "ptr", "last": "i64"})


def outs() -> str:
    """Return the LLVM text of a function that reads the caller's ``out`` arrays, with a new reference to each.

    The function returns false unless all arrays are present and writable, and none overlap. It keeps each mapping or
    sequence alive while it reads the entries.
    """
    f = ObjectBuilder()
    kind, count = f.entry("%node", Node.KIND), f.entry("%node", Node.COUNT)
    with f.when(f.icmp("eq", "i64", kind, LEAF)):
        results, records = f.entry("%plan", Plan.RESULTS), f.entry("%plan", Plan.RESULT_LIST, "ptr")
        fits = f.value(f"call i1 @writable(ptr {f.record(records, count)}, ptr %out)", "fits")
        f.return_unless(fits, NO)
        f.incref("%out")
        f.set_entry("%fresh", count, "%out", "ptr")
        operands = f"ptr {records}, i64 {results}, ptr %fresh, i64 {count}"
        f.ret(f"i1 {f.value(f'call i1 @is_separate({operands})', 'separate')}")
    is_mapping = f.icmp("eq", "i64", kind, MAPPING)
    with f.when(is_mapping):
        is_dict, is_result = f.has_type("%out", Api.DICT), f.has_type("%out", Api.RESULT)
        f.return_unless(f.value(f"or i1 {is_dict}, {is_result}", "either"), NO)
        f.return_unless(f.icmp("eq", "i64", f.call(Api.PyDict_Size, "ptr %out", "i64"), count), NO)
    with f.when(f.icmp("eq", "i64", kind, SEQUENCE)):
        f.return_unless(f.has_type("%out", f.entry("%node", Node.CONTAINER, "ptr")), NO)
        f.return_unless(f.icmp("eq", "i64", f.call(Api.PyTuple_Size, "ptr %out", "i64"), count), NO)
    keys, parts = f.entry("%node", Node.KEYS, "ptr"), f.entry("%node", Node.PARTS, "ptr")
    with f.loop(count) as number:
        operands = f.either(
            "ptr",
            is_mapping,
            lambda: f.call(Api.PyDict_GetItemWithError, f"ptr %out, ptr {f.entry(keys, number, 'ptr')}"),
            lambda: f.call(Api.PyTuple_GetItem, f"ptr %out, i64 {number}"),
        )
        f.return_if(f.is_null(operands), NO)
        f.incref(operands)
        part = f.entry(parts, number, "ptr")
        is_valid = f.value(f"call i1 @outs(ptr %plan, ptr {part}, ptr {operands}, ptr %fresh)", "taken")
        f.decref(operands)
        f.return_unless(is_valid, NO)
    f.ret(YES)
    return f.function("outs", "i1", {"plan": "ptr", "node": "ptr", "out": "ptr", "fresh": "ptr"})
