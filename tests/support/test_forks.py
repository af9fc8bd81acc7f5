"""Forks wait for holders of locks, so that calls continue in the child, and acquire locks in the common order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.support import forks

BY_THEMSELVES = {
    "support/forks.py": "makes them",
    "runtime/parameters.py": "gives one to forks",
    "runtime/native/worker_pool.py": "a child begins without workers, and with a new lock",
    "storage/stored_array.py": "is for systems without preadv, which have no forks either",
    "tf1/summary/event_file.py": "a child writes no summaries of its parent's",
}

SCRIPT = """
import os, signal, threading, time
import numpy as np
import rnngraph as rg
from rnngraph.codegen.machine import engine
from rnngraph.ir.sizes import parser
from rnngraph.runtime.direct.direct_code import DIRECT

x = rg.placeholder("x", (None, None, 3))
outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x)
program = rg.compile({"y": outputs}, loss=rg.reduce_sum(outputs), cache=False)
feed = np.ones((2, 5, 3), np.float32)
wanted = program.inference(x=feed)["y"]
trainer, compiled, pool = rg.Trainer(program), program.inference.compiled, program.inference.streams(2)
program.training.gradients(x=feed)
(entry,) = compiled.native_entries()
program.inference(x=feed)
calls = program.inference._calls.recent
locks = {
    "step": trainer._stepper.lock, "pool": pool._lock, "graph": compiled._lock, "calls": calls._lock,
    "entry": entry._lock, "direct": DIRECT._lock, "parameters": program.parameters.counter().lock,
    "seeds": program.parts.seeds._lock, "llvm": engine._LOCK, "parsing": parser._PARSING,
}
for name, lock in locks.items():
    held = threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(0.05)

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        if not lock.acquire(timeout=1):
            os._exit(1)
        lock.release()
        os._exit(0)
    other.join()
    assert lock.acquire(timeout=1)
    lock.release()
    if os.waitpid(child, 0)[1]:
        print("held in the child:", name)

gate = threading.Event()


def go_on(call):
    while not gate.is_set():
        call()


other, handle = rg.Trainer(program), pool.open()
work = [
    lambda: program.inference(x=feed),
    lambda: program.training.gradients(x=feed),
    lambda: trainer.step(x=feed),
    lambda: other.fit({"x": feed}, batch_size=1, epochs=50, resume=False, progress=False),
    lambda: pool.step_rows([handle], x=feed[:1, 0]),
]
threads = [threading.Thread(target=go_on, args=(call,)) for call in work]
[thread.start() for thread in threads]
for _ in range(5):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        [call() for call in work]
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("a child hangs or fails")
gate.set()
print("done")
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without forks")


def test_a_child_finds_all_locks_free() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_all_locks_are_registered_for_forks() -> None:
    root = Path(rg.__file__).parent
    bare = re.compile(r"threading\.R?Lock\(\)")
    actual = {str(path.relative_to(root)) for path in root.rglob("*.py") if bare.search(path.read_text())}
    assert actual == {*BY_THEMSELVES}


def test_a_fork_continues_although_a_thread_keeps_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a thread keeps a lock, a fork continues after a timeout and acquires the other locks in order."""
    mine, kept = forks.fork_lock(forks.LockLevel.ENTRY), forks.fork_lock(forks.LockLevel.RUN, threading.Lock())
    known = {forks.fork_lock(order): order for order in reversed(forks.LockLevel)} | {mine: forks.LockLevel.ENTRY}
    known[kept] = forks.LockLevel.RUN
    monkeypatch.setattr(forks, "_LOCKS", forks.WeakKeyDictionary(known))
    monkeypatch.setattr(forks, "FORK_TIMEOUT_S", 0.01)
    with kept, mine:
        forks._before()
        assert kept not in forks._locked
        assert [known[lock] for lock in forks._locked] == sorted(order for lock, order in known.items() if lock != kept)
        forks._after()
    assert not forks._locked
    assert not kept.locked()


def test_steps_let_a_waiting_fork_run_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop of steps lets a waiting fork run first, but waits only for a limited time."""
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(2), x)
    program = rg.compile({"y": outputs}, loss=rg.reduce_sum(outputs))
    trainer, pool, feed = rg.Trainer(program), program.inference.streams(1), np.ones((1, 2, 3), np.float32)
    handle = pool.open()
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            forks.WAITING.clear()

    monkeypatch.setattr(forks, "sleep", nap)
    for step in (
        lambda: trainer.step(x=feed),
        lambda: trainer.fit({"x": feed}, progress=False),
        lambda: pool.step_rows([handle], x=feed[:, 0]),
        lambda: pool.step({handle: {"x": feed[0, 0]}}),
    ):
        step()
        assert not naps
        forks.WAITING.append(1)
        step()
        assert len(naps) == 3
        naps.clear()
    monkeypatch.setattr(forks, "MAX_YIELD_S", 0.0)
    forks.WAITING.append(1)
    trainer.step(x=feed)
    forks.WAITING.clear()
    assert not naps
