"""LLVM text of the module with all functions for direct calls."""

from __future__ import annotations

from ..machine.memory_text import COPY
from ..machine.target import Target
from . import arguments, arrays, call
from .instructions import ObjectBuilder
from .plan import API_WORDS, BEGIN, TRAMPOLINE, TRAMPOLINES, Api

_PARTS = (
    arguments.matches_record,
    arguments.fits,
    arguments.from_mapping,
    arguments.from_keyword,
    arguments.arguments,
    arguments.writable,
    arguments.is_separate,
    arguments.outs,
    arrays.gather,
    arrays.feed,
    arrays.within,
    arrays.make_arrays,
    arrays.build,
    arrays.release,
    call.guarded,
    call.all_fit,
    call.fill,
    call.place_results,
    call.copy_results,
    call.draw_seed,
    call.compute,
    call.attempt,
    call.call_python,
    call.call_method,
    call.try_call,
)


def direct_calls_text(target: Target) -> str:
    """Return the LLVM text of the module through which CPython runs calls of nets as machine code.

    - ``direct_begin`` receives the table whose words ``Api`` names.
    - ``direct_trampoline_0`` and so on are methods with keywords (``METH_FASTCALL``).
    - ``direct_try`` is a function of (tuple with a plan, mapping of feeds, ``out``). It returns None for a call that
      does not match the plan.
    """
    return "\n".join(
        [
            f'source_filename = "direct_calls"\ntarget triple = "{target.triple}"\n',
            f"@api = internal global [{API_WORDS} x i64] zeroinitializer\n",
            "declare float @llvm.fabs.f32(float)\ndeclare double @llvm.fabs.f64(double)\n",
            COPY,
            _begin(),
            *(part() for part in _PARTS),
            *map(_trampoline, range(TRAMPOLINES)),
            'attributes #0 = { nounwind "no-builtins" }',
            "",
        ]
    )


def _begin() -> str:
    """Return the LLVM text of the function that copies the table of Python's C functions to the module."""
    f = ObjectBuilder()
    f.do(f"call void @copy(ptr %table, ptr @api, i64 {8 * API_WORDS})")
    f.ret()
    return f.function(BEGIN, "void", {"table": "ptr", "unused": "i64", "unused.too": "i64"}, linkage="")


def _trampoline(number: int) -> str:
    """Return the LLVM text of trampoline ``number``, a native method that stands in for a Python method."""
    f = ObjectBuilder()
    words = f.place("@api", Api.TRAMPOLINE + 2 * number)
    operands = f"ptr %self, ptr %arguments, i64 %count, ptr %names, ptr {words}"
    f.ret(f"ptr {f.value(f'call ptr @call_method({operands})', 'result')}")
    parameters = {"self": "ptr", "arguments": "ptr", "count": "i64", "names": "ptr"}
    return f.function(f"{TRAMPOLINE}{number}", "ptr", parameters, linkage="")
