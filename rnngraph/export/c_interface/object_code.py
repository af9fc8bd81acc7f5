"""An object file with a C interface: the entries of a net, its data, and the functions around them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...codegen.llvm.module import module_text
from ...codegen.machine.engine import linked_code
from ...codegen.machine.target import Target
from .dispatch import dispatchers
from .functions import Shell
from .llvm_text import Data, attributes_text
from .ports import Stepper, Unit
from .weights import FINDERS, set_weights, use_weights

ABI_VERSION = 1


def exported_code(variants: Sequence[Stepper], prefix: str) -> bytes:
    """The object code of a net for its target, or for several levels of one processor, the least demanding first.

    prefix: of all names that the object defines.
    """
    return linked_code(*exported_text(variants, prefix), variants[0].target)


def exported_text(variants: Sequence[Stepper], prefix: str) -> tuple[list[str], str, list[str]]:
    """LLVM modules of the entries, the module of the functions around them, and the names that others see."""
    data = Data()
    modules: list[str] = []
    shells: list[Shell] = []
    several = len(variants) > 1
    for number, stepper in enumerate(variants):
        suffix = f".{number}" if several else ""
        offsets, image = _image(stepper)
        entries: dict[str, str] = {}
        for count, unit in enumerate(stepper.units):
            main, pack = f"{prefix}.entry{count}{suffix}", f"{prefix}.pack{count}{suffix}"
            entries |= {unit.plan.main.name: main, unit.plan.pack.name: pack}
            modules.append(_entries_text(unit, offsets, stepper, main, pack, several))
        panels = data.name(image) if stepper.embedded else None
        shells.append(Shell(stepper, data, panels, entries, prefix, suffix, number))
    target = variants[0].target
    names = [f"{prefix}_{name}" for name in _public(variants[0])]
    functions = "\n".join(_functions(shells, prefix))
    if target.triple.startswith("wasm"):
        functions = _shown(functions, names)
    declared = [f"declare void @{name}(ptr, i64, i64)" for shell in shells for name in _used(shell)]
    head = [f'source_filename = "{prefix}"', f'target triple = "{target.triple}"', ""]
    attributes = [attributes_text()]
    attributes += [attributes_text(shell.group, _said(shell.stepper.target)) for shell in shells if several]
    parts = [*head, data.text(), "", functions, *declared, "", *attributes, ""]
    return modules, "\n".join(parts), names


def _functions(shells: Sequence[Shell], prefix: str) -> list[str]:
    """All functions around the entries."""
    variants = [shell.stepper for shell in shells]
    texts = [text for shell in shells for text in shell.functions()]
    if not variants[0].embedded:
        texts += [set_weights(shell) for shell in shells]
        texts += [use_weights(replace(shells[0], suffix="")), FINDERS]
    if len(shells) > 1:
        texts += dispatchers(shells, prefix)
    return texts + _numbers(variants, prefix)


def _shown(text: str, names: Sequence[str]) -> str:
    """Functions as a WebAssembly module exports them: a linker keeps those that say so themselves."""
    for name in names:
        text = re.sub(rf"^(define \w+ @{name}\(.*\)) #0 {{", rf'\1 "wasm-export-name"="{name}" #0 {{', text, flags=re.M)
    return text


def _used(shell: Shell) -> list[str]:
    """Entries that the functions call: packing runs here where weights come later."""
    mains = [shell.entries[unit.plan.main.name] for unit in shell.stepper.units]
    packs = [] if shell.stepper.embedded else [shell.entries[unit.plan.pack.name] for unit in shell.stepper.units]
    return mains + packs


def _public(stepper: Stepper) -> tuple[str, ...]:
    names = ("abi_version", "state_size", "init", "reset", "step", "process", "get_state", "set_state")
    return names if stepper.embedded else (*names, "weights_size", "set_weights", "use_weights")


def _numbers(variants: Sequence[Stepper], prefix: str) -> list[str]:
    """Functions that give a number each; memory is enough for every variant."""
    size = f"i{variants[0].target.pointer_bits}"
    numbers = {"abi_version": ("i32", ABI_VERSION)}
    numbers["state_size"] = (size, max(stepper.memory_bytes for stepper in variants))
    if not variants[0].embedded:
        numbers["weights_size"] = (size, max(stepper.weights_bytes for stepper in variants))
    return [
        f"define {kind} @{prefix}_{name}() #0 {{\n  ret {kind} {value}\n}}\n" for name, (kind, value) in numbers.items()
    ]


def _image(stepper: Stepper) -> tuple[dict[str, dict[str, int]], bytes]:
    """Where the packed weights of every entry lie in one image, in which what is alike lies once; and the image.

    Without embedded weights each entry's lie where packing puts them.
    """
    if not stepper.embedded:
        return {
            unit.plan.main.name: {name: place for name, (place, _) in unit.panel_places.items()}
            for unit in stepper.units
        }, b""
    places: dict[bytes, int] = {}
    parts: list[bytes] = []
    total = 0
    offsets: dict[str, dict[str, int]] = {}
    for unit in stepper.units:
        used = {buffer.name for buffer, (slot, _) in unit.plan.main.places.items() if slot == "panels"}
        mine = offsets.setdefault(unit.plan.main.name, {})
        for name, (start, count) in unit.panel_places.items():
            if name not in used:
                continue
            part = unit.panels[start : start + count]
            if part not in places:
                places[part] = total
                parts.append(part)
                total += len(part)
            mine[name] = places[part]
    return offsets, b"".join(parts)


def _entries_text(
    unit: Unit, offsets: Mapping[str, Mapping[str, int]], stepper: Stepper, main: str, pack: str, named: bool
) -> str:  # fmt: skip
    """The module of one unit, with its entries under names of their own."""
    entries = [replace(unit.placed(offsets[unit.plan.main.name]), name=main)]
    functions = unit.plan.functions
    if not stepper.embedded:
        entries.append(replace(unit.plan.pack, name=pack))
    text = module_text(functions, entries, stepper.target, main)
    return _for_processor(text, stepper.target) if named else text


def _for_processor(text: str, target: Target) -> str:
    """A module whose functions say which processor they are for, as variants in one object have to."""
    head, mark, flags = text.rpartition("attributes #0 = {")
    return f"{head}{mark} {_said(target)}{flags}"


def _said(target: Target) -> str:
    """How a function says which processor it is for."""
    return f'"target-cpu"="{target.processor}"' + (f' "target-features"="{target.features}"' if target.features else "")
