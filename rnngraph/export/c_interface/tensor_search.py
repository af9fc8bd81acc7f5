"""LLVM text of functions that find a tensor in the bytes of a safetensors file."""

from __future__ import annotations

from ...codegen.machine.ir_builder import IRBuilder

_CONSTANTS = """\
@brace = private unnamed_addr constant [1 x i8] c"}"
@offsets = private unnamed_addr constant [14 x i8] c"\\22data_offsets\\22"
"""
_BLANKS, _COLON, _ZERO = (9, 10, 13, 32), 58, 48
_NOTHING = "{ i64, i64 } { i64 0, i64 -1 }"


def tensor_search_text() -> str:
    """Return the LLVM text of ``find_tensor`` and of the functions that it calls."""
    return "\n".join([_same_text(), _find_text(), _read_number(), _find_tensor(), _CONSTANTS])


def _same_text() -> str:
    """Return the LLVM text of a function that is true if two byte strings of one length are equal."""
    f = IRBuilder()
    with f.loop("%length") as number:
        one = f.value(f"load i8, ptr {f.moved('%one', number)}", "one")
        other = f.value(f"load i8, ptr {f.moved('%other', number)}", "other")
        f.return_unless(f.icmp("eq", "i8", one, other), "i1 0")
    f.ret("i1 1")
    return f.function("same_text", "i1", {"one": "ptr", "other": "ptr", "length": "i64"})


def _find_text() -> str:
    """Return the LLVM text of a function that searches ``text`` in ``count`` bytes: its index, or -1."""
    f = IRBuilder()
    last = f.value("sub i64 %count, %length", "last")

    def iterate(at: str) -> list[str]:
        f.return_unless(f.icmp("sle", "i64", at, last), "i64 -1")
        operands = f"ptr {f.moved('%bytes', at)}, ptr %text, i64 %length"
        f.return_if(f.value(f"call i1 @same_text({operands})", "same"), f"i64 {at}")
        return [f.value(f"add i64 {at}, 1", "at")]

    f.endless_loop([("i64", 0)], iterate)
    return f.function("find_text", "i64", {"bytes": "ptr", "count": "i64", "text": "ptr", "length": "i64"})


def _read_number() -> str:
    """Return the LLVM text of a function that parses a number after other characters.

    The function returns the index after the number, or -1.
    """
    f = IRBuilder()

    def digit(at: str) -> tuple[str, str]:
        """Append instructions that subtract ``0`` from a byte. Return (difference, test that the byte is a digit)."""
        byte = f.value(f"load i8, ptr {f.moved('%bytes', at)}", "byte")
        value = f.value(f"sub i8 {byte}, {_ZERO}", "digit")
        return value, f.icmp("ult", "i8", value, 10)

    begin: list[str] = []

    def skip(at: str) -> list[str]:
        begin.append(at)
        f.return_unless(f.icmp("slt", "i64", at, "%count"), _NOTHING)
        f.branch_if(digit(at)[1], "digits")
        return [f.value(f"add i64 {at}, 1", "at")]

    f.endless_loop([("i64", "%start")], skip)
    f.start("digits")
    end: list[str] = []

    def read(place: str, value: str) -> list[str]:
        end[:] = place, value
        f.branch_unless(f.icmp("slt", "i64", place, "%count"), "done")
        small, is_digit = digit(place)
        f.branch_unless(is_digit, "done")
        tens, wide = f.value(f"mul i64 {value}, 10", "tens"), f.value(f"zext i8 {small} to i64", "wide")
        return [f.value(f"add i64 {place}, 1", "place"), f.value(f"add i64 {tens}, {wide}", "number")]

    f.endless_loop([("i64", begin[0]), ("i64", 0)], read)
    f.start("done")
    number = f.value(f"insertvalue {{ i64, i64 }} poison, i64 {end[1]}, 0", "number")
    f.ret(f"{{ i64, i64 }} {f.value(f'insertvalue {{ i64, i64 }} {number}, i64 {end[0]}, 1', 'both')}")
    return f.function("read_number", "{ i64, i64 }", {"bytes": "ptr", "count": "i64", "start": "i64"})


