"""Benchmarks compare like with like: at small sizes, every contender has the results of every workload. Nothing is
timed.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import agreement
import calls
import ours
import peers
import weights
import workloads
from groups import products
from groups import recurrences as recurrent
from recurrences import checks, floor, rows
from workloads import Row

KINDS = ("inference", "training", "one_step")


def small(row: Row) -> Row:
    """Return the net with small, odd sizes and several rows."""
    return replace(
        row,
        batch=3,
        time=min(row.time, 6),
        inputs=min(row.inputs, 11),
        units=min(row.units, 17),
        layers=min(row.layers, 2),
        projection=min(row.projection, 9),
    )


def cases() -> list[Any]:
    """Return every kind of net once for each kind of call."""
    ended = [replace(row, ended=True) for row in workloads.LENGTHS]
    rows = {
        "inference": [*workloads.INFERENCE, *workloads.CELLS, *ended, Row("LSTM", 3, 6, 11, 17, 2, bidirectional=True)],
        "training": [*workloads.TRAINING, *ended],
        "one_step": [*workloads.ONE_STEP, Row("LSTM", 3, 1, 11, 17, 2)],
    }
    actual = dict.fromkeys((kind, small(row)) for kind in KINDS for row in rows[kind])
    return [pytest.param(kind, row, id=f"{kind}-{row.name}".replace(" ", "-")) for kind, row in actual]


@pytest.fixture(scope="module")
def installed() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        for name in (*peers.ENVIRONMENT, *peers.ONE_THREAD, "OMP_NUM_THREADS"):
            patch.setenv(name, "")  # peers set these variables; ``patch`` restores them after the module
        yield peers.installed()


@pytest.mark.peers
@pytest.mark.filterwarnings("error:.*differs from ours", "ignore:LSTM with projections")
@pytest.mark.parametrize("name", peers.NAMES)
@pytest.mark.parametrize(("kind", "row"), cases())
def test_peers_compute_the_same_results(installed: dict[str, Any], name: str, kind: str, row: Row) -> None:
    if name not in installed:
        pytest.skip(f"{name} is not installed")
    variants = getattr(installed[name], kind)(row)
    if not variants:
        pytest.skip(f"{name} has no form of it")
    own, *_ = getattr(ours, kind)(row)
    actual = agreement.agreeing(row, kind, own, {name: variants}, {"rnngraph": ours, **installed})
    assert len(actual[name]) == len(variants)


@pytest.mark.parametrize("turned", [False, True])
def test_products_are_the_same(turned: bool) -> None:
    row = products.Matrices(3, 7, 5, 17, turned)
    expected = products.numpys(row)()
    for call in products.ours(row):
        np.testing.assert_allclose(call(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.peers
@pytest.mark.parametrize("turned", [False, True])
def test_products_of_torch_are_the_same(installed: dict[str, Any], turned: bool) -> None:
    if "torch" not in installed:
        pytest.skip("torch is not installed")
    row = products.Matrices(3, 7, 5, 17, turned)
    actual = installed["torch"].matrices(*row.operands(), turned)().numpy()
    np.testing.assert_allclose(actual, products.numpys(row)(), rtol=1e-4, atol=1e-5)


def recurrences() -> list[Any]:
    """Return every recurrence in every call, at sizes that are no multiple of a vector."""
    quick = {("minGRU", rows.STEP)}
    cases = []
    for kind in rows.KINDS:
        for call in (rows.INFERENCE, rows.STEP, rows.TRAINING):
            row = rows.Row(kind, call, 2, 1 if call == rows.STEP else 9, 3, 5)
            slow = call == rows.INFERENCE and kind in ("GLA", "GDN")
            marks = [] if (kind, call) in quick else [pytest.mark.slow if slow else pytest.mark.exhaustive]
            cases.append(pytest.param(row, id=row.name.replace(" ", "-"), marks=marks))
    return cases


@pytest.mark.filterwarnings("error:.*differs from float64")
@pytest.mark.parametrize("row", recurrences())
def test_recurrences_are_their_equations(row: rows.Row) -> None:
    variants, _ = recurrent.contenders(row, ())
    assert checks.agreeing(row, variants) == {name: list(calls) for name, calls in variants.items()}
    assert 0 < floor.seconds(row)[floor.FLOOR] < 1e-3


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.filterwarnings("error:.*differs from float64")
@pytest.mark.parametrize("kind", ["GLA", "GDN", "SSD", "RWKV-7", "mLSTM"])
def test_recurrences_of_peers_are_their_equations(installed: dict[str, Any], kind: str) -> None:
    for call in (rows.INFERENCE, rows.STEP, rows.TRAINING):
        row = rows.Row(kind, call, 2, 1 if call == rows.STEP else 70, 3, 5)
        variants = recurrent.of_peers(row, installed)
        assert checks.agreeing(row, variants) == {name: list(calls) for name, calls in variants.items()}


def test_another_recurrence_is_left_out() -> None:
    row = rows.Row("minGRU", rows.INFERENCE, 2, 4, 1, 5)
    right = checks.reference(row)["outputs"]
    with pytest.warns(UserWarning, match="wrong, way 1, .* differs from float64"):
        kept = checks.agreeing(row, {"right": [lambda: right], "wrong": [lambda: right + 0.01]})
    assert [*kept] == ["right"]


def test_words_name_heads_of_recurrences() -> None:
    assert {(row.heads, row.size) for row in rows.rows(["GLA"])} == {(4, 64)}
    assert {(row.heads, row.size) for row in rows.rows(["GLA 4x48", "3x40"])} == {(4, 48), (3, 40)}
    names = [row.name for row in rows.rows()]
    assert "inference: GLA 4x64 B1 T512" in names
    assert len({*names}) == len(names) == 5 * len(rows.KINDS)


class Other:
    """Stand-in for a peer, with the interface of rnngraph's results."""

    outputs, learnt = staticmethod(ours.outputs), staticmethod(ours.learnt)


@pytest.mark.parametrize("kind", KINDS)
def test_another_net_is_no_peer(kind: str) -> None:
    row = Row("GRU", 2, 1 if kind == "one_step" else 4, 5, 7)
    (own, *_), (same, *_) = getattr(ours, kind)(row), getattr(ours, kind)(row)
    (other, *_) = getattr(ours, kind)(replace(row, cell="GRU before"))
    modules: Any = {"rnngraph": ours, "same": Other, "other": Other}
    with pytest.warns(UserWarning, match="other, way 1, .* differs from ours"):
        actual = agreement.agreeing(row, kind, own, {"same": [same], "other": [other]}, modules)
    assert actual == {"same": [same]}


def test_every_parameter_has_its_weights() -> None:
    """Every parameter gets a new value, with the shape that rnngraph's cells request."""
    rows = [small(row) for row in (*workloads.INFERENCE, *workloads.CELLS, *workloads.TRAINING)]
    for row in dict.fromkeys(rows):
        program, _ = ours.loaded(row, with_loss=False)
        assert sum(array.size for array in program.parameters.values()) == weights.count(row), row.name


def test_every_short_call_has_its_native_call() -> None:
    actual = [(name, (call(), native())) for name, call, native in calls.rows()]
    assert len(dict(actual)) == len(actual) > 20


def test_lengths_are_spread() -> None:
    row = Row("LSTM", 32, 100, 1, 1, ended=True)
    lengths = row.lengths()
    assert lengths is not None
    assert (lengths.min(), lengths.max(), lengths.mean()) == (1, 99, 50)
    assert np.any(np.diff(lengths) < 0)
    assert replace(row, ended=False).lengths() is None
