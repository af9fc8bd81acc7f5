"""The cycle counter that profiled code reads: which processors have one, and the length of a tick."""

from __future__ import annotations

import pytest

import rnngraph as rg
from rnngraph.codegen.machine.cycle_counter import Counter, counter_text, cycle_counter
from rnngraph.codegen.machine.engine import assembly
from rnngraph.codegen.machine.target import NAMES, target_of

WITH_COUNTER = ("x86-64", "aarch64")


@pytest.mark.parametrize("name", NAMES)
def test_processors_without_a_counter_are_errors_with_a_reason(name: str) -> None:
    target = target_of(name)
    if name == "host" or name.startswith(WITH_COUNTER):
        assert cycle_counter(target)
    else:
        with pytest.raises(
            rg.GraphError, match=f"code for {name} can't be profiled: .* profile the same net on x86-64"
        ):
            cycle_counter(target)


@pytest.mark.parametrize(("name", "instruction"), [("x86-64-v3", "rdtsc"), ("aarch64-linux", "CNTVCT_EL0")])
def test_reading_it_is_one_instruction(name: str, instruction: str) -> None:
    target = target_of(name)
    text = assembly(counter_text(target), target)
    assert instruction.lower() in text.lower()
    assert not [line for line in text.splitlines() if line.split()[:1] in (["call"], ["bl"])]


def test_readings_ascend_and_a_tick_has_a_cost() -> None:
    counter = Counter()
    readings = [counter.now() for _ in range(100)]
    assert readings[-1] > readings[0]
    assert 0 < counter.cost < 10_000