def _find_object(f: IRBuilder, text: str, described: str) -> str:
    """Append a search for a tensor's JSON object by its name. Return the index of the colon after the name."""
    places: list[str] = []
    again, value = f.labels("again", "object")

    def search(start: str) -> list[str]:
        left, rest = f.value(f"sub i64 {described}, {start}", "left"), f.moved(text, start)
        at = f.value(f"call i64 @find_text(ptr {rest}, i64 {left}, ptr %name, i64 %length)", "at")
        f.return_if(f.icmp("slt", "i64", at, 0), "ptr null")
        past = f.value(f"add i64 {start}, {f.value(f'add i64 {at}, %length', 'named')}", "past")

        def blank(place: str) -> list[str]:
            places[:] = [place]
            f.return_unless(f.icmp("slt", "i64", place, described), "ptr null")
            mark = f.value(f"load i8, ptr {f.moved(text, place)}", "mark")
            f.branch_if(f.icmp("eq", "i8", mark, _COLON), value)
            is_blank = "false"
            for byte in _BLANKS:
                is_blank = f.value(f"or i1 {is_blank}, {f.icmp('eq', 'i8', mark, byte)}", "blank")
            f.branch_unless(is_blank, again)
            return [f.value(f"add i64 {place}, 1", "place")]

        f.endless_loop([("i64", past)], blank)
        f.start(again)
        return [past]

    f.endless_loop([("i64", 0)], search)
    f.start(value)
    return places[0]


def _find_tensor() -> str:
    """Return the LLVM text of a function that finds a tensor by name, dtype and number of bytes, or null."""
    f = IRBuilder()
    f.return_unless(f.icmp("uge", "i64", "%count", 8), "ptr null")
    described = f.load("i64", "%image")
    begin, text = f.value(f"add i64 {described}, 8", "begin"), f.moved("%image", 8)

    def require(*conditions: str) -> None:
        for condition in conditions:
            f.return_unless(condition, "ptr null")

    def is_aligned(number: str) -> str:
        return f.icmp("eq", "i64", f.value(f"and i64 {number}, 3", "low"), 0)

    require(f.icmp("ult", "i64", described, "%count"), f.icmp("ule", "i64", begin, "%count"), is_aligned(described))
    place = _find_object(f, text, described)
    body, left = f.moved(text, place), f.value(f"sub i64 {described}, {place}", "left")
    end = f.value(f"call i64 @find_text(ptr {body}, i64 {left}, ptr @brace, i64 1)", "end")
    require(f.icmp("sge", "i64", end, 0))
    typed = f.value(f"call i64 @find_text(ptr {body}, i64 {end}, ptr %kind, i64 %letters)", "typed")
    require(f.icmp("sge", "i64", typed, 0))
    key = f.value(f"call i64 @find_text(ptr {body}, i64 {end}, ptr @offsets, i64 14)", "key")
    require(f.icmp("sge", "i64", key, 0))
    numbers, position = [], key
    for _ in range(2):
        pair = f.value(f"call {{ i64, i64 }} @read_number(ptr {body}, i64 {end}, i64 {position})", "pair")
        numbers.append(f.value(f"extractvalue {{ i64, i64 }} {pair}, 0", "number"))
        position = f.value(f"extractvalue {{ i64, i64 }} {pair}, 1", "behind")
        require(f.icmp("sge", "i64", position, 0))
    start, stop = numbers
    has, available = f.value(f"sub i64 {stop}, {start}", "has"), f.value(f"sub i64 %count, {begin}", "available")
    require(f.icmp("eq", "i64", has, "%size"), f.icmp("ule", "i64", stop, available))
    require(f.icmp("ule", "i64", start, stop), is_aligned(start))
    f.ret(f"ptr {f.moved('%image', f.value(f'add i64 {begin}, {start}', 'place'))}")
    names = {"image": "ptr", "count": "i64", "name": "ptr", "length": "i64", "kind": "ptr", "letters": "i64"}
    return f.function("find_tensor", "ptr", {**names, "size": "i64"})
