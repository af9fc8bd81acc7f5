"""Scans beside each other: the bits of scans one after the other, and nothing read before it is there."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import own_cells
import pytest
from declaration_checks import flat
from interleaved import interleave_everything, interleave_nothing
from numpy.testing import assert_array_equal
from poisoned_memory import poisoned_entries

import rnngraph as rg
from rnngraph.codegen.cost_model.interleaving import InterleavingPlan

Arrays = dict[str, np.ndarray]
INPUTS = 5
UNITS = (1, 2, 3, 7, 17, 25)
STEPS = (0, 1, 2, 3, 7, 17, 25)
CELLS: tuple[Callable[[int], rg.Cell], ...] = (
    rg.BasicRNNCell,
    rg.GRUCell,
    lambda n: rg.GRUCell(n, reset_after=True),
    lambda n: rg.LSTMCell(n, use_peepholes=True),
    lambda n: rg.DropoutWrapper(rg.BasicLSTMCell(n), output_keep_prob=0.7),
    own_cells.DelayCell,
    own_cells.SwapCell,
    lambda n: rg.MultiRNNCell([rg.BasicRNNCell(n), rg.ResidualWrapper(rg.GRUCell(n))]),
)


def net(draw: random.Random, rows: int | None) -> dict[str, rg.Tensor]:
    """A stack, both directions, branches, or some of them behind one another; every sequence is an output, or none."""
    x = rg.placeholder("x", (rows, None, INPUTS))
    sequences = [x]

    def cell() -> rg.Cell:
        return draw.choice(CELLS)(draw.choice(UNITS))

    for number in range(draw.randint(1, 3)):
        given = draw.choice(sequences[-2:])
        kind = draw.choice(("stack", "both", "branches", "reverse"))
        scope = f"{kind}{number}"
        if kind == "both":
            both, _ = rg.bidirectional_dynamic_rnn(cell(), cell(), given, scope=scope)
            sequences.append(rg.concat(both, 2))
        elif kind == "branches":
            branches = [rg.dynamic_rnn(cell(), given, scope=f"{scope}_{i}")[0] for i in range(draw.randint(2, 3))]
            sequences.append(rg.concat(branches, 2))
        else:
            layers = rg.MultiRNNCell([cell() for _ in range(draw.randint(1, 3))])
            turned = given[:, ::-1] if kind == "reverse" else given
            sequences.append(rg.dynamic_rnn(layers, turned, scope=scope)[0])
    found = {"last": sequences[-1], "summed": rg.reduce_sum(sequences[-1], 1)}
    if draw.random() < 0.5:
        found.update({f"sequence{number}": value for number, value in enumerate(sequences[1:])})
    return found


def results(seed: int, steps: int) -> list[Arrays]:
    """What inference, training and gradients of one net give."""
    draw = random.Random(seed)
    rows = draw.choice((1, 1, 2, 3))
    outputs = net(draw, draw.choice((rows, None)))
    program = rg.compile(outputs, loss=rg.reduce_mean(rg.square(outputs["last"])), seed=seed, cache=False)
    x = np.random.default_rng(seed).normal(size=(rows, steps, INPUTS)).astype(np.float32)
    with np.errstate(all="ignore"):
        loss, gradients = program.training.gradients(x=x, seed=3)
    return [flat(program.inference(x=x)), flat(program.training(x=x, seed=3)), {"loss": loss, **gradients}]


def check(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[InterleavingPlan]:
    """Compares bits; gives the plans."""
    steps = STEPS[seed % len(STEPS)]
    with monkeypatch.context() as off:
        interleave_nothing(off)
        alone = results(seed, steps)
    with monkeypatch.context() as on, poisoned_entries():
        plans = interleave_everything(on, 1 + seed % 4, bool(seed % 2))
        beside = results(seed, steps)
    for one, other in zip(alone, beside, strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert_array_equal(other[name], array, name)
    return plans


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(4, 300))
def test_many_nets_have_the_bits_of_scans_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check(seed, monkeypatch)
