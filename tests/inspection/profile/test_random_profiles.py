"""Profiles of random nets: code with counters has the same bits, and parts add up and have lines."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import teams
from chained_drivers import declare_chain
from declaration_checks import flat, inputs_of
from declarations import Declaration, declare
from numpy.testing import assert_array_equal
from wired_cells import declare_cell

import rnngraph as rg
from rnngraph.codegen.schedule.emit.ticks import REST, WAIT
from rnngraph.inspection.profile.profile import Profile
from rnngraph.runtime.calls.entry_blocks import run_once

SECONDS = 1e-6
MANY = 300


def check_sums(profile: Profile) -> None:
    total = sum(kernel.share for kernel in profile.kernels)
    assert math.isclose(total, 1.0) or not profile.kernels  # a call may compute nothing
    for parts in (profile.layers, profile.phases, profile.lines):
        assert math.isclose(sum(part.share for part in parts.values()), total)
    for kernel in profile.kernels:
        assert kernel.lines or kernel.kind in (REST, WAIT), kernel.name
        assert math.isclose(sum(piece.share for piece in kernel.pieces), 1.0)
        assert min(kernel.floor, kernel.flops, kernel.bytes, kernel.runs) >= 0
    assert str(profile)
    assert profile.plot()


def check_profiled(declaration: Declaration, threads: int) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = declaration.compile(threads=threads)
        feeds = inputs_of(program.inference.graph, declaration.arrays())
        expected = flat(program.inference(feeds))
        compiled, outputs = program.inference.compiled, program.inference._names()
        entry, _, _ = compiled.timed_entry(outputs, compiled.last_sizes)
        actual = run_once(entry, entry.weights(program.parameters), feeds, compiled.last_sizes)
        for name, values in zip(outputs, expected.values(), strict=True):
            assert_array_equal(actual[name], values, declaration.text())
        check_sums(program.inference.profile(feeds, SECONDS))
        trained = inputs_of(program.training.graph, declaration.arrays())
        check_sums(program.training.profile(trained, SECONDS))
        if program.loss is None:
            return
        try:
            trainer = rg.Trainer(program)
        except rg.ArgumentError:  # the loss reads no trainable parameter
            return
        check_sums(trainer.profile(trained, SECONDS))


def declare_any(seed: int) -> Declaration:
    return (declare, declare_chain, declare_cell)[seed % 3](seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(MANY))
def test_many_random_profiles(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    declaration = declare_any(seed)
    check_profiled(declaration, 1)
    (teams.share_in_pipelines if seed % 2 else teams.share_everything)(monkeypatch)
    check_profiled(declaration, 3)
