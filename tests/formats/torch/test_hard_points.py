"""Modules of torch's functions against torch's recorded values, and the records against torch."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest

pytest.importorskip("torch", exc_type=ImportError)

from hard_points.by_torch import values
from hard_points.cases import Entry, names_of
from hard_points.doors import Recorded, changes, mixed
from hard_points.read_torch import read
from systems import skip_module_on_windows

from rnngraph.formats.torch import composed, functions
from rnngraph.formats.torch.tracing.registry import HANDLERS

skip_module_on_windows("some points are sines, whose last bits are those of the C library")

RECORDED = Recorded("torch")


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's advice about arguments
@pytest.mark.sampled(4)
@pytest.mark.parametrize("entry", mixed(RECORDED.entries), ids=lambda entry: entry.key)
def test_a_function_has_the_values_that_torch_has(entry: Entry) -> None:
    RECORDED.check(entry, read)


@pytest.mark.peers
@pytest.mark.sampled(4)
@pytest.mark.parametrize("part", range(4))
def test_the_recorded_values_are_those_of_torch(part: int) -> None:
    assert not changes("torch", mixed(RECORDED.every)[part::4], values)


def test_every_function_that_is_read_has_a_case_or_a_reason() -> None:
    for room in (functions, composed):
        for item in iter_modules(room.__path__, room.__name__ + "."):
            import_module(item.name)
    assert names_of("torch") == set(HANDLERS)
