"""One look in vain of a worker that waits for others: now and then it gives up its core."""

from __future__ import annotations

from ..machine.target import Target

SPINS = 4096
"""Looks at another worker's count before giving up the core: some 50 to 200 microseconds."""


def pause(target: Target) -> tuple[str, str]:
    """What tells the processor that a loop only waits, and its declaration."""
    if not target.triple.startswith(("x86_64", "amd64")):
        return "", ""
    return "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"


def waiting_text(target: Target) -> str:
    """What follows a look that was in vain, from ``wait`` on to the next ``look``: now and then the core is given up.
    ``%spun`` counts the looks, ``%following`` is what it becomes.
    """
    return _WAIT.format(pause=pause(target)[0], spins=SPINS - 1)


_WAIT = """\
wait:
  {pause}
  %following = add i64 %spun, 1
  %low = and i64 %following, {spins}
  %long = icmp eq i64 %low, 0
  br i1 %long, label %yield, label %spin
yield:
  %function = load ptr, ptr %team
  %nobody = icmp eq ptr %function, null
  br i1 %nobody, label %spin, label %call
call:
  call void %function()
  br label %spin
spin:
  br label %look
"""
