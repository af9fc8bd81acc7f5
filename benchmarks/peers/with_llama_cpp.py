"""llama.cpp: language models in GGUF, through llama-cpp-python's bindings of the C interface."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from workloads import Call

import peers

VERSION = llama_cpp.__version__
CONTEXT = 1 << 16
"""Maximum tokens of a sequence, after which a new one begins. A recurrent net needs the same memory for any length."""


class Model:
    """Net of a GGUF file, with the state of one sequence."""

    def __init__(self, path: Path, prompt: int) -> None:
        """Load a file. ``prompt`` is the maximum number of tokens of a call."""
        self._net = llama_cpp.Llama(
            os.fspath(path),
            n_ctx=CONTEXT,
            n_batch=prompt,
            n_ubatch=prompt,
            n_threads=peers.THREADS,
            n_threads_batch=peers.THREADS,
            verbose=False,
        )
        self._context: Any = self._net._ctx.ctx
        self._classes = self._net.n_vocab()
        self._position = 0

    def call(self, ids: np.ndarray, is_new: bool) -> Call:
        """Return a call that runs ids, in a new sequence if ``is_new``, and returns the last token's logits."""
        tokens = (llama_cpp.llama_token * len(ids))(*map(int, ids))

        def run() -> np.ndarray:
            if is_new or self._position + len(ids) > CONTEXT:
                llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
                self._position = 0
            if llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(tokens, len(ids))):
                raise RuntimeError("llama.cpp could not run the tokens")
            self._position += len(ids)
            return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, -1), (self._classes,))

        return run
