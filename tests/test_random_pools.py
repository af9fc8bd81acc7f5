"""Pools of streams of random declarations: each stream has the bits that it has alone."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from declaration_checks import poisoned
from declarations import declare
from pooled import check_pool

import rnngraph as rg
from rnngraph.runtime.streams.row_graph import RowGraph

QUICK = (15, 24, 43, 93, 134, 207, 543)
"""Seeds of nets that stream; some mix the rows of a batch."""
MANY, AT_A_TIME = 1000, 50


def checked(seed: int) -> bool:
    declaration = declare(seed)
    with poisoned(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check_pool(declaration, declaration.compile(), declaration.arrays(), seed)


def test_streams_of_random_nets_have_the_bits_of_streams_alone() -> None:
    assert all(map(checked, QUICK))


def test_rows_of_random_nets_that_run_alone_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RowGraph, "is_open", False)
    assert all(map(checked, QUICK[:2]))


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(0, MANY, AT_A_TIME))
def test_streams_of_many_random_nets_have_the_bits_of_streams_alone(first: int) -> None:
    assert sum(checked(seed) for seed in range(first, first + AT_A_TIME)) > 0


def test_one_entry_serves_every_number_of_streams() -> None:
    x = rg.placeholder("x", (None, None, 3))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(5), x)[0], cache=False)
    pool = program.inference.streams(8)
    assert pool._graph.rows.is_open
    handles = [pool.open() for _ in range(70)]
    for count in (1, 2, 7, 63, 70):
        pool.step_rows(handles[:count], x=np.ones((count, 3)))
    assert len(pool._graph.rows.compiled._entries) == 1
