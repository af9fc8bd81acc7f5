"""LLVM text of dynamic scheduling: workers claim stages of a pipeline, one chunk at a time.

The state of a stage is twice the number of its finished chunks, plus 1 while a worker runs it. A worker claims a stage
by a compare-and-swap of its state. As states only grow, a satisfied dependency stays satisfied, and an unchanged state
proves that no other worker has claimed the stage.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..loop_ir.nodes import PipelineStage
from ..machine.ir_builder import Carried, IRBuilder
from ..machine.target import Target
from .spin_wait import write_spin

NEVER = 1 << 62
"""Time that is later than the due time of any chunk."""
NO_DEPENDENCY = -(1 << 40)
"""Required lead, in chunks, of a stage on which there is no dependency. Every stage satisfies it."""


def stages_text(number: int, stages: Sequence[PipelineStage]) -> str:
    """Return the LLVM text of a constant table of pipeline stages: due times, and leads over other stages.

    The table has a row for each stage: the due time of the stage's first chunk, then the lead that every other stage
    must have over the stage.
    """
    numbers: list[int] = []
    for stage in stages:
        needs = dict(stage.needs)
        numbers += [stage.due, *(needs.get(other, NO_DEPENDENCY) for other in range(len(stages)))]
    items = ", ".join(f"i64 {item}" for item in numbers)
    return f"@stages{number} = internal constant [{len(numbers)} x i64] [{items}]\n"


def claim_text(target: Target) -> str:
    """Return the LLVM text of the functions with which a worker claims a stage.

    ``claim`` returns the index of the stage, or -1 once all chunks of all stages have finished.
    """
    return f"{_can_claim()}\n{_claim(target)}"


def _can_claim() -> str:
    """Return the LLVM text of a predicate that is true if the stages on which a stage's chunk depends are far enough.

    Its parameter ``table`` is the stage's row of the table.
    """
    f = IRBuilder()
    with f.loop("%count", "other") as other:
        ahead = f.entry("%table", f.value(f"add i64 {other}, 1", "column"))
        wanted, done = f.value(f"add i64 %chunk, {ahead}", "wanted"), f.value(f"lshr i64 {_state(f, other)}, 1", "done")
        f.return_unless(f.icmp("sge", "i64", done, wanted), "i1 0")
    f.ret("i1 1")
    return f.function("can_claim", "i1", {"states": "ptr", "table": "ptr", "count": "i64", "chunk": "i64"})


def _state(f: IRBuilder, stage: str) -> str:
    """Write a load of the state of a stage, and return the name of the loaded value."""
    return f.value(f"load atomic i64, ptr {f.place('%states', stage)} acquire, align 8", "state")


def write_due(f: IRBuilder, stage: str, table: str, chunk: str) -> str:
    """Write the computation of the time at which a chunk of a stage is due, and return the name of that value.

    Chunks of a stage are due at equal intervals. For the stage that the worker ran last, the time is a quarter of an
    interval earlier, because the stage's weights are in the worker's cache.
    """
    habit = f.value("sdiv i64 %interval, 4", "habit")
    earlier = f.value(f"select i1 {f.icmp('eq', 'i64', stage, '%last')}, i64 {habit}, i64 0", "earlier")
    later = f.value(f"add i64 {f.entry(table, 0)}, {f.value(f'mul i64 {chunk}, %interval')}", "later")
    return f.value(f"sub i64 {later}, {earlier}", "due")


def _claim(target: Target) -> str:
    """Return the LLVM text of a function in which a worker claims the pipeline stage to run next.

    Of the stages that no worker runs and whose next chunk can run, it claims the one that is due first.
    """
    f = IRBuilder()
    row = f.value("add i64 %count, 1", "row")

    def better(stage: str, best: str, best_state: str, best_due: str, is_open: str) -> list[str]:
        state, table = _state(f, stage), f.place("%stages", f.value(f"mul i64 {stage}, {row}", "offset"))
        chunk, busy = f.value(f"lshr i64 {state}, 1", "chunk"), f.value(f"trunc i64 {state} to i1", "busy")
        more = f.icmp("slt", "i64", f.value(f"mul i64 {chunk}, %step", "first"), "%stop")
        may = f.value(f"and i1 {more}, {f.negated(busy)}", "may")
        operands = f"ptr %states, ptr {table}, i64 %count, i64 {chunk}"
        can = f.either("i1", may, lambda: f.value(f"call i1 @can_claim({operands})", "ready"), lambda: "false")
        due = write_due(f, stage, table, chunk)
        wins = f.value(f"and i1 {can}, {f.icmp('slt', 'i64', due, best_due)}", "wins")
        pairs = (stage, best), (state, best_state), (due, best_due)
        chosen = [f.value(f"select i1 {wins}, i64 {new}, i64 {old}", "best") for new, old in pairs]
        return [*chosen, f.value(f"or i1 {is_open}, {more}", "open")]

    def attempt(spun: str) -> list[str]:
        first: Carried = [("i64", -1), ("i64", 0), ("i64", NEVER), ("i1", "false")]
        best, state, _, is_open = f.fold(first, "%count", better)

        def take() -> str:
            claimed, place = f.value(f"or i64 {state}, 1", "taken"), f.place("%states", best)
            exchange = f.value(f"cmpxchg ptr {place}, i64 {state}, i64 {claimed} acq_rel acquire, align 8", "exchange")
            f.return_if(f.value(f"extractvalue {{ i64, i1 }} {exchange}, 1", "mine"), f"i64 {best}")
            return "0"

        def wait() -> str:
            f.return_unless(is_open, "i64 -1")
            return write_spin(f, target, spun)

        return [f.either("i64", f.icmp("sge", "i64", best, 0), take, wait)]

    f.endless_loop([("i64", 0)], attempt)
    numbers = ("count", "stop", "step", "interval", "last")
    parameters = {"states": "ptr", "stages": "ptr", **dict.fromkeys(numbers, "i64"), "team": "ptr"}
    return f.function("claim", "i64", parameters, attributes="noinline #0")
