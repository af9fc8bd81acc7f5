"""The module of direct calls, as LLVM's text."""

from __future__ import annotations

from ..machine.memory_text import COPY
from ..machine.target import Target
from .arguments import ALIKE, ARGUMENTS, FITS, OUT
from .arrays import BUILD, FEED, GATHER, RELEASE, WITHIN
from .call import ATTEMPT, CALL, GUARDED, TRYING
from .plan import API_WORDS, BEGIN, DOORS, Api


def direct_calls_text(target: Target) -> str:
    """The module: ``direct_begin`` of the table; the doors, which are methods with keywords (``METH_FASTCALL``); and
    ``direct_try``, a function of (tuple of a plan, mapping of feeds, ``out``), which gives None for what it leaves.
    """
    doors = [_DOOR.format(door=door, word=Api.DOOR + 2 * door) for door in range(DOORS)]
    return "\n".join([
        f'source_filename = "direct_calls"\ntarget triple = "{target.triple}"\n',
        f"@api = internal global [{API_WORDS} x i64] zeroinitializer\n",
        "declare float @llvm.fabs.f32(float)\ndeclare double @llvm.fabs.f64(double)\n",
        COPY, _BEGIN, ALIKE, FITS, GATHER, FEED, WITHIN, ARGUMENTS, OUT, BUILD, GUARDED, RELEASE,
        ATTEMPT, CALL, *doors, TRYING, 'attributes #0 = { nounwind "no-builtins" }', "",
    ])  # fmt: skip


_BEGIN = f"""\
define void @{BEGIN}(ptr %table, i64 %unused, i64 %unused.too) #0 {{
  call void @copy(ptr %table, ptr @api, i64 {8 * API_WORDS})
  ret void
}}
"""

_DOOR = """\
define ptr @direct_door_{door}(ptr %self, ptr %arguments, i64 %count, ptr %names) #0 {{
  %door = getelementptr i64, ptr @api, i64 {word}
  %result = call ptr @call(ptr %self, ptr %arguments, i64 %count, ptr %names, ptr %door)
  ret ptr %result
}}
"""
