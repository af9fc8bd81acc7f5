"""Weights that are given at run time, as LLVM text: found in what the caller hands over, and packed.

The caller hands over all parameters one behind the other in canonical order, or the bytes of a safetensors file.
"""

from __future__ import annotations

import json

from .llvm_text import FunctionText, signature
from .nets import ExportedNet
from .ports import ExportedEntry
from .stream_functions import WEIGHTS
from .wrapper import CWrapper

MISALIGNED, UNKNOWN = 1, 2
"""What ``set_weights`` returns where it packs nothing."""

SAFETENSORS_NAMES = {"float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "bool": "BOOL"}


def weights_parameters(wrapper: CWrapper[ExportedNet]) -> dict[str, str]:
    """Names and LLVM types of what ``set_weights`` takes."""
    return {"weights": "ptr", "image": "ptr", "bytes": wrapper.size}


def set_weights(wrapper: CWrapper[ExportedNet]) -> str:
    """The function that packs parameters into memory of the caller's, from which any number of instances read."""
    exported = wrapper.exported
    f = FunctionText()
    count = wrapper.wide(f, "%bytes")
    number = f.emit("ptrtoint ptr %image to i64", "address")
    odd = f.emit(f"icmp ne i64 {f.emit(f'and i64 {number}, 7')}, 0", "odd")
    aligned, packs = f.label("aligned"), f.label("packs")
    misaligned, unknown = f.label("misaligned"), f.label("unknown")
    f.do(f"br i1 {odd}, label %{misaligned}, label %{aligned}")
    f.at(misaligned)
    f.do(f"ret i32 {MISALIGNED}")
    f.at(aligned)
    is_canonical = f.emit(f"icmp eq i64 {count}, {exported.canonical_bytes}", "canonical")
    table = f.room(max(1, len(exported.parameters)))
    canonical, image = f.label("canonical"), f.label("image")
    f.do(f"br i1 {is_canonical}, label %{canonical}, label %{image}")
    f.at(canonical)
    for place, offset in enumerate(exported.canonical_places.values()):
        f.store("ptr", f.moved("%image", offset), table, 8 * place)
    f.do(f"br label %{packs}")
    f.at(image)
    for place, (name, array) in enumerate(exported.parameters.items()):
        needle = json.dumps(name, ensure_ascii=False).encode()
        kind = json.dumps(SAFETENSORS_NAMES[array.dtype.name]).encode()
        given = f"ptr %image, i64 {count}, ptr {wrapper.data.name(needle)}, i64 {len(needle)}"
        given += f", ptr {wrapper.data.name(kind)}, i64 {len(kind)}, i64 {array.nbytes}"
        found = f.emit(f"call ptr @find_tensor({given})", "found")
        going = f.label("going")
        f.do(f"br i1 {f.emit(f'icmp eq ptr {found}, null')}, label %{unknown}, label %{going}")
        f.at(going)
        f.store("ptr", found, table, 8 * place)
    f.do(f"br label %{packs}")
    f.at(unknown)
    f.do(f"ret i32 {UNKNOWN}")
    f.at(packs)
    base = f.aligned("%weights")
    pointers = {name: f.load("ptr", table, 8 * place) for place, name in enumerate(exported.parameters)}
    for name, place in exported.raw_places.items():
        f.copy(pointers[name], f.moved(base, place), exported.parameters[name].nbytes)
    for entry in exported.entries:
        _pack(wrapper, f, entry, pointers, f.moved(base, exported.panels_place))
    head = f"define {'internal ' if wrapper.suffix else ''}i32 @{wrapper.name('set_weights')}"
    given = signature(weights_parameters(wrapper))
    return "\n".join([f"{head}({given}) #0 {{", "entry:", *f.first, *f.lines, "  ret i32 0", "}", ""])


def _pack(
    wrapper: CWrapper[ExportedNet], f: FunctionText, entry: ExportedEntry, pointers: dict[str, str], panels: str
) -> None:
    plan = entry.plan
    values = {item.buffer.name: pointers[item.name] for item in plan.arguments if item.kind == "parameter"}
    for item in plan.arguments:
        if item.kind == "constant":
            assert item.value is not None
            values[item.buffer.name] = wrapper.data.array(item.value)
    values["panels"] = panels
    f.call_entry(wrapper.entries[plan.pack.name], plan.pack.slots, values)


def use_weights(prefix: str) -> str:
    """The function that gives an instance other weights: one word is written."""
    f = FunctionText()
    f.store("ptr", f.aligned("%weights"), f.aligned("%memory"), WEIGHTS)
    head = f"define void @{prefix}_use_weights"
    return "\n".join([f"{head}(ptr %memory, ptr %weights) #0 {{", "entry:", *f.lines, "  ret void", "}", ""])


FINDERS = """\
; the first place from which `text` stands in `count` bytes, -1 if nowhere
define internal i64 @find_text(ptr %bytes, i64 %count, ptr %text, i64 %length) #0 {
entry:
  %last = sub i64 %count, %length
  br label %each
each:
  %at = phi i64 [ 0, %entry ], [ %next, %other ]
  %inside = icmp sle i64 %at, %last
  br i1 %inside, label %compare, label %nowhere
compare:
  %offset = phi i64 [ 0, %each ], [ %following, %same ]
  %all = icmp eq i64 %offset, %length
  br i1 %all, label %found, label %byte
byte:
  %place = add i64 %at, %offset
  %mine.at = getelementptr i8, ptr %bytes, i64 %place
  %mine = load i8, ptr %mine.at
  %theirs.at = getelementptr i8, ptr %text, i64 %offset
  %theirs = load i8, ptr %theirs.at
  %equal = icmp eq i8 %mine, %theirs
  br i1 %equal, label %same, label %other
same:
  %following = add i64 %offset, 1
  br label %compare
other:
  %next = add i64 %at, 1
  br label %each
found:
  ret i64 %at
nowhere:
  ret i64 -1
}

; skips what is no digit, reads a number, and gives it with the place behind it, -1 where there is none
define internal { i64, i64 } @read_number(ptr %bytes, i64 %count, i64 %start) #0 {
entry:
  br label %skip
skip:
  %at = phi i64 [ %start, %entry ], [ %further, %blank ]
  %inside = icmp slt i64 %at, %count
  br i1 %inside, label %look, label %none
look:
  %first.at = getelementptr i8, ptr %bytes, i64 %at
  %first = load i8, ptr %first.at
  %first.value = sub i8 %first, 48
  %is.digit = icmp ult i8 %first.value, 10
  br i1 %is.digit, label %digits, label %blank
blank:
  %further = add i64 %at, 1
  br label %skip
digits:
  %place = phi i64 [ %at, %look ], [ %after, %digit ]
  %value = phi i64 [ 0, %look ], [ %longer, %digit ]
  %more = icmp slt i64 %place, %count
  br i1 %more, label %next, label %done
next:
  %here = getelementptr i8, ptr %bytes, i64 %place
  %letter = load i8, ptr %here
  %small = sub i8 %letter, 48
  %still = icmp ult i8 %small, 10
  br i1 %still, label %digit, label %done
digit:
  %wide = zext i8 %small to i64
  %tens = mul i64 %value, 10
  %longer = add i64 %tens, %wide
  %after = add i64 %place, 1
  br label %digits
done:
  %a = insertvalue { i64, i64 } poison, i64 %value, 0
  %b = insertvalue { i64, i64 } %a, i64 %place, 1
  ret { i64, i64 } %b
none:
  %c = insertvalue { i64, i64 } poison, i64 0, 0
  %d = insertvalue { i64, i64 } %c, i64 -1, 1
  ret { i64, i64 } %d
}

; where in the image of a safetensors file the tensor begins that has this name, dtype and number of bytes; or null
define internal ptr @find_tensor(ptr %image, i64 %count, ptr %name, i64 %length, ptr %kind, i64 %letters, i64 %size)
#0 {
entry:
  %long = icmp uge i64 %count, 8
  br i1 %long, label %header, label %no
header:
  %described = load i64, ptr %image, align 8
  %begin = add i64 %described, 8
  %text = getelementptr i8, ptr %image, i64 8
  %sane = icmp ult i64 %described, %count
  %aligned.number = and i64 %described, 3
  %aligned = icmp eq i64 %aligned.number, 0
  %room = icmp ule i64 %begin, %count
  %fitting = and i1 %sane, %room
  %whole = and i1 %fitting, %aligned
  br i1 %whole, label %search, label %no
search:
  %from = phi i64 [ 0, %header ], [ %past, %again ]
  %left = sub i64 %described, %from
  %rest = getelementptr i8, ptr %text, i64 %from
  %at = call i64 @find_text(ptr %rest, i64 %left, ptr %name, i64 %length)
  %missing = icmp slt i64 %at, 0
  br i1 %missing, label %no, label %behind
behind:
  %named = add i64 %at, %length
  %past = add i64 %from, %named
  br label %blank
blank:
  %place = phi i64 [ %past, %behind ], [ %on, %space ]
  %inside = icmp slt i64 %place, %described
  br i1 %inside, label %letter, label %no
letter:
  %letter.at = getelementptr i8, ptr %text, i64 %place
  %mark = load i8, ptr %letter.at
  switch i8 %mark, label %again [ i8 9, label %space  i8 10, label %space  i8 13, label %space
                                 i8 32, label %space  i8 58, label %object ]
space:
  %on = add i64 %place, 1
  br label %blank
again:
  br label %search
object:
  %body = getelementptr i8, ptr %text, i64 %place
  %body.left = sub i64 %described, %place
  %end = call i64 @find_text(ptr %body, i64 %body.left, ptr @brace, i64 1)
  %open = icmp slt i64 %end, 0
  br i1 %open, label %no, label %fields
fields:
  %typed = call i64 @find_text(ptr %body, i64 %end, ptr %kind, i64 %letters)
  %other = icmp slt i64 %typed, 0
  br i1 %other, label %no, label %offsets
offsets:
  %key = call i64 @find_text(ptr %body, i64 %end, ptr @offsets, i64 14)
  %unplaced = icmp slt i64 %key, 0
  br i1 %unplaced, label %no, label %numbers
numbers:
  %first = call { i64, i64 } @read_number(ptr %body, i64 %end, i64 %key)
  %start = extractvalue { i64, i64 } %first, 0
  %start.end = extractvalue { i64, i64 } %first, 1
  %unread = icmp slt i64 %start.end, 0
  br i1 %unread, label %no, label %second
second:
  %next = call { i64, i64 } @read_number(ptr %body, i64 %end, i64 %start.end)
  %stop = extractvalue { i64, i64 } %next, 0
  %stop.end = extractvalue { i64, i64 } %next, 1
  %unread.too = icmp slt i64 %stop.end, 0
  br i1 %unread.too, label %no, label %measure
measure:
  %has = sub i64 %stop, %start
  %fits = icmp eq i64 %has, %size
  %available = sub i64 %count, %begin
  %within = icmp ule i64 %stop, %available
  %ordered = icmp ule i64 %start, %stop
  %good = and i1 %fits, %within
  %lies = and i1 %good, %ordered
  %place.number = and i64 %start, 3
  %even = icmp eq i64 %place.number, 0
  %fine = and i1 %lies, %even
  br i1 %fine, label %yes, label %no
yes:
  %place.of = add i64 %begin, %start
  %tensor = getelementptr i8, ptr %image, i64 %place.of
  ret ptr %tensor
no:
  ret ptr null
}

@brace = private unnamed_addr constant [1 x i8] c"}"
@offsets = private unnamed_addr constant [14 x i8] c"\\22data_offsets\\22"
"""
