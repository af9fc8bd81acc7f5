"""Spin loop of a worker that waits for other workers. After a while, it yields its core."""

from __future__ import annotations

from ..machine.ir_builder import IRBuilder
from ..machine.target import Target

SPINS = 4096
"""Number of polls before a worker yields its core. They take about 50 to 200 microseconds."""


def pause(target: Target) -> tuple[str, str]:
    """Return the instruction that delays a spin loop, and its declaration; two empty texts if the target has none.

    On ARM it is ``isb``, which empties the pipeline and takes about as long as x86's ``pause``. ARM's ``yield`` has no
    effect on most processors.
    """
    if target.is_x86_64:
        return "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    if target.is_arm64:
        return "call void @llvm.aarch64.isb(i32 15)", "declare void @llvm.aarch64.isb(i32)"
    return "", ""


def write_pause(f: IRBuilder, target: Target) -> None:
    """Write the instruction that delays a spin loop, if the target has one."""
    if text := pause(target)[0]:
        f.do(text)


def write_spin(f: IRBuilder, target: Target, spun: str) -> str:
    """Write one iteration of a spin loop: a pause, and after each ``SPINS`` polls a call that yields the core.

    ``spun`` is the number of polls so far. Return the name of the number that includes this one.
    """
    write_pause(f, target)
    following = f.value(f"add i64 {spun}, 1", "spun")
    low = f.value(f"and i64 {following}, {SPINS - 1}", "low")
    with f.when(f.icmp("eq", "i64", low, 0)):
        function = f.value("load ptr, ptr %team", "function")
        with f.when(f.negated(f.is_null(function))):
            f.do(f"call void {function}()")
    return following
