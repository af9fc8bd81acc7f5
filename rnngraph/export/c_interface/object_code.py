"""Object file of an exported net: entries, data, and C functions around them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...codegen.llvm.debug_info import with_debug_info
from ...codegen.llvm.module import module_lines
from ...codegen.machine.alignment import padded
from ...codegen.machine.engine import linked_code
from ...codegen.machine.target import Target
from ...support.errors import Where
from ...support.stage_text import StageLine, StageText
from .dispatch import dispatchers
from .llvm_text import Data, attributes_text
from .nets import ExportedNet, ExportedSequence, ExportedStream
from .ports import ExportedEntry
from .sequence_functions import SequenceWrapper
from .sizes import PRODUCT, QUOTIENT
from .stream_functions import StreamWrapper
from .tensor_search import tensor_search_text
from .weights import set_weights, use_weights
from .wrapper import CWrapper

ABI_VERSION = 1


def exported_code(variants: Sequence[ExportedNet], prefix: str, debug: bool = False) -> bytes:
    """Return the object file of a net, for one target or for several levels of one processor.

    Variants are ordered from the least demanding one.

    Args:
        prefix: Prefix of all symbols.
        debug: Include lines of the script for debuggers.
    """
    return linked_code(*exported_text(variants, prefix, debug), variants[0].target)


def exported_text(
    variants: Sequence[ExportedNet], prefix: str, debug: bool = False
) -> tuple[list[str], str, list[str]]:
    """Return LLVM modules of the compiled graphs, one of the C functions that call them, and public names.

    ``debug`` adds line tables.
    """
    whole = Where("", 0)
    data = Data()
    modules: list[str] = []
    wrappers: list[CWrapper[ExportedNet]] = []
    several = len(variants) > 1
    for number, exported in enumerate(variants):
        suffix = f".{number}" if several else ""
        offsets, image = _image(exported)
        entries: dict[str, str] = {}
        for count, entry in enumerate(exported.entries):
            main, pack = f"{prefix}.entry{count}{suffix}", f"{prefix}.pack{count}{suffix}"
            entries |= {entry.plan.main.name: main, entry.plan.pack.name: pack}
            text = _entries_text(entry, offsets, exported, main, pack, debug)
            whole = next((line.origins[0].of("") for line in text.lines if line.origins), whole)
            plain = str.__str__(with_debug_info(text) if debug else text)
            modules.append(_for_processor(plain, exported.target) if several else plain)
        panels = data.name(image) if exported.embedded else None
        wrappers.append(_wrapper(exported, data, panels, entries, prefix, suffix, number))
    target = variants[0].target
    names = [f"{prefix}_{name}" for name in _public(wrappers[0])]
    functions = "\n".join(_functions(wrappers, prefix))
    if target.triple.startswith("wasm"):
        functions = _shown(functions, names)
    declared = [f"declare void @{name}(ptr, i64, i64)" for wrapper in wrappers for name in _called_entries(wrapper)]
    head = [f'source_filename = "{prefix}"', f'target triple = "{target.triple}"', ""]
    attributes = [attributes_text()]
    attributes += [attributes_text(wrapper.group, _said(wrapper.exported.target)) for wrapper in wrappers if several]
    around = "\n".join([*head, data.text(), "", functions, *declared, "", *attributes, ""])
    if debug:  # the functions that C calls get the first line of the net's script
        around = str.__str__(with_debug_info(StageText(map(StageLine, around.split("\n"))), own=(whole,)))
    return modules, around, names


def _wrapper(exported: ExportedNet, *about: Any) -> CWrapper[ExportedNet]:
    if isinstance(exported, ExportedSequence):
        return SequenceWrapper(exported, *about)
    assert isinstance(exported, ExportedStream)
    return StreamWrapper(exported, *about)


def _functions(wrappers: Sequence[CWrapper[ExportedNet]], prefix: str) -> list[str]:
    """Return the LLVM text of all C functions of the net, public or not, that call its compiled entries."""
    first = wrappers[0]
    texts = [text for wrapper in wrappers for text in wrapper.functions()]
    if isinstance(first, SequenceWrapper):
        texts += [PRODUCT, QUOTIENT]
    if not first.exported.embedded:
        texts += [*map(set_weights, wrappers), tensor_search_text()]
    if "use_weights" in _public(first):
        texts.append(use_weights(prefix))
    if len(wrappers) > 1:
        texts += dispatchers(wrappers, prefix)
    return texts + _numbers(wrappers, prefix)


def _shown(text: str, names: Sequence[str]) -> str:
    """Add the attribute by which WebAssembly exports functions."""
    for name in names:
        text = re.sub(rf"^(define \w+ @{name}\(.*\)) #0 {{", rf'\1 "wasm-export-name"="{name}" #0 {{', text, flags=re.M)
    return text


def _called_entries(wrapper: CWrapper[ExportedNet]) -> list[str]:
    """Return the names of entries that the functions call, including packing if weights come at run time."""
    mains = [wrapper.entries[entry.plan.main.name] for entry in wrapper.exported.entries]
    packs = (
        []
        if wrapper.exported.embedded
        else [wrapper.entries[entry.plan.pack.name] for entry in wrapper.exported.entries]
    )
    return mains + packs


def _public(wrapper: CWrapper[ExportedNet]) -> tuple[str, ...]:
    """Return the names of public functions, without the prefix."""
    names = ("abi_version", *wrapper.numbers([wrapper.exported]))
    names = (*names, *wrapper.by_choice, *wrapper.by_header, *wrapper.by_maximum)
    if wrapper.exported.embedded:
        return names
    names = (*names, "weights_size", "set_weights")
    return (*names, "use_weights") if isinstance(wrapper, StreamWrapper) else names


def _numbers(wrappers: Sequence[CWrapper[ExportedNet]], prefix: str) -> list[str]:
    """Return the LLVM text of functions that return the ABI version and the sizes that C callers allocate."""
    variants = [wrapper.exported for wrapper in wrappers]
    sizes = wrappers[0].numbers(variants)
    if not variants[0].embedded:
        sizes["weights_size"] = max(exported.weights_bytes for exported in variants)
    numbers = {"abi_version": ("i32", ABI_VERSION)} | {name: (wrappers[0].size, size) for name, size in sizes.items()}
    return [
        f"define {kind} @{prefix}_{name}() #0 {{\n  ret {kind} {value}\n}}\n" for name, (kind, value) in numbers.items()
    ]


def _image(exported: ExportedNet) -> tuple[dict[str, dict[str, int]], bytes]:
    """Return ({entry: {buffer: offset of its packed weights}}, bytes of all packed weights).

    The image is empty if weights are passed at run time.
    """
    if not exported.embedded:
        return exported.panel_offsets, b""
    places: dict[bytes, int] = {}
    parts: list[bytes] = []
    total = 0
    offsets: dict[str, dict[str, int]] = {}
    for entry in exported.entries:
        used = {buffer.name for buffer, (slot, _) in entry.plan.main.places.items() if slot == "panels"}
        own_offsets, used_bytes = offsets.setdefault(entry.plan.main.name, {}), entry.plan.used_bytes(entry.panels)
        for name, (start, count) in entry.plan.panel_places.items():
            if name not in used:
                continue
            part = entry.panels[start : start + min(count, padded(used_bytes.get(name, count)))]
            if part not in places:
                places[part] = total
                parts.append(part)
                total += len(part)
            own_offsets[name] = places[part]
    return offsets, b"".join(parts)


def _entries_text(
    entry: ExportedEntry,
    offsets: Mapping[str, Mapping[str, int]],
    exported: ExportedNet,
    main: str,
    pack: str,
    debug: bool,
) -> StageText:
    """Return the LLVM module of one entry, with its functions renamed."""
    own_offsets, functions = offsets[entry.plan.main.name], entry.plan.functions
    entries = [replace(entry.with_offsets(entry.plan.main, own_offsets), name=main)]
    if not exported.embedded:
        entries.append(replace(entry.with_offsets(entry.plan.pack, own_offsets), name=pack))
    return module_lines(functions, entries, exported.target, main, debug, is_linked=True)


def _for_processor(text: str, target: Target) -> str:
    """Return an LLVM module whose functions name their processor, for variants in one object."""
    head, mark, flags = text.rpartition("attributes #0 = {")
    return f"{head}{mark} {_said(target)}{flags}"


def _said(target: Target) -> str:
    """Return the LLVM attributes that name a function's processor and its features."""
    return f'"target-cpu"="{target.processor}"' + (f' "target-features"="{target.features}"' if target.features else "")
