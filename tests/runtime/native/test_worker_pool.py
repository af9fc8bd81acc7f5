"""The pool of worker threads: several callers, forks, exits of processes, and idle workers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import teams
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.runtime.native.worker_pool import POOL, ThreadCount

SCRIPT = """
import os, sys, threading, time
import numpy as np
import rnngraph as rg
from rnngraph.runtime.native import adaptive_threads, entry
from rnngraph.runtime.native import worker_pool as pool

pool.cores = lambda: 3
entry.MIN_CYCLES = adaptive_threads.TRIALS = 0
x = rg.placeholder("x", (None, None, 64))
outputs, _ = rg.dynamic_rnn(rg.GRUCell(128), x)
program = rg.compile(outputs, threads=3, cache=False)
feed = np.random.default_rng(0).normal(size=(32, 20, 64)).astype("float32")
first = program.inference(x=feed)
assert pool.POOL._started == 3
"""


def program_of(units: int, threads: int) -> rg.Program:
    x = rg.placeholder("x", (None, None, 7))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(units), x)
    return rg.compile(outputs, threads=threads, seed=1, cache=False)


def feed(batch: int, steps: int) -> np.ndarray:
    return np.random.default_rng(batch).normal(size=(batch, steps, 7)).astype(np.float32)


def run(script: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + script], capture_output=True, text=True, timeout=seconds, check=False
    )


def test_several_programs_called_from_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, 3)
    alone = {units: program_of(units, 1).inference(x=feed(5, 9)) for units in (17, 63)}
    programs = {units: program_of(units, 3) for units in alone}
    gate = threading.Barrier(4)

    def work(number: int) -> None:
        gate.wait()
        units = (17, 63)[number % 2]
        for _ in range(30):
            assert_array_equal(programs[units].inference(x=feed(5, 9)), alone[units])

    with ThreadPoolExecutor(4) as executor:
        for future in [executor.submit(work, number) for number in range(4)]:
            future.result()


def test_a_call_runs_alone_while_another_one_has_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, 2)
    program, alone = program_of(25, 2), program_of(25, 1).inference(x=feed(3, 5))
    assert_array_equal(program.inference(x=feed(3, 5)), alone)
    with POOL._free:
        assert_array_equal(program.inference(x=feed(3, 5)), alone)


def test_threads_change_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, 3)
    program = program_of(25, 1)
    stream, whole = program.inference.stream(batch=3), program.inference(x=feed(3, 6))
    for step, threads in enumerate((1, 3, 3, 2, 2, 1)):
        program.threads = threads
        assert program.threads == threads
        assert_array_equal(stream.step(x=feed(3, 6)[:, step]), whole[:, step])


def test_a_trainer_gives_the_same_parameters_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, 3)
    results = []
    for threads in (1, 3):
        x = rg.placeholder("x", (None, None, 7))
        outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(rg.BasicLSTMCell(17), output_keep_prob=0.8), x)
        loss = rg.reduce_mean(rg.square(rg.dense(outputs[:, -1], 3)))
        program = rg.compile(outputs, loss=loss, threads=threads, seed=1, cache=False)
        trainer = rg.Trainer(program, rg.Adam(1e-2), clip_norm=1.0)
        losses = [trainer.step(x=feed(5, 7)) for _ in range(3)]
        results.append((losses, dict(program.parameters)))
    assert results[0][0] == results[1][0]
    for name, array in results[0][1].items():
        assert_array_equal(results[1][1][name], array, name)


def test_parts_are_no_more_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnngraph.runtime.native.worker_pool.cores", lambda: 2)
    workers = ThreadCount()
    workers.set(7)
    assert (workers.count, workers.parts) == (7, 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_makes_workers_of_its_own() -> None:
    done = run(
        """
child = os.fork()
again = program.inference(x=feed)
assert (again == first).all() and pool.POOL._started == 3
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("ok")
"""
    )
    assert done.stdout == "ok\n", done.stderr


def test_a_process_ends_with_work_in_flight() -> None:
    done = run(
        """
def work():
    while True:
        program.inference(x=feed)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
print("ok")
"""
    )
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr


def test_workers_sleep_without_work() -> None:
    """Workers without work take little processor time; two spinning ones would take two seconds."""
    done = run(
        """
time.sleep(0.2)
before = time.process_time()
time.sleep(1.0)
print(time.process_time() - before)
assert (program.inference(x=feed) == first).all()
"""
    )
    assert float(done.stdout) < 0.5, done.stderr


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2", None])
def test_threads_are_a_positive_int(threads: object) -> None:
    with pytest.raises(rg.RnnGraphError, match="threads"):
        program_of(7, threads)  # type: ignore[arg-type]
