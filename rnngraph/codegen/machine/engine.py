"""Compilation of LLVM text to machine code, and loading of objects, through llvmlite."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

import llvmlite.binding as llvm

from ...support.forks import LockLevel, fork_lock
from .target import Target

_LOCK = fork_lock(LockLevel.LAST)
_METADATA = "\n!llvm.dbg.cu = "


@lru_cache(maxsize=8)
def _llvm_target(triple: str) -> llvm.Target:
    """Return LLVM's target for a triple. It registers all architectures only if the triple is not this machine's."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    try:
        return llvm.Target.from_triple(triple)
    except RuntimeError:  # no registered architecture has this name
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        return llvm.Target.from_triple(triple)


@lru_cache(maxsize=1)
def _keep_places() -> None:
    """Set LLVM's option that gives instructions it adds, such as loads of constants, the preceding one's line.

    Debug builds need this option. The option is global to the process, and can be set only once.
    """
    llvm.set_option("rnngraph", "--use-unknown-locations=Disable")


@lru_cache(maxsize=8)
def _machine(target: Target) -> llvm.TargetMachine:
    return _llvm_target(target.triple).create_target_machine(
        cpu=target.processor,
        features=target.features,
        opt=3,
        reloc=target.relocation,
        codemodel="small",
        jit=False,
        abiname=target.abi,
    )


def optimized(text: str, target: Target, inlines: bool = False) -> llvm.ModuleRef:
    """Parse and verify a module's LLVM text. Return the module, with small functions inlined if ``inlines``.

    No other optimization runs, because vectors, tiles, fused ops and the form of loops are already explicit. LLVM's O2
    and O3 pipelines would double the compile time, and make the code no faster.

    Args:
        text: LLVM text of the module.
        target: The processor.
        inlines: True to inline functions with the attribute ``alwaysinline``, for modules of many small functions.
    """
    if _METADATA in text:
        _keep_places()
    module = llvm.parse_assembly(text)
    module.verify()
    if inlines:
        manager = llvm.create_new_module_pass_manager()
        manager.add_always_inliner_pass()
        manager.add_simplify_cfg_pass()
        manager.add_loop_rotate_pass()
        manager.run(
            module, llvm.create_pass_builder(_machine(target), llvm.create_pipeline_tuning_options(speed_level=2))
        )
    return module


def assembly(text: str, target: Target) -> str:
    """Return the assembly text for LLVM text, on a target."""
    with _LOCK:
        return str(_machine(target).emit_assembly(optimized(text, target)))


def object_code(text: str, target: Target, inlines: bool = False) -> bytes:
    """Compile LLVM text to the bytes of an object file. ``inlines`` is as for ``optimized``."""
    with _LOCK:
        return bytes(_machine(target).emit_object(optimized(text, target, inlines)))


def linked_code(modules: Sequence[str], caller: str, names: Collection[str], target: Target) -> bytes:
    """Compile modules of entries, and the module that calls them, to the bytes of one object file.

    Args:
        modules: LLVM text of the entries' modules.
        caller: LLVM text of the module that calls the entries.
        names: Names of exported functions. All other functions are internal.
        target: The processor.
    """
    with _LOCK:
        machine = _machine(target)
        if _METADATA in caller:
            _keep_places()
        llvm.initialize_native_asmparser()  # for the inline assembly that reads a processor's features
        whole = llvm.parse_assembly(caller)
        for text in modules:
            whole.link_in(llvm.parse_assembly(text))
        for function in whole.functions:
            if not function.is_declaration and function.name not in names:
                function.linkage = "internal"
        whole.verify()
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
        manager = llvm.create_new_module_pass_manager()
        manager.add_global_dead_code_eliminate_pass()
        manager.run(whole, builder)
        if not target.grows_stack:
            whole = llvm.parse_assembly(_inlining_single_calls(whole))
        manager = llvm.create_new_module_pass_manager()
        manager.add_always_inliner_pass()
        manager.add_sroa_pass()  # an argument block that one function fills and reads stays in registers
        manager.add_sccp_pass()
        manager.add_simplify_cfg_pass()
        manager.add_aggressive_dce_pass()
        manager.add_global_dead_code_eliminate_pass()
        manager.add_merge_functions_pass()
        manager.add_loop_rotate_pass()
        manager.run(whole, builder)
        return bytes(machine.emit_object(whole))


_INTERNAL = re.compile(r'^(define internal [^\n]*?@"?([\w.]+)"?\([^\n]*) (#\d+[^\n]*\{)$', re.MULTILINE)
"""Matches the head of an internal function: the text before its attributes, its name, and the rest."""


def _inlining_single_calls(module: llvm.ModuleRef) -> str:
    """Return a module's text with ``alwaysinline`` added to internal functions that have a single call.

    In a small net, a step takes no longer than a few calls that fill and read an argument block. A function is skipped
    if its caller is for another processor. No floating-point instruction changes. The attribute is added as text,
    because older versions of llvmlite add it to the result instead of the function.
    """
    functions = {function.name: function for function in module.functions if not function.is_declaration}
    callers: dict[str, list[str]] = {}
    for name, function in functions.items():
        for block in function.blocks:
            for instruction in block.instructions:
                if instruction.opcode == "call":
                    callers.setdefault(list(instruction.operands)[-1].name, []).append(name)
    single: set[str] = set()
    for name, function in functions.items():
        its_callers = callers.get(name, [])
        is_called_once = function.linkage == llvm.Linkage.internal and len(its_callers) == 1
        if is_called_once and _processor(function) == _processor(functions[its_callers[0]]):
            single.add(name)

    def marked(head: re.Match[str]) -> str:
        """Return the head of a function, with the attribute if the function has a single call."""
        return f"{head[1]} alwaysinline {head[3]}" if head[2] in single else head[0]

    return _INTERNAL.sub(marked, str(module))


def _processor(function: llvm.ValueRef) -> list[bytes]:
    """Return the attributes of a function that select its processor."""
    return re.findall(rb'"target-[^"]*"="[^"]*"', b" ".join(function.attributes))


class MemoryObject:
    """Object file that LLVM has loaded into memory, which is freed with this object."""

    def __init__(self, binary: bytes, target: Target) -> None:
        with _LOCK:
            llvm_target = _llvm_target(target.triple)
            empty = llvm.parse_assembly("")
            empty.triple = target.triple
            machine = llvm_target.create_target_machine(cpu=target.processor, features=target.features, opt=3, jit=True)
            # The engine allocates a single block. In large processes, LLVM's separate allocations may be too far apart
            # for its small code model, and then it aborts.
            self._engine = llvm.create_mcjit_compiler(empty, machine, use_lmm=True)
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(binary))
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return the address of a function; 0 if the object has no function of this name."""
        with _LOCK:
            return int(self._engine.get_function_address(name))
