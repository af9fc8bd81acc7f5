"""Steps of a trainer: memory that is overwritten, changes that take effect, and state that must not change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.runtime.native.argument_block import ArgumentBlock
from rnngraph.runtime.native.entry import NativeEntry

Arrays = dict[str, np.ndarray]


def trainer(**options: Any) -> rg.Trainer:
    x = rg.placeholder("x", (None, None, 5))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(18), x)
    loss = rg.reduce_mean(rg.square(rg.dense(outputs, 1)))
    return rg.Trainer(rg.compile({"outputs": outputs}, loss=loss), rg.Adam(0.01), **options)


def batch(value: float | None = None) -> np.ndarray:
    x = np.random.default_rng(2).normal(size=(3, 6, 5)).astype(np.float32)
    if value is not None:
        x[:, 2, 3] = value
    return x


def values(trainer: rg.Trainer) -> Arrays:
    actual = {**dict(trainer.program.parameters), **trainer.state.slots}
    return {name: array.copy() for name, array in actual.items()}


def same(a: Arrays, b: Arrays) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert_array_equal(array, b[name], name)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_step_that_is_not_finite_changes_nothing(value: float) -> None:
    subject, other = trainer(), trainer()
    for step in range(4):
        subject.step(x=batch())
        other.step(x=batch())
        before = values(subject)
        subject.step(x=batch(value))  # for infinite inputs the loss is finite, and the gradients are not
        same(values(subject), before)
        assert (subject.updates, subject.skipped) == (step + 1, step + 1)
    same(values(subject), values(other))


def test_sums_that_are_not_finite_change_nothing() -> None:
    subject = trainer(accumulate=2)
    for _ in range(4):
        subject.step(x=batch())
    before = values(subject)
    subject.state.sums = {name: np.full_like(array, np.nan) for name, array in subject.state.present_sums().items()}
    subject.state.pending = 1
    subject.flush()
    same(values(subject), before)
    assert (subject.updates, subject.skipped, subject.state.pending) == (2, 1, 0)


def test_arrays_with_other_references_keep_their_values() -> None:
    subject, other = trainer(), trainer()
    returned: list[Arrays] = []
    copies: list[Arrays] = []
    for _ in range(6):
        returned.append(dict(subject.program.parameters))
        copies.append({name: array.copy() for name, array in returned[-1].items()})
        subject.step(x=batch())
        other.step(x=batch())
    for arrays, kept in zip(returned, copies, strict=True):
        same(arrays, kept)
    same(values(subject), values(other))


def test_values_set_between_steps_are_used() -> None:
    subject, other = trainer(), trainer()
    for number in range(6):
        drawn = np.random.default_rng(number).normal(size=(18, 1)).astype(np.float32)
        for item in (subject, other):
            item.program.parameters["dense/kernel"] = drawn
        # Each size of ``other``'s steps has its own entry, and therefore its own argument blocks.
        subject.step(x=batch())
        other.step(x=batch())
        other.step(x=batch(np.nan)[: 1 + number % 3])
        same(values(subject), values(other))


@pytest.mark.parametrize("form", ["bound", "general"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_step_that_is_interrupted_counts_or_does_not(
    form: str, when: str, accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(item: rg.Trainer) -> None:
        item.step(x=batch()) if form == "bound" else item.step(MappingProxyType({"x": batch()}))

    subject, other = trainer(accumulate=accumulate), trainer(accumulate=accumulate)
    for item in (subject, other):
        for _ in range(3):
            step(item)
    (variant,) = subject._stepper._variants.values()
    set_sizes = ArgumentBlock.set_sizes

    def with_interrupt(block: ArgumentBlock, sizes: Any, native: Callable[..., None]) -> None:
        def interrupted(*arguments: Any) -> None:
            if when == "after":
                native(*arguments)
            raise KeyboardInterrupt

        set_sizes(block, sizes, interrupted)

    variant.native._memory.clear()
    monkeypatch.setattr(ArgumentBlock, "set_sizes", with_interrupt)
    with pytest.raises(KeyboardInterrupt):
        step(subject)
    monkeypatch.undo()
    variant.native._memory.clear()
    for item in (subject, other):
        for _ in range(4 if item is other and when == "after" else 3):
            step(item)
    same(values(subject), values(other))
    assert (subject.updates, subject.state.pending, subject.skipped) == (other.updates, other.state.pending, 0)


def test_argument_blocks_are_bound_once(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = trainer()
    subject.step(x=batch())
    bound: list[int] = []
    made_block = NativeEntry.block

    def counted(entry: NativeEntry) -> ArgumentBlock:
        bound.append(1)
        return made_block(entry)

    monkeypatch.setattr(NativeEntry, "block", counted)
    for _ in range(10):
        subject.step(x=batch())
    assert len(bound) <= 2 or sys.implementation.name != "cpython"
