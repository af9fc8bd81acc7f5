"""LLVM text of functions that copy feeds, and make the structure of result arrays."""

from __future__ import annotations

from .arguments import NO, YES
from .instructions import INLINE, ObjectBuilder
from .plan import DATA, FLAGS, FREE, LEAF, MAPPING, SHARE, STRIDES, Api, Node, Plan, Record


def gather() -> str:
    """Return the LLVM text of a function that copies an array to contiguous memory, and returns the end of the copy."""
    f = ObjectBuilder()
    with f.when(f.icmp("eq", "i64", "%axes", 0)):
        f.do("call void @copy(ptr %source, ptr %target, i64 %item)")
        f.ret(f"ptr {f.moved('%target', '%item')}")
    size, stride = f.entry("%shape", 0), f.entry("%strides", 0)
    last, close = f.icmp("eq", "i64", "%axes", 1), f.icmp("eq", "i64", stride, "%item")
    with f.when(f.value(f"and i1 {last}, {close}", "row")):
        count = f.value(f"mul i64 {size}, %item", "bytes")
        f.do(f"call void @copy(ptr %source, ptr %target, i64 {count})")
        f.ret(f"ptr {f.moved('%target', count)}")
    axes = f.value("sub i64 %axes, 1", "axes")
    within = f"ptr {f.place('%shape', 1)}, ptr {f.place('%strides', 1)}, i64 {axes}, i64 %item"

    def copied(index: str, target: str) -> list[str]:
        source = f.moved("%source", f.value(f"mul i64 {index}, {stride}", "offset"))
        return [f.value(f"call ptr @gather(ptr {target}, ptr {source}, {within})", "behind")]

    f.ret(f"ptr {f.fold([('ptr', '%target')], size, copied)[0]}")
    parameters = {"target": "ptr", "source": "ptr", "shape": "ptr", "strides": "ptr", "axes": "i64", "item": "i64"}
    return f.function("gather", "ptr", parameters)


def feed() -> str:
    """Return the LLVM text of a function that copies a feed, or writes its address into the argument block."""
    f = ObjectBuilder()
    memory = f.entry("%feed", Record.MEMORY, "ptr")
    with f.when(f.has_type("%value", Api.ARRAY)):
        data = f.field("%value", DATA)
        with f.when(f.is_null(memory)):
            f.set_entry("%block", f.entry("%feed", Record.SLOT), data, "ptr")
            f.ret()
        contiguous = f.value(f"and i32 {f.field('%value', FLAGS, 'i32')}, 1", "contiguous")
        with f.when(f.icmp("ne", "i32", contiguous, 0)):
            f.do(f"call void @copy(ptr {data}, ptr {memory}, i64 {f.entry('%feed', Record.BYTES)})")
            f.ret()
        strides, shape = f.field("%value", STRIDES), f.entry("%feed", Record.SHAPE, "ptr")
        axes, item = f.entry("%feed", Record.AXES), f.entry("%feed", Record.ITEM)
        layout = f"ptr {shape}, ptr {strides}, i64 {axes}, i64 {item}"
        f.value(f"call ptr @gather(ptr {memory}, ptr {data}, {layout})", "behind")
        f.ret()
    double = f.call(Api.PyFloat_AsDouble, "ptr %value", "double")
    with f.when(f.icmp("eq", "i64", f.entry("%feed", Record.NUMBER), 8)):
        f.do(f"store double {double}, ptr {memory}")
        f.ret()
    f.do(f"store float {f.value(f'fptrunc double {double} to float', 'single')}, ptr {memory}")
    f.ret()
    return f.function("feed", "void", {"feed": "ptr", "value": "ptr", "block": "ptr"}, attributes=INLINE)


def within() -> str:
    """Return the LLVM text of a predicate that is true if all numbers in a feed are within the bounds in its record."""
    f = ObjectBuilder()
    checked, item = f.entry("%feed", Record.CHECKED), f.entry("%feed", Record.ITEM)
    f.return_if(f.icmp("eq", "i64", checked, FREE), YES)
    memory, pointed = f.entry("%feed", Record.MEMORY, "ptr"), f.entry("%block", f.entry("%feed", Record.SLOT), "ptr")
    data = f.value(f"select i1 {f.is_null(memory)}, ptr {pointed}, ptr {memory}", "data")
    is_wide = f.icmp("eq", "i64", item, 8)
    with f.when(f.icmp("eq", "i64", checked, SHARE)):

        def rounded() -> str:
            return f.value(f"fptrunc double {f.value(f'load double, ptr {data}', 'double')} to float", "single")

        number = f.either("float", is_wide, rounded, lambda: f.value(f"load float, ptr {data}", "single"))
        above = f.value(f"fcmp ogt float {number}, 0.0", "above")
        below = f.value(f"fcmp ole float {number}, 1.0", "below")
        f.ret(f"i1 {f.value(f'and i1 {above}, {below}', 'right')}")
    count, high = f.entry("%feed", Record.BYTES), f.entry("%feed", Record.HIGH)

    def iterate(offset: str) -> list[str]:
        f.return_unless(f.icmp("ult", "i64", offset, count), YES)
        place = f.moved(data, offset)

        def extended() -> str:
            return f.value(f"sext i32 {f.value(f'load i32, ptr {place}', 'short')} to i64", "number")

        number = f.either("i64", is_wide, lambda: f.value(f"load i64, ptr {place}", "number"), extended)
        f.return_unless(f.icmp("ule", "i64", number, high), NO)
        return [f.value(f"add i64 {offset}, {item}", "offset")]

    f.endless_loop([("i64", 0)], iterate)
    return f.function("within", "i1", {"feed": "ptr", "block": "ptr"}, attributes=INLINE)


