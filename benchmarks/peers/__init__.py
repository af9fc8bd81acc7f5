"""The peers: a module each, imported only where its framework is installed.

Each module has ``VERSION``, and these functions of a row:

- ``inference``, ``training`` and ``one_step`` give the ways to make a call, of which the fastest is timed; none for a
  workload that the framework has no form of. ``training`` gives the loss (the mean of squared outputs) and the
  gradients of all weights, none of the input's; ``one_step`` gives the output of one step and keeps the state for the
  next. Every call ends when its results are there.
- ``outputs(row, result)`` and ``learnt(row, result)`` read what a call of inference or of one step, and one of
  training, gave, so that it can be compared with ours: see ``agreement``.

All compute with the weights of ``weights.drawn``. Directions of a last layer stay apart where a framework gives them
so; nobody is made to copy them side by side.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from types import ModuleType

NAMES = ("onnxruntime", "openvino", "tract", "torch", "jax", "tensorflow")
"""Peers that run by default."""
LLAMA_CPP = "llama.cpp"
"""Peer of the group ``large`` alone, whose module has ``Model``."""

THREADS = 1
"""What the frameworks may use; ``installed`` sets it before it imports them."""
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TF_USE_LEGACY_KERAS": "1",  # TensorFlow's own dynamic_rnn needs the cells of Keras 2
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""What the frameworks read when they are imported."""
NARROW = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
"""Beside it, so that they take vectors of 256 bits at most."""


def installed(names: Iterable[str] = NAMES, threads: int = 1, wide: bool = True) -> dict[str, ModuleType]:
    """By name, the modules of the peers that can be imported here. wide: whether vectors may be of 512 bits."""
    global THREADS
    THREADS = threads
    limited = (ONE_THREAD if threads == 1 else {}) | ({} if wide else NARROW)
    os.environ.update({**ENVIRONMENT, "OMP_NUM_THREADS": str(threads)} | limited)
    found = {}
    for name in names:
        try:
            found[name] = importlib.import_module(f"peers.with_{name.replace('.', '_')}")
        except ImportError:
            continue
    return found
