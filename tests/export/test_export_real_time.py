"""An exported net on a real-time thread, run in a child process that any system call or allocation kills."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exported import Instance, program_of
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.codegen.machine.target import host

HARNESS = """\
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/seccomp.h>
#include <unistd.h>
#include "net.h"

void *__libc_malloc(size_t count);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t count);
void __libc_free(void *old);

static volatile int armed;

static void trap(const char *what)
{
    if (armed) {
        write(1, what, strlen(what));
        syscall(SYS_exit, 3);
    }
}

void *malloc(size_t count) { trap("malloc"); return __libc_malloc(count); }
void *calloc(size_t count, size_t size) { trap("calloc"); return __libc_calloc(count, size); }
void *realloc(void *old, size_t count) { trap("realloc"); return __libc_realloc(old, count); }
void free(void *old) { trap("free"); __libc_free(old); }
int pthread_mutex_lock(pthread_mutex_t *lock) { (void)lock; trap("lock"); return 0; }
int pthread_mutex_unlock(pthread_mutex_t *lock) { (void)lock; trap("unlock"); return 0; }

DECLARATIONS

int main(int count, char **given)
{
    long step, calls = atol(given[1]), block = atol(given[2]);
    unsigned seed = 1;
    for (step = 0; step < (long)(sizeof x / sizeof *x); step++) {
        seed = seed * 1664525u + 1013904223u;
        x[step] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
    if (BEGIN)
        return 1;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        return 4;
    armed = 1;
    if (count > 3)
        TROUBLE;
    for (step = 0; step < calls; step++) {
        CALL
        if (y[0] != y[0])
            break;
    }
    write(1, step == calls ? "ok" : "nan", step == calls ? 2 : 3);
    syscall(SYS_exit, 0);
    return 0;
}
"""

STREAM = {
    "DECLARATIONS": """\
static uint64_t memory[NET_STATE_SIZE / 8 + 1];
static float x[64 * NET_X_STEP], y[64 * NET_Y_STEP];
""",
    "BEGIN": "net_init(memory) != 0",
    "CALL": """\
if (block)
            net_process(memory, (size_t)block, x, y);
        else
            net_step(memory, x + step % 64 * NET_X_STEP, y);
""",
}
SEQUENCE = {
    "DECLARATIONS": """\
static unsigned char scratch[1 << 16];
static float x[NET_X_ELEMENTS(2, 64)], y[NET_Y_ELEMENTS(2, 64)];
static const int32_t n[2] = { 5, -1 };
""",
    "BEGIN": "net_scratch_size(2, 64) > sizeof scratch",
    "CALL": """\
if (net_run(NULL, 2, (size_t)(block + step % 8), x, n, y, scratch) != 0)
            break;
        if (net_run(NULL, SIZE_MAX, (size_t)block, x, n, y, scratch) != 1)
            break;
""",
}

needs_linux = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler"
)


def small() -> rg.Program:
    x = rg.placeholder("x", shape=(None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.BasicLSTMCell(8), rg.GRUCell(7)]), x)
    return program_of({"y": rg.dense(outputs, 2)})


def build(folder: Path, trouble: str, form: dict[str, str] = STREAM) -> None:
    text = HARNESS.replace("TROUBLE", trouble)
    for mark, part in form.items():
        text = text.replace(mark, part)
    (folder / "harness.c").write_text(text)
    command = ["cc", "-O1", "-fno-builtin", "harness.c", "net.o", "-o", "harness", "-lpthread"]
    subprocess.run(command, cwd=folder, check=True)


def run(folder: Path, *arguments: int) -> tuple[int, str]:
    done = subprocess.run(["./harness", *map(str, arguments)], cwd=folder, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout


@needs_linux
def test_a_million_calls_without_a_system_call_or_an_allocation(tmp_path: Path) -> None:
    small().inference.export(tmp_path, "net", link=False)
    build(tmp_path, ";")
    assert run(tmp_path, 1_000_000, 0) == (0, "ok")
    assert run(tmp_path, 1_000_000, 1) == (0, "ok")
    assert run(tmp_path, 5_000, 64) == (0, "ok")


@needs_linux
def test_sequences_without_a_system_call_or_an_allocation(tmp_path: Path) -> None:
    x, n = rg.placeholder("x", shape=(None, None, 3)), rg.placeholder("n", shape=(None,), dtype="int32")
    outputs, _ = rg.bidirectional_dynamic_rnn(rg.BasicLSTMCell(8), rg.GRUCell(7), x, sequence_length=n)
    program = program_of({"y": rg.dense(rg.reduce_max(rg.concat(outputs, 2), 1), 2)})
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    build(tmp_path, ";", SEQUENCE)
    assert run(tmp_path, 20_000, 1) == (0, "ok")
    assert run(tmp_path, 1_000, 56) == (0, "ok")


@needs_linux
@pytest.mark.parametrize(
    ("trouble", "code"), [("free(malloc(1))", 3), ("pthread_mutex_lock(NULL)", 3), ("(void)getppid()", -9)]
)
def test_the_harness_catches(trouble: str, code: int, tmp_path: Path) -> None:
    small().inference.export(tmp_path, "net", link=False)
    build(tmp_path, trouble)
    assert run(tmp_path, 1, 0, 1)[0] == code


def test_nan_stays_in_its_instance(tmp_path: Path) -> None:
    program = small()
    program.inference.export(tmp_path, "net", link=False)
    x = np.random.default_rng(0).standard_normal((1, 20, 3)).astype(np.float32)
    expected = program.inference(x=x)["y"]
    well, ill = Instance(tmp_path, "net", host()), Instance(tmp_path, "net", host())
    for step in range(20):
        assert np.isnan(ill.step(x=np.full((1, 3), np.nan))["y"]).all()
        assert_array_equal(well.step(x=x[:, step])["y"], expected[:, step])
    ill.reset()
    assert_array_equal(ill.process(20, x=x)["y"], expected)


def test_states_that_decay_through_denormal_numbers(tmp_path: Path) -> None:
    """States that decay to denormals and zero have Python's bits, because C uses the same floating-point mode."""
    h = rg.placeholder("x", shape=(None, None, 3))

    class Leak(rg.Cell):
        def state(self) -> dict[str, int]:
            return {"h": 5}

        def step(self, p: object, x: rg.Tensor, state: dict[str, rg.Tensor]) -> object:
            h = state["h"] * 0.25 + x[:, :1]
            return h, {"h": h}

    program = program_of(rg.dynamic_rnn(Leak(), h)[0])
    program.inference.export(tmp_path, "net", link=False)
    x = np.zeros((1, 90, 3), np.float32)
    x[:, 0] = 1
    actual = next(iter(Instance(tmp_path, "net", host()).process(90, x=x).values()))
    assert_array_equal(actual, program.inference(x=x))
    assert_array_equal(actual[0, :, 0], np.float32(0.25) ** np.arange(90, dtype=np.float64).astype(np.float32))
