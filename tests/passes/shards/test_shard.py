"""shard: results of a batch's shards add up to those of the whole batch, or an error names the line of the loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sharded_graphs import check_shards
from test_random_declarations import declare_any

import rnngraph as rg

x = rg.placeholder("x", (None, None, 3))
outputs, state = rg.dynamic_rnn(rg.GRUCell(4), x)
errors = rg.reduce_sum(rg.square(outputs), 2)


def refused(loss: rg.Tensor, **options: Any) -> str:
    program = rg.compile({"state": state}, loss)
    with pytest.raises(rg.GraphError) as caught:
        rg.Trainer(program, shards=2, **options)
    assert "test_shard.py" in str(caught.value)
    return str(caught.value)


MIXING: dict[str, Callable[[], rg.Tensor]] = {
    "the largest of all rows": lambda: rg.reduce_max(errors),
    "rows less their mean": lambda: rg.reduce_mean(rg.square(state - rg.reduce_mean(state, 0))),
    "a root of the mean": lambda: rg.sqrt(rg.reduce_mean(errors)),
    "divided by what depends on parameters": lambda: rg.reduce_sum(errors) / rg.reduce_sum(rg.abs(state)),
    "rows beside rows": lambda: rg.reduce_mean(rg.matmul(state, rg.transpose(state))),
    "rows in another order": lambda: rg.reduce_mean(state * state[::-1]),
    "steps beside rows": lambda: rg.reduce_mean(
        rg.reshape(outputs, [-1, 4]) * rg.reshape(rg.transpose(outputs, [1, 0, 2]), [-1, 4])
    ),
}


@pytest.mark.parametrize("made", MIXING.values(), ids=MIXING.keys())
def test_a_loss_that_mixes_rows_is_refused_with_its_line(made: Callable[[], rg.Tensor]) -> None:
    refused(made())


def test_a_batch_normalization_is_refused_in_training() -> None:
    normalized = rg.batch_normalization(state, name="norm")
    assert "norm/moving_mean" in refused(rg.reduce_mean(rg.square(normalized)))


def test_a_batch_of_a_declared_size_is_refused() -> None:
    fixed = rg.placeholder("fixed", (6, None, 3))
    _, last = rg.dynamic_rnn(rg.GRUCell(4), fixed)
    with pytest.raises(rg.GraphError, match="declare the batch axis of placeholders as None"):
        rg.Trainer(rg.compile(last, rg.reduce_mean(rg.square(last))), shards=2)


@pytest.mark.parametrize("seed", range(6))
def test_shards_of_a_random_declaration_add_up(seed: int) -> None:
    check_shards(declare_any(seed), 1 + seed % 5)


@pytest.mark.exhaustive
def test_shards_of_many_random_declarations_add_up() -> None:
    counted = sum((check_shards(declare_any(seed), 1 + seed % 5) for seed in range(6, 1500)), Counter[str]())
    assert counted["Partial"] > 500
    assert counted["Sharded"] > 1000
