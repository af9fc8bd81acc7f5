"""Selection of one of several variants of a net at run time, by the processor.

Only for x86-64 levels. An instance's header has its variant, which the instance's functions read. Functions without an
instance query the processor.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...codegen.machine.ir_builder import signature
from .llvm_text import WrapperBuilder
from .nets import ExportedNet
from .stream_functions import VARIANT
from .weights import weights_parameters
from .wrapper import CWrapper


def _bits(*places: int) -> int:
    return sum(1 << place for place in places)


_V3 = {"ecx1": _bits(12, 22, 27, 29), "ebx7": _bits(3, 5, 8), "more": _bits(5), "mask": 0x6}
_NEEDED = {"x86-64-v3": _V3, "x86-64-v4": {**_V3, "ebx7": _V3["ebx7"] | _bits(16, 17, 28, 30, 31), "mask": 0xE6}}
"""Bits of ``cpuid`` leaves 1 (FMA, MOVBE, OSXSAVE, F16C), 7 (BMI1, AVX2, BMI2; AVX-512 F, DQ, CD, BW, VL) and
0x80000001 (LZCNT, which other processors decode differently), and of the registers that the system saves.
"""


def dispatchers(wrappers: Sequence[CWrapper[ExportedNet]], prefix: str) -> list[str]:
    """Return the LLVM text of the public functions, and of the function that selects a variant.

    ``wrappers`` start with the least demanding variant.
    """
    first = wrappers[0]
    texts = [_choose(wrappers), *(_by_header(wrappers, prefix, what) for what in first.by_header)]
    texts += [_by_choice(wrappers, prefix, what, first.parameters(what)) for what in first.by_choice]
    texts += [_by_maximum(wrappers, prefix, what) for what in first.by_maximum]
    if not first.exported.embedded:
        texts.append(_by_choice(wrappers, prefix, "set_weights", weights_parameters(first)))
    return texts


def _by_header(wrappers: Sequence[CWrapper[ExportedNet]], prefix: str, what: str) -> str:
    """Return the LLVM text of a function that reads the variant from an instance's header."""
    f = WrapperBuilder()
    variant = f.load("i64", f.aligned("%memory"), VARIANT)
    return _switch(f, wrappers, prefix, what, wrappers[0].parameters(what), variant)


def _by_choice(wrappers: Sequence[CWrapper[ExportedNet]], prefix: str, what: str, parameters: dict[str, str]) -> str:
    """Return the LLVM text of a function that queries the processor for the variant."""
    f = WrapperBuilder()
    return _switch(f, wrappers, prefix, what, parameters, f.value("call i64 @choose()", "variant"))


def _by_maximum(wrappers: Sequence[CWrapper[ExportedNet]], prefix: str, what: str) -> str:
    """Return the LLVM text of a function that returns a size that suffices for every variant.

    Querying the processor would take longer.
    """
    f, first = WrapperBuilder(), wrappers[0]
    kind, parameters = first.result(what), signature(first.parameters(what))
    largest = ""
    for wrapper in wrappers:
        size = f.value(f"call {kind} @{wrapper.name(what)}({parameters})", "size")
        more = f.value(f"icmp ugt {kind} {size}, {largest}", "more") if largest else ""
        largest = f.value(f"select i1 {more}, {kind} {size}, {kind} {largest}", "largest") if largest else size
    head = f"define {kind} @{prefix}_{what}({parameters}) #0 {{"
    return "\n".join([head, "entry:", *f.lines, f"  ret {kind} {largest}", "}", ""])


def _switch(
    f: WrapperBuilder,
    wrappers: Sequence[CWrapper[ExportedNet]],
    prefix: str,
    what: str,
    parameters: dict[str, str],
    variant: str,
) -> str:
    """Return the LLVM text of a public function that calls ``what`` of the variant with index ``variant``."""
    result = wrappers[0].result(what)
    labels = [f.labels("variant")[0] for _ in wrappers]
    cases = " ".join(f"i64 {number}, label %{label}" for number, label in enumerate(labels))
    f.do(f"switch i64 {variant}, label %{labels[0]} [ {cases} ]")
    for label, wrapper in zip(labels, wrappers, strict=True):
        f.start(label)
        call = f"tail call {result} @{wrapper.name(what)}({signature(parameters)})"
        f.do(f"ret {result} {f.value(call)}" if result != "void" else call)
        if result == "void":
            f.do("ret void")
    head = f"define {result} @{prefix}_{what}({signature(parameters)})"
    return "\n".join([f"{head} #0 {{", "entry:", *f.lines, "}", ""])


def _choose(wrappers: Sequence[CWrapper[ExportedNet]]) -> str:
    """Return the LLVM text of the function that returns the most demanding variant that the processor can run.

    If the processor can run no other variant, it returns the first one, whose requirements it does not check.
    """
    f = WrapperBuilder()
    max_leaf, ecx1 = _cpuid(f, 0)[0], _cpuid(f, 1)[2]
    long = f.value(f"icmp uge i32 {max_leaf}, 7", "long")
    ebx7 = f.value(f"select i1 {long}, i32 {_cpuid(f, 7)[1]}, i32 0", "ebx")
    more = _cpuid(f, 0x80000001)[2]
    saved = f.value(f"icmp ne i32 {f.value(f'and i32 {ecx1}, {1 << 27}')}, 0", "saves")
    asks, before, done = f.labels("asks")[0], f.labels("before")[0], f.labels("done")[0]
    f.do(f"br label %{before}")
    f.start(before)
    f.do(f"br i1 {saved}, label %{asks}, label %{done}")
    f.start(asks)  # xgetbv exists only if the system saves extended registers
    pair = f.value('call { i32, i32 } asm "xgetbv", "={ax},={dx},{cx},~{dirflag},~{fpsr},~{flags}"(i32 0)', "xcr")
    low = f.value(f"extractvalue {{ i32, i32 }} {pair}, 0", "low")
    f.do(f"br label %{done}")
    f.start(done)
    mask = f.value(f"phi i32 [ 0, %{before} ], [ {low}, %{asks} ]", "mask")
    wanted = {"ecx1": ecx1, "ebx7": ebx7, "more": more, "mask": mask}
    variant = "0"
    for number, wrapper in enumerate(wrappers):
        needed = _NEEDED.get(re.sub("-(windows|macos)$", "", wrapper.exported.target.name))
        if needed is None:
            continue
        fits = "true"
        for name, bits in needed.items():
            has = f.value(f"icmp eq i32 {f.value(f'and i32 {wanted[name]}, {bits}')}, {bits}", "has")
            fits = f.value(f"and i1 {fits}, {has}", "fits")
        variant = f.value(f"select i1 {fits}, i64 {number}, i64 {variant}", "variant")
    return "\n".join(["define internal i64 @choose() #0 {", "entry:", *f.lines, f"  ret i64 {variant}", "}", ""])


def _cpuid(f: WrapperBuilder, leaf: int) -> list[str]:
    """Append the instruction ``cpuid`` for subleaf 0 of a leaf. Return the names of eax, ebx, ecx and edx."""
    kind = "{ i32, i32, i32, i32 }"
    text = 'asm "cpuid", "={ax},={bx},={cx},={dx},{ax},{cx},~{dirflag},~{fpsr},~{flags}"'
    result = f.value(f"call {kind} {text}(i32 {leaf}, i32 0)", "cpuid")
    return [f.value(f"extractvalue {kind} {result}, {place}", "register") for place in range(4)]