def make_arrays() -> str:
    """Return the LLVM text of a function that makes the result arrays, except for those passed as ``out``.

    The function returns false if it cannot make an array.
    """
    f = ObjectBuilder()
    records = f.entry("%plan", Plan.RESULT_LIST, "ptr")
    with f.loop(f.entry("%plan", Plan.RESULTS)) as number, f.when(f.is_null(f.entry("%fresh", number, "ptr"))):
        record = f.record(records, number)
        dtype, shape = f.entry(record, Record.DTYPE, "ptr"), f.entry(record, Record.SHAPE, "ptr")
        f.incref(dtype)
        axes = f.value(f"trunc i64 {f.entry(record, Record.AXES)} to i32", "axes")
        operands = f"ptr {f.api(Api.ARRAY)}, ptr {dtype}, i32 {axes}, ptr {shape}, ptr null, ptr null, i32 0, ptr null"
        array = f.call(Api.PyArray_NewFromDescr, operands)
        f.return_if(f.is_null(array), NO)
        f.set_entry("%fresh", number, array, "ptr")
    f.ret(YES)
    return f.function("make_arrays", "i1", {"plan": "ptr", "fresh": "ptr"}, attributes=INLINE)


def build() -> str:
    """Return the LLVM text of a function that makes the structure of result arrays, such as a dict or a tuple.

    The function returns null if an exception was raised.
    """
    f = ObjectBuilder()
    kind, count = f.entry("%node", Node.KIND), f.entry("%node", Node.COUNT)
    with f.when(f.icmp("eq", "i64", kind, LEAF)):
        array = f.entry("%leaves", count, "ptr")
        f.incref(array)
        f.ret(f"ptr {array}")
    maker, keys, parts = (f.entry("%node", word, "ptr") for word in (Node.MAKER, Node.KEYS, Node.PARTS))

    def part(number: str, owner: str) -> str:
        """Write code that makes an item of the structure. If that fails, the code releases ``owner`` and returns."""
        result = f.value(f"call ptr @build(ptr {f.entry(parts, number, 'ptr')}, ptr %leaves)", "made")
        with f.when(f.is_null(result)):
            f.decref(owner)
            f.ret("ptr null")
        return result

    with f.when(f.icmp("eq", "i64", kind, MAPPING)):
        mapping = f.call(Api.PyObject_CallNoArgs, f"ptr {maker}")
        f.return_if(f.is_null(mapping), "ptr null")
        with f.loop(count) as number:
            key, value = f.entry(keys, number, "ptr"), part(number, mapping)
            code = f.call(Api.PyDict_SetItem, f"ptr {mapping}, ptr {key}, ptr {value}", "i32")
            f.decref(value)
            with f.when(f.icmp("ne", "i32", code, 0)):
                f.decref(mapping)
                f.ret("ptr null")
        f.ret(f"ptr {mapping}")
    entries = f.call(Api.PyTuple_New, f"i64 {count}")
    f.return_if(f.is_null(entries), "ptr null")
    with f.loop(count) as number:
        f.call(Api.PyTuple_SetItem, f"ptr {entries}, i64 {number}, ptr {part(number, entries)}", "i32")
    f.return_if(f.is_null(maker), f"ptr {entries}")
    result = f.call(Api.PyObject_CallOneArg, f"ptr {maker}, ptr {entries}")
    f.decref(entries)
    f.ret(f"ptr {result}")
    return f.function("build", "ptr", {"node": "ptr", "leaves": "ptr"})


def release() -> str:
    """Return the LLVM text of a function that decrements the reference counts of objects in a list; null is skipped."""
    f = ObjectBuilder()
    with f.loop("%count") as number:
        value = f.entry("%objects", number, "ptr")
        with f.when(f.negated(f.is_null(value))):
            f.decref(value)
    f.ret()
    return f.function("release", "void", {"objects": "ptr", "count": "i64"}, attributes=INLINE)
