"""The peers: a module each, imported only where its framework is installed.

Each module has ``VERSION``, ``inference(row)`` and ``training(row)``, which give a call, or None for a workload that
the framework has no form of. ``training`` gives the loss (the mean of squared outputs) and the gradients of all
weights, none of the input's. Every call ends when its results are there.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from types import ModuleType

NAMES = ("onnxruntime", "torch", "jax", "tensorflow")

THREADS = 1
"""What the frameworks may use; ``installed`` sets it before it imports them."""
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TF_USE_LEGACY_KERAS": "1",  # TensorFlow's own dynamic_rnn needs the cells of Keras 2
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""What the frameworks read when they are imported."""


def installed(names: Iterable[str] = NAMES, threads: int = 1) -> dict[str, ModuleType]:
    """By name, the modules of the peers that can be imported here."""
    global THREADS
    THREADS = threads
    os.environ.update({**ENVIRONMENT, "OMP_NUM_THREADS": str(threads)} | (ONE_THREAD if threads == 1 else {}))
    found = {}
    for name in names:
        try:
            found[name] = importlib.import_module(f"peers.with_{name}")
        except ImportError:
            continue
    return found
