"""Sharded steps equal those of the whole batch up to rounding, for any rows, and are reproducible bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sharded_nets
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg

STEPS = 4


def trained(net: Any, rows: int, shards: int | None, carry: bool = False, **options: Any) -> tuple[list[float], Any]:
    program, feeds = net("float64")
    trainer = rg.Trainer(program, rg.Adam(1e-2), shards=shards, **options)
    numbers = np.random.default_rng(0)
    losses = [trainer.step(feeds(numbers, rows), carry=carry and step > 0) for step in range(STEPS)]
    return losses, dict(program.parameters)


FORMS = [(10, 4, {}), (3, 8, {"accumulate": 3}), (7, 3, {"clip_norm": 0.1, "carry": True})]
SOME = [(sharded_nets.tagger, *FORMS[0]), (sharded_nets.forecaster, *FORMS[1])]
OTHERS = [
    (net, *form)
    for net in sharded_nets.NETS
    for form in FORMS
    if (net, *form) not in SOME and (net in sharded_nets.CARRIED or "carry" not in form[-1])
]


@pytest.mark.filterwarnings("ignore:.*keeps few units:UserWarning")
@pytest.mark.parametrize(
    ("net", "rows", "shards", "options"),
    [
        *SOME,
        *(pytest.param(*item, marks=pytest.mark.exhaustive) for item in OTHERS),
    ],
)
def test_shards_add_up_to_the_whole_batch(net: Any, rows: int, shards: int, options: dict[str, Any]) -> None:
    losses, parameters = trained(net, rows, None, **options)
    actual, cut = trained(net, rows, shards, **options)
    assert_allclose(actual, losses, rtol=1e-13)
    for name, array in parameters.items():
        assert_allclose(cut[name], array, rtol=0, atol=1e-12, err_msg=name)


def test_fetched_values_include_all_rows() -> None:
    x, y = rg.placeholder("x", (None, None, 3)), rg.placeholder("y", (None, 1))
    outputs, state = rg.dynamic_rnn(rg.GRUCell(5), x, time_major=True)
    predicted = rg.dense(state, 1)
    program = rg.compile({"predicted": predicted}, rg.mean_squared_error(y, predicted))
    numbers = np.random.default_rng(1)
    batch = {
        "x": numbers.normal(size=(6, 7, 3)).astype(np.float32),
        "y": numbers.normal(size=(7, 1)).astype(np.float32),
    }
    fetch = {"outputs": outputs, "sum": rg.reduce_sum(outputs), "count": rg.reduce_sum(rg.cast(y > 0, "int64"))}
    _, expected = rg.Trainer(program).step(batch, fetch=fetch)
    _, actual = rg.Trainer(rg.compile({"predicted": predicted}, program.loss), shards=3).step(batch, fetch=fetch)
    assert_array_equal(actual["outputs"], expected["outputs"])
    assert_allclose(actual["sum"], expected["sum"], rtol=1e-5)
    assert actual["count"] == expected["count"]


def test_fit_saves_and_continues_bit_for_bit(tmp_path: Any) -> None:
    def fitted(epochs: int, interrupted: bool) -> rg.Program:
        program, feeds = sharded_nets.forecaster()
        data = {
            name: np.moveaxis(array, 1, 0) if array.ndim > 1 else array
            for name, array in feeds(np.random.default_rng(2), 13).items()
        }
        path, trainer = tmp_path / "trainer", rg.Trainer(program, rg.Adam(1e-2), shards=4)
        options: dict[str, Any] = {"batch_size": 5, "window": 4, "progress": False, "checkpoint": path}
        if interrupted:
            trainer.fit(data, epochs=epochs - 1, **options)
            program = sharded_nets.forecaster().program
            trainer = rg.Trainer.load(path, program)
            assert trainer.shards == 4
            trainer.fit(data, epochs=1, **options)
        else:
            trainer.fit(data, epochs=epochs, **options)
        return program

    once, twice = fitted(3, interrupted=False), fitted(3, interrupted=True)
    for name, array in once.parameters.items():
        assert_array_equal(twice.parameters[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"shards": 0}, rg.ArgumentError),
        ({"shards": 2.5}, rg.DtypeError),
        ({"comm": "world"}, rg.DtypeError),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    program = rg.compile(*_net())
    with pytest.raises(error, match=r"test_sharded_stepper\.py"):
        rg.Trainer(program, **options)


def _net() -> tuple[rg.Tensor, rg.Tensor]:
    x = rg.placeholder("x", (None, None, 3))
    _, state = rg.dynamic_rnn(rg.BasicRNNCell(2), x)
    return state, rg.reduce_mean(rg.square(state))


def test_a_batch_that_carries_other_rows_is_refused() -> None:
    trainer = rg.Trainer(rg.compile(*_net()), shards=2)
    trainer.step(x=np.ones((3, 4, 3)))
    with pytest.raises(rg.ShapeError, match="carry=True continues 3 rows"):
        trainer.step(x=np.ones((5, 4, 3)), carry=True)
