"""LLVM text of functions that receive weights at run time, and pack them.

The caller passes all parameters in canonical order, or the bytes of a safetensors file.
"""

from __future__ import annotations

import json

from ...codegen.machine.ir_builder import signature
from .llvm_text import WrapperBuilder
from .nets import ExportedNet
from .ports import ExportedEntry
from .stream_functions import WEIGHTS
from .wrapper import CWrapper

MISALIGNED, UNKNOWN = 1, 2
"""Results of ``set_weights`` if it packs nothing."""

SAFETENSORS_NAMES = {"float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "bool": "BOOL"}


def weights_parameters(wrapper: CWrapper[ExportedNet]) -> dict[str, str]:
    """Return the parameters of ``set_weights``: LLVM types by name."""
    return {"weights": "ptr", "image": "ptr", "bytes": wrapper.size}


def set_weights(wrapper: CWrapper[ExportedNet]) -> str:
    """Return the LLVM text of ``set_weights``, which packs the caller's weights into the caller's memory.

    Any number of instances read that memory.
    """
    exported = wrapper.exported
    f = WrapperBuilder()
    count = wrapper.wide(f, "%bytes")
    number = f.value("ptrtoint ptr %image to i64", "address")
    odd = f.value(f"icmp ne i64 {f.value(f'and i64 {number}, 7')}, 0", "odd")
    aligned, packs = f.labels("aligned")[0], f.labels("packs")[0]
    misaligned, unknown = f.labels("misaligned")[0], f.labels("unknown")[0]
    f.do(f"br i1 {odd}, label %{misaligned}, label %{aligned}")
    f.start(misaligned)
    f.do(f"ret i32 {MISALIGNED}")
    f.start(aligned)
    is_canonical = f.value(f"icmp eq i64 {count}, {exported.canonical_bytes}", "canonical")
    table = f.alloca(max(1, len(exported.parameters)))
    canonical, image = f.labels("canonical")[0], f.labels("image")[0]
    f.do(f"br i1 {is_canonical}, label %{canonical}, label %{image}")
    f.start(canonical)
    for place, offset in enumerate(exported.canonical_places.values()):
        f.store("ptr", f.moved("%image", offset), table, 8 * place)
    f.do(f"br label %{packs}")
    f.start(image)
    for place, (name, array) in enumerate(exported.parameters.items()):
        needle = json.dumps(name, ensure_ascii=False).encode()
        kind = json.dumps(SAFETENSORS_NAMES[array.dtype.name]).encode()
        operands = f"ptr %image, i64 {count}, ptr {wrapper.data.name(needle)}, i64 {len(needle)}"
        operands += f", ptr {wrapper.data.name(kind)}, i64 {len(kind)}, i64 {array.nbytes}"
        tensor = f.value(f"call ptr @find_tensor({operands})", "found")
        going = f.labels("going")[0]
        f.do(f"br i1 {f.value(f'icmp eq ptr {tensor}, null')}, label %{unknown}, label %{going}")
        f.start(going)
        f.store("ptr", tensor, table, 8 * place)
    f.do(f"br label %{packs}")
    f.start(unknown)
    f.do(f"ret i32 {UNKNOWN}")
    f.start(packs)
    base = f.aligned("%weights")
    pointers = {name: f.load("ptr", table, 8 * place) for place, name in enumerate(exported.parameters)}
    for name, place in exported.raw_places.items():
        f.copy(pointers[name], f.moved(base, place), exported.parameters[name].nbytes)
    for entry in exported.entries:
        _pack(wrapper, f, entry, pointers, f.moved(base, exported.panels_place))
    head = f"define {'internal ' if wrapper.suffix else ''}i32 @{wrapper.name('set_weights')}"
    operands = signature(weights_parameters(wrapper))
    return "\n".join([f"{head}({operands}) #0 {{", "entry:", *f.allocas, *f.lines, "  ret i32 0", "}", ""])


def _pack(
    wrapper: CWrapper[ExportedNet], f: WrapperBuilder, entry: ExportedEntry, pointers: dict[str, str], panels: str
) -> None:
    """Append a call of an entry's packing function, which packs parameters and constants into ``panels``."""
    plan = entry.plan
    values = {item.buffer.name: pointers[item.name] for item in plan.arguments if item.kind == "parameter"}
    for item in plan.arguments:
        if item.kind == "constant":
            assert item.value is not None
            values[item.buffer.name] = wrapper.data.array(item.value)
    values["panels"] = panels
    f.call_entry(wrapper.entries[plan.pack.name], plan.pack.slots, values)


def use_weights(prefix: str) -> str:
    """Return the LLVM text of the function that sets an instance's weights, by writing one word."""
    f = WrapperBuilder()
    f.store("ptr", f.aligned("%weights"), f.aligned("%memory"), WEIGHTS)
    head = f"define void @{prefix}_use_weights"
    return "\n".join([f"{head}(ptr %memory, ptr %weights) #0 {{", "entry:", *f.lines, "  ret void", "}", ""])
