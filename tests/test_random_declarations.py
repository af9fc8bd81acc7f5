"""All checks on random declarations: native code against the interpreter, pass by pass, and in streams.

A failure prints the declaration, its seed and the graph. ``python tests/helpers/declaration_checks.py SEED`` runs one
seed and removes the lines that its failure does not need.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import teams
from chained_drivers import declare_chain
from declaration_checks import check_all, close
from declarations import Declaration, Value, declare, shrunk
from interleaved import interleave_everything
from wired_cells import declare_cell

from rnngraph.codegen.buffers import buffer_reuse as overwriting
from rnngraph.codegen.cost_model import chunk_length as chunks
from rnngraph.codegen.schedule.analyse import entry_analysis

QUICK = 4
MANY = 1000
WAITS = (0.0, 500.0)
"""Assumed cost of a barrier in cycles: all kernels are split, or small ones are not."""


def declare_any(seed: int) -> Declaration:
    """Return a declaration of layers, of consecutive drivers, or of a random cell, in turn."""
    return (declare, declare_chain, declare_cell)[seed % 3](seed)


@pytest.mark.parametrize("seed", range(1))
def test_random_declaration(seed: int) -> None:
    check_all(declare(seed))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1, MANY))
def test_many_random_declarations(seed: int) -> None:
    check_all(declare(seed))


@pytest.mark.parametrize("seed", range(1))
def test_random_consecutive_drivers(seed: int) -> None:
    check_all(declare_chain(seed))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1, MANY // 2))
def test_many_random_consecutive_drivers(seed: int) -> None:
    check_all(declare_chain(seed))


@pytest.mark.parametrize("seed", range(QUICK))
def test_random_cell(seed: int) -> None:
    check_all(declare_cell(seed))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(QUICK, 3 * MANY))
def test_many_random_cells(seed: int) -> None:
    check_all(declare_cell(seed))


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set chunks of two steps, so that short sequences have several chunks, of which the last may be shorter."""
    original = entry_analysis.chunk_length

    def two_steps(*arguments: Any) -> int:
        longest = original(*arguments)
        return longest if longest == chunks.MAX_CHUNK else min(longest, 2)

    monkeypatch.setattr(entry_analysis, "chunk_length", two_steps)
    monkeypatch.setattr(overwriting, "MIN_STEPS", 1)


