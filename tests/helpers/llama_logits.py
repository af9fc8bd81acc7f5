"""Logits of llama.cpp, computed by llama-cpp-python."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np


def llama_logits(data: bytes, ids: np.ndarray, by_steps: bool = False) -> np.ndarray:
    """Return the logits [steps, vocabulary] of ids [steps]. ``by_steps`` evaluates one token per call."""
    from llama_cpp import Llama

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.gguf"
        path.write_bytes(data)
        net = Llama(str(path), n_ctx=64, n_batch=64, n_threads=1, logits_all=True, verbose=False)
        for part in [[int(token)] for token in ids] if by_steps else [[int(token) for token in ids]]:
            net.eval(part)
        logits = np.array(net.scores[: len(ids)])
        net.close()
        return logits
