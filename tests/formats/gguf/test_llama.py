"""Logits against llama.cpp's, for whole sequences and step by step, for every architecture and type."""

from __future__ import annotations

import numpy as np
import pytest
from gguf_files import NETS, gguf_file, ids
from gguf_reference import logits as reference

import rnngraph as rg

pytestmark = pytest.mark.llama
BOUNDS = {"F32": 1e-5, "F16": 5e-3, "BF16": 0.03, "Q8_0": 0.04, "Q4_0": 0.04}
"""Maximum root mean square of differences. With narrow weights, llama.cpp rounds activations to 16 or 8 bits."""


def size(differences: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(differences))))


@pytest.mark.parametrize("kind", BOUNDS)
@pytest.mark.parametrize("architecture", NETS)
@pytest.mark.parametrize("seed", [0, 1])
def test_logits_are_those_of_llama_cpp(architecture: str, kind: str, seed: int) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    from llama_logits import llama_logits

    file, tokens = gguf_file(architecture, kind, seed), ids(1, 20, seed)
    program = rg.read_gguf(file.data).program()
    (actual,) = program.inference(ids=tokens)["logits"]
    exact = reference(file, architecture, tokens)[0]
    for by_steps in (False, True):
        theirs = llama_logits(file.data, tokens[0], by_steps)
        assert size(actual - theirs) < BOUNDS[kind]
        assert size(actual - exact) < 1.5 * size(theirs - exact) + 1e-5
