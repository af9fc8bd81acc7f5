"""Peers: frameworks that rnngraph is compared with. Each has a module, imported only if the framework is installed.

Each module has ``VERSION``, and these functions of a row:

- ``inference``, ``training`` and ``one_step`` return variants of a call, of which the fastest is timed; none if the
  framework can't express the workload. A call of ``training`` computes the loss (the mean of squared outputs) and the
  gradients of all weights, but not of the input. A call of ``one_step`` computes the output of one step, and keeps the
  state for the next. Every call returns when its results are complete.
- ``outputs(row, result)`` and ``learnt(row, result)`` convert the results of inference (or of one step) and of training
  to the common form for comparison: see ``agreement``.

All peers compute with the weights of ``weights.drawn``. The outputs of the last layer's directions may stay separate
arrays, so that no framework has to concatenate them.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from types import ModuleType

NAMES = ("onnxruntime", "openvino", "tract", "torch", "jax", "tensorflow")
"""Peers that run by default."""
LLAMA_CPP = "llama.cpp"
"""Peer of the group ``large`` only. Its module has the class ``Model`` instead of the functions."""

THREADS = 1
"""Number of threads of the frameworks. ``installed`` sets it before it imports their modules."""
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TF_USE_LEGACY_KERAS": "1",  # TensorFlow's own dynamic_rnn needs the cells of Keras 2
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""Environment variables that the frameworks read at import."""
NARROW = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
"""Further variables that limit the frameworks to vectors of 256 bits."""


def installed(names: Iterable[str] = NAMES, threads: int = 1, wide: bool = True) -> dict[str, ModuleType]:
    """Return the modules of the peers that can be imported, by name. ``wide`` allows 512-bit vectors."""
    global THREADS
    THREADS = threads
    limited = (ONE_THREAD if threads == 1 else {}) | ({} if wide else NARROW)
    os.environ.update({**ENVIRONMENT, "OMP_NUM_THREADS": str(threads)} | limited)
    modules = {}
    for name in names:
        try:
            modules[name] = importlib.import_module(f"peers.with_{name.replace('.', '_')}")
        except ImportError:
            continue
    return modules
