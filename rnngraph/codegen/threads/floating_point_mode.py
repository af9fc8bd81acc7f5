"""Floating-point mode of a thread (rounding and flushing to zero), which workers adopt from their caller."""

from __future__ import annotations

from ...support.records import NamedTuple
from ..machine.ir_builder import IRBuilder
from ..machine.target import Target


class FloatingPointMode(NamedTuple):
    """Instructions of a processor that access its floating-point control register.

    Attributes:
        declarations: Declarations of the LLVM intrinsics that read and write the register; empty if LLVM has none.
        by_value: True if the intrinsics return and take the register's value, instead of an address in memory.
    """

    declarations: tuple[str, ...] = ()
    by_value: bool = False

    def save(self, f: IRBuilder, place: str) -> None:
        """Write code that stores the thread's mode to memory."""
        if self.by_value:
            f.do(f"store i64 {f.value('call i64 @llvm.aarch64.get.fpcr()', 'mode')}, ptr {place}")
        elif self.declarations:
            f.do(f"call void @llvm.x86.sse.stmxcsr(ptr {place})")

    def adopt(self, f: IRBuilder, place: str) -> None:
        """Write code that sets the thread's mode to one stored in memory."""
        if self.by_value:
            f.do(f"call void @llvm.aarch64.set.fpcr(i64 {f.value(f'load i64, ptr {place}', 'mode')})")
        elif self.declarations:
            f.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {place})")


_X86 = FloatingPointMode(("declare void @llvm.x86.sse.stmxcsr(ptr)", "declare void @llvm.x86.sse.ldmxcsr(ptr)"))
_ARM64 = FloatingPointMode(
    ("declare i64 @llvm.aarch64.get.fpcr()", "declare void @llvm.aarch64.set.fpcr(i64)"), by_value=True
)


def floating_point_mode(target: Target) -> FloatingPointMode:
    """Return the instructions that access the floating-point mode on ``target``."""
    if target.is_x86_64:
        return _X86
    return _ARM64 if target.is_arm64 else FloatingPointMode()
