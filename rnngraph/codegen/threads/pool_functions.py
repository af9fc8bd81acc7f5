"""LLVM text of the functions that a pool's threads run."""

from __future__ import annotations

from ...support.records import NamedTuple
from ..machine.ir_builder import IRBuilder
from ..machine.target import Target
from .barrier import LINE
from .floating_point_mode import floating_point_mode
from .pool_memory import FIRST, JOB
from .semaphore_calls import semaphore_calls
from .spin_wait import SPINS, pause, write_pause


def pool_text(target: Target) -> str:
    """Return the LLVM text of a pool's two functions. The first argument of both is the pool's memory.

    - ``pool_serve`` is the endless loop of a worker, whose index is the second argument. A worker without a job spins
      for a while, and then sleeps. It adopts the floating-point mode of the caller of a job.
    - ``pool_share`` runs the job that the job's line describes on several workers. The caller is the first worker.

    Words 1 and 2 of the first line are the addresses of the system's functions that wait for a semaphore and post it.
    Both functions have three parameters, so that one type describes them. Unused parameters are ignored.
    """
    declared = [pause(target)[1], *floating_point_mode(target).declarations]
    head = f'source_filename = "pool"\ntarget triple = "{target.triple}"\n'
    functions = [_serve(target), _share(target), *filter(None, declared)]
    return "\n".join([head, *functions, 'attributes #0 = { nounwind "no-builtins" }', ""])


class _Worker(NamedTuple):
    """Addresses of a worker's words: number of jobs assigned, number of jobs done, 1 while it sleeps, semaphore."""

    assigned: str
    done: str
    asleep: str
    semaphore: str


def _worker(f: IRBuilder, number: str) -> _Worker:
    """Write code for the addresses of a worker's words in the pool's memory. Return their names."""
    offset = f.value(f"mul i64 {number}, {3 * 64}", "offset")
    slot = f.moved(f.moved("%pool", 64 * FIRST), offset)
    return _Worker(slot, f.moved(slot, 64), f.moved(slot, 72), f.moved(slot, 128))


def _serve(target: Target) -> str:
    """Return the LLVM text of a worker's endless loop, which polls for jobs and runs them.

    A worker that has polled in vain for a while sleeps until it gets a job.
    """
    f = IRBuilder()
    job, own_state, wait = f.moved("%pool", 64 * JOB), _worker(f, "%worker"), f.entry("%pool", 1, "ptr")

    def sleep(last: str) -> str:
        f.do(f"store atomic i64 1, ptr {own_state.asleep} seq_cst, align 8")
        seen = f.value(f"load atomic i64, ptr {own_state.assigned} seq_cst, align 8", "seen")
        with f.when(f.icmp("eq", "i64", seen, last)):
            semaphore_calls(target).wait(f, wait, own_state.semaphore)
        f.do(f"store atomic i64 0, ptr {own_state.asleep} seq_cst, align 8")
        return "0"

    def serve(last: str) -> list[str]:
        (begin,) = f.labels("begin")

        def poll(looks: str) -> list[str]:
            seen = f.value(f"load atomic i64, ptr {own_state.assigned} acquire, align 8", "seen")
            f.branch_if(f.icmp("ne", "i64", seen, last), begin)
            write_pause(f, target)
            following = f.value(f"add i64 {looks}, 1", "looks")
            is_long = f.icmp("uge", "i64", following, 2 * SPINS)
            return [f.either("i64", is_long, lambda: sleep(last), lambda: following)]

        f.endless_loop([("i64", 0)], poll)
        f.start(begin)
        number = f.value(f"load atomic i64, ptr {own_state.assigned} acquire, align 8", "number")
        function = f.entry(job, 0, "ptr")
        floating_point_mode(target).adopt(f, f.place(job, 3))
        arguments, workers = f.entry(job, 1, "ptr"), f.entry(job, 2)
        f.do(f"call void {function}(ptr {arguments}, i64 %worker, i64 {workers})")
        f.do(f"store atomic i64 {number}, ptr {own_state.done} release, align 8")
        return [number]

    f.endless_loop([("i64", 0)], serve)
    return f.function("pool_serve", "void", {"pool": "ptr", "worker": "i64", "unused": "i64"}, linkage="")


def _share(target: Target) -> str:
    """Return the LLVM text of a function with which a caller runs a job together with a pool's workers.

    The function clears the counts of barriers, assigns the job to the workers, wakes those that sleep, runs the
    caller's share, and waits for the others.
    """
    f = IRBuilder()
    job = f.moved("%pool", 64 * JOB)
    floating_point_mode(target).save(f, f.place(job, 3))
    function, arguments, workers = f.entry(job, 0, "ptr"), f.entry(job, 1, "ptr"), f.entry(job, 2)
    yield_core, post = f.entry("%pool", 0, "ptr"), f.entry("%pool", 2, "ptr")
    others = f.value(f"sub i64 {workers}, 1", "others")
    with f.loop(workers, "line") as line:
        f.do(f"store i64 0, ptr {f.place('%pool', f.value(f'add i64 {line}, 1', 'line'), LINE)}")
    with f.loop(others, "give") as other:
        its = _worker(f, f.value(f"add i64 {other}, 1", "worker"))
        number = f.value(f"add i64 {f.value(f'load i64, ptr {its.assigned}', 'before')}, 1", "number")
        f.do(f"store atomic i64 {number}, ptr {its.assigned} seq_cst, align 8")
        slept = f.value(f"atomicrmw xchg ptr {its.asleep}, i64 0 seq_cst", "slept")
        with f.when(f.icmp("eq", "i64", slept, 1)):
            semaphore_calls(target).post(f, post, its.semaphore)
    f.do(f"call void {function}(ptr {arguments}, i64 0, i64 {workers})")
    with f.loop(others, "join") as other:
        its = _worker(f, f.value(f"add i64 {other}, 1", "worker"))
        _await(f, target, its, yield_core)
    f.ret()
    return f.function("pool_share", "void", {"pool": "ptr", "unused": "i64", "unused2": "i64"}, linkage="")


def _await(f: IRBuilder, target: Target, worker: _Worker, yield_core: str) -> None:
    """Write a loop that waits until a worker has finished its job. The function ``yield_core`` yields the core."""
    wanted, (finished,) = f.value(f"load i64, ptr {worker.assigned}", "wanted"), f.labels("there")

    def poll(looks: str) -> list[str]:
        seen = f.value(f"load atomic i64, ptr {worker.done} acquire, align 8", "seen")
        f.branch_if(f.icmp("eq", "i64", seen, wanted), finished)
        write_pause(f, target)
        following = f.value(f"add i64 {looks}, 1", "looks")
        low = f.value(f"and i64 {following}, {SPINS - 1}", "low")
        with f.when(f.icmp("eq", "i64", low, 0)):
            f.do(f"call void {yield_core}()")
        return [following]

    f.endless_loop([("i64", 0)], poll)
    f.start(finished)
