"""Forks of processes with threads: the child finds every lock free, and nobody waits for ever."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import rnngraph as rg
from rnngraph import forks

OTHERS = {
    "forks.py": "what all the others are made by",
    "runtime/calls/call_cache.py": "nobody waits for it",
    "runtime/native/worker_pool.py": "the child of a fork has none of its threads, and begins anew",
    "tf1/summary/event_file.py": "a log belongs to one process",
    "training/steps/stepper.py": "a training may hold it for hours",
}
"""Files with locks that a fork does not wait for."""


def test_one_thread_forks_at_a_time() -> None:
    forks._before()
    done = threading.Event()

    def fork() -> None:
        forks._before()
        forks._after()
        done.set()

    late = forks.fork_lock()
    other = threading.Thread(target=fork)
    other.start()
    assert not done.wait(0.1)
    forks._after()
    assert done.wait(60)
    other.join()
    assert late.acquire(blocking=False)
    late.release()


def test_who_holds_a_lock_may_wait_for_another_and_make_one() -> None:
    locks = [forks.fork_lock() for _ in range(6)]
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with locks[3]:
            begun.set()
            end.wait(0.1)  # until a fork has begun
            for lock in (*locks, forks.fork_lock()):
                with lock:
                    pass

    def fork() -> None:
        begun.wait(60)
        forks._before()
        forks._after()

    threads = [threading.Thread(target=target, daemon=True) for target in (hold, fork)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert all(lock.acquire(blocking=False) for lock in locks)


def test_a_fork_waits_for_all_locks() -> None:
    package = Path(rg.__file__).parent
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"threading\.R?Lock\(", path.read_text())
    }
    assert found == OTHERS.keys()