@pytest.mark.usefixtures("short_chunks")
@pytest.mark.parametrize("seed", [*range(100, 100 + QUICK // 2), 19])
def test_random_declaration_in_short_chunks(seed: int) -> None:
    check_all(declare(seed))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("short_chunks")
@pytest.mark.parametrize("seed", range(MANY // 2))
def test_many_random_declarations_in_short_chunks(seed: int) -> None:
    check_all(declare(seed))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(MANY // 2))
def test_many_random_declarations_with_interleaved_scans(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    interleave_everything(monkeypatch, 1 + seed % 3, bool(seed % 2))
    check_all(declare_any(seed))


@pytest.mark.usefixtures("short_chunks")
@pytest.mark.parametrize("seed", range(503, 504))
def test_random_declaration_of_a_team(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, barrier_cycles=WAITS[seed % 2])
    teams.check_turns(declare_any(seed), 2 + seed // 2 % 2, monkeypatch)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("short_chunks")
@pytest.mark.parametrize("seed", range(MANY // 2))
def test_many_random_declarations_of_a_team(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, barrier_cycles=WAITS[seed % 2])
    teams.check_turns(declare_any(seed), 2 + seed // 2 % 2, monkeypatch)


@pytest.mark.parametrize("seed", range(600, 601))
def test_random_declaration_in_pipelines(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_in_pipelines(monkeypatch, steps=1 + seed % 2, barrier_cycles=WAITS[seed // 2 % 2])
    teams.check_turns(declare_any(seed), 2 + seed // 2 % 2, monkeypatch)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(MANY // 2))
def test_many_random_declarations_in_pipelines(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_in_pipelines(monkeypatch, steps=1 + seed % 2, barrier_cycles=WAITS[seed // 2 % 2])
    teams.check_turns(declare_any(seed), 2 + seed // 2 % 2, monkeypatch)


@pytest.mark.exhaustive
def test_the_generator_covers_its_cases() -> None:
    text = "\n".join(declare(seed).text() for seed in range(1000))
    wanted = [
        "BasicRNNCell",
        "BasicLSTMCell",
        "LSTMCell",
        "use_peepholes",
        "cell_clip",
        "num_proj",
        "proj_clip",
        "state_is_tuple=False",
        "reset_after=True",
        "reset_after=False",
        "DropoutWrapper",
        "input_keep_prob",
        "output_keep_prob",
        "state_keep_prob",
        "keep0",
        "variational_recurrent",
        "ResidualWrapper",
        "HighwayWrapper",
        "couple_carry",
        "ZoneoutWrapper",
        "OutputProjectionWrapper",
        "BahdanauAttention",
        "LuongAttention",
        "WeightDrop",
        "DeltaCell",
        "Tapped",
        "rg.tap(",
        "(None, None, 1)",
        "dynamic_decode",
        "stop=lambda y: rg.by_graph",
        "stop=lambda y: rg.reduce_max",
        "teacher_prob=0.5",
        "teacher_prob=keep",
        "inputs=",
        "rg.argmax(x)",
        "LayerNormBasicLSTMCell",
        "CoupledInputForgetGateLSTMCell",
        "NASCell",
        "UGRNNCell",
        "IntersectionRNNCell",
        "IndRNNCell",
        "SRUCell",
        "MinimalRNNCell",
        "CFNCell",
        "rg.static_rnn",
        "stack_bidirectional",
        "cumsum",
        "exclusive=True, reverse=True",
        "conv1d",
        "strides=",
        "groups=",
        "max_pool1d",
        "average_pool1d",
        "rg.pad(",
        "::-2]",
        "::3]",
        "dilation",
        "reverse_sequence",
        "rg.dropout(",
        "random_normal",
        "random_uniform",
        "by_graph",
        "rg.shared",
        "MultiRNNCell",
        "sequence_length",
        "initial_state=(",
        "initial_state=s",
        "time_major",
        "float64",
        "bidirectional",
        "scope=",
        "reduce_sum",
        "reduce_mean",
        "reduce_max",
        "reduce_min",
        "softmax",
        "log_softmax",
        "concat",
        "split",
        "stack",
        "tile",
        "transpose",
        "reshape",
        "expand_dims",
        "squeeze",
        "argmax",
        "one_hot",
        "gather(",
        "embedding(",
        "gather_last",
        "layer_norm",
        "where",
        "cross_entropy",
        "lengths=",
        "weights=",
        "dense",
        "parameter",
        "::-1",
        "::2",
        "GatedCell",
        "NormCell",
        "UnusedStateCell",
        "PassThroughCell",
        "DelayCell",
        "SwapCell",
        "RotateCell",
        "DeepCell",
        "LearnedStartCell",
        "CaptureCell",
        "ConstantCell",
        "MemoryCell",
    ]
    assert [word for word in wanted if word not in text] == []


def test_a_wrong_value_is_detected() -> None:
    """The comparison detects an error beyond rounding, and NaN."""
    wide = np.linspace(-1, 1, 7)
    near = wide.astype(np.float32)
    assert close("float32", near, wide) == ""
    for wrong in (np.float32(1e-3), np.float32("nan")):
        changed = near.copy()
        changed[3] += wrong
        assert close("float32", changed, wide) != ""
    assert close("float32", near[:6], wide) != ""


def test_shrinking_keeps_the_failure() -> None:
    lines = ('a = rg.placeholder("a", (3,))', "b = a + 1", "c = a * 2", 'outputs["r"] = c', 'outputs["s"] = b')
    whole = Declaration(0, lines, {}, {"r": Value("c", (3,)), "s": Value("b", (3,))}, 1, 1, "float32")
    smaller = shrunk(whole, lambda part: any("* 2" in line for line in part.lines))
    assert smaller.lines == (lines[0], lines[2], lines[3])
    assert list(smaller.outputs) == ["r"]
