"""Memory of a train step of a language model of 190 million parameters."""

from __future__ import annotations

import subprocess
import sys

import pytest
from systems import WINDOWS

LIMITS = {"SGD": 4 << 30, "Adam": 6 << 30}
"""Maximum bytes of the process, by optimizer: parameters, gradients, moments, residuals, code and libraries."""
STEP = """
import resource, sys
import numpy as np
import rnngraph as rg

WIDTH, CLASSES, STEPS = 768, 65536, 512

class ChannelMix(rg.Cell):
    output_size = WIDTH
    def state(self):
        return rg.memory(WIDTH)
    def step(self, p, x, before):
        mixed = x + (before - x) * p.parameter("mix", (WIDTH,), 0.5)
        inner = rg.square(rg.relu(mixed @ p.kernel("key", (WIDTH, 4 * WIDTH))))
        return inner @ p.kernel("value", (4 * WIDTH, WIDTH)), x

def norm(x, name):
    return rg.layer_norm(x, rg.parameter(f"{name}/gamma", (WIDTH,), "ones"), epsilon=1e-5)

ids, labels = (rg.placeholder(name, (None, None), "int64") for name in ("ids", "labels"))
x = rg.gather(rg.parameter("table", (CLASSES, WIDTH)), ids)
for number in range(12):
    x = x + rg.dynamic_rnn(rg.RWKV7Cell(WIDTH // 64, 64), norm(x, f"time_{number}"))[0]
    x = x + rg.dynamic_rnn(ChannelMix(), norm(x, f"channels_{number}"))[0]
logits = rg.dense(norm(x, "end"), CLASSES, use_bias=False)
program = rg.compile({"last": logits[:, -1]}, loss=rg.sparse_softmax_cross_entropy(labels, logits))
trainer = rg.Trainer(program, getattr(rg, sys.argv[1])(1e-3))
tokens = np.random.default_rng(0).integers(0, CLASSES, (1, STEPS + 1))
for _ in range(2):
    trainer.step(ids=tokens[:, :-1], labels=tokens[:, 1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(WINDOWS or sys.platform == "darwin", reason="Linux counts a process's memory in KiB")
@pytest.mark.parametrize("optimizer", LIMITS)
def test_a_step_of_twelve_layers_stays_within_its_memory(optimizer: str) -> None:
    command = [sys.executable, "-c", STEP, optimizer]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not result.returncode, result.stderr
    assert int(result.stdout) << 10 <= LIMITS[optimizer]
