"""training(samples=n): each draw equals a call with its own seed, and values without draws are computed once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import own_cells
import pytest
from declaration_checks import flat, inputs_of
from declarations import declare

import rnngraph as rg

BATCH, TIME, WIDTH, DRAWS = 3, 7, 4, 5
Array = np.ndarray


def data(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def seed_of_draw(seed: int, draw: int) -> int:
    return (seed + draw * 2**32) % 2**64


def listener(**dropout: Any) -> tuple[rg.Program, dict[str, Array]]:
    x = rg.placeholder("x", (None, None, WIDTH))
    cells = [rg.DropoutWrapper(cell, **dropout) for cell in (rg.LSTMCell(6), rg.GRUCell(5))]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, rg.placeholder("lengths", (None,), "int64"))
    scores = rg.dense(rg.dropout(outputs[:, -1], 0.5), 4)
    loss = rg.sparse_softmax_cross_entropy(rg.placeholder("y", (None,), "int64"), scores)
    program = rg.compile({"scores": scores, "states": states, "double": x * 2.0}, loss=loss, seed=1)
    return program, {"x": data(BATCH, TIME, WIDTH), "lengths": np.array([7, 0, 4]), "y": np.arange(BATCH)}


DROPOUT: list[dict[str, Any]] = [
    {"output_keep_prob": 0.5},
    {"input_keep_prob": 0.5, "state_keep_prob": 0.75},
    {"input_keep_prob": 0.5, "state_keep_prob": 0.75, "variational_recurrent": True},
]


@pytest.mark.parametrize("dropout", DROPOUT)
@pytest.mark.parametrize("seed", [3, 2**64 - 5])
def test_a_draw_is_the_call_with_its_seed(dropout: dict[str, Any], seed: int) -> None:
    program, feeds = listener(**dropout)
    drawn = program.training(feeds, samples=DRAWS, seed=seed, first_row=2, first_step=1)
    masks = program.training.dropout_masks(feeds, samples=DRAWS, seed=seed, first_row=2, first_step=1)
    assert drawn["states"][0].h.shape == (DRAWS, BATCH, 6)
    assert drawn["loss"].shape == (DRAWS,)
    for draw in range(DRAWS):
        options = {"seed": seed_of_draw(seed, draw), "first_row": 2, "first_step": 1}
        alone = program.training(feeds, **options)
        for name, array in flat(alone).items():
            np.testing.assert_array_equal(flat(drawn)[name][draw], array, err_msg=name)
        for site, mask in program.training.dropout_masks(feeds, **options).items():
            np.testing.assert_array_equal(masks[site][draw], mask)
    assert len({drawn["scores"][draw].tobytes() for draw in range(DRAWS)}) == DRAWS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [1, 16, 21, 40, 47, 66])
def test_random_declarations(seed: int) -> None:
    check_random(seed)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(400))
def test_many_random_declarations(seed: int) -> None:
    check_random(seed)


def check_random(seed: int) -> None:
    declaration = declare(seed)
    program = declaration.compile()
    feeds = inputs_of(program.training.graph, declaration.arrays())
    drawn = flat(program.training(feeds, samples=3, seed=5))
    for draw in range(3):
        for name, array in flat(program.training(feeds, seed=seed_of_draw(5, draw))).items():
            close = {"rtol": 1e-5, "atol": 1e-5} if array.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
            np.testing.assert_allclose(drawn[name][draw], array, **close, err_msg=declaration.text())


def test_products_that_no_mask_touches_are_computed_once() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(rg.BasicRNNCell(6), state_keep_prob=0.5), x)
    program = rg.compile({"outputs": outputs})
    compiled = program.training._sampled.graph(DRAWS, program.training.compiled, ("outputs",), None)
    assert compiled is not None
    text = str(compiled.optimized(("outputs",)))
    outside = re.findall(r"^  \w+ = matmul .* : (\S+)", text, re.MULTILINE)
    inside = re.findall(r"^    \w+ = matmul .* : (\S+)", text, re.MULTILINE)
    assert outside == ["f32[T,B,6]"]
    assert inside == [f"f32[{DRAWS},B,6]"]


def one_by_one() -> tuple[rg.Program, dict[str, Array]]:
    """Return a decoder that stops by its draws, so that its loop ends at a different step in every draw."""
    first = rg.placeholder("first", (None, 3))
    cell = rg.DropoutWrapper(rg.BasicRNNCell(3), output_keep_prob=0.5)
    outputs, _, lengths = rg.dynamic_decode(
        cell, first, lambda y, _: y * 2.0, TIME, stop=lambda y: rg.reduce_max(y, axis=1) > 0.5
    )
    return rg.compile({"outputs": outputs, "lengths": lengths}, seed=2), {"first": data(BATCH, 3)}


def test_samples_that_can_not_be_drawn_at_once_are_drawn_one_by_one() -> None:
    program, feeds = one_by_one()
    out = {"outputs": np.empty((DRAWS, BATCH, TIME, 3), np.float32)}
    drawn = program.training(feeds, samples=DRAWS, seed=3, out=out)
    assert drawn["outputs"] is out["outputs"]
    for draw in range(DRAWS):
        alone = program.training(feeds, seed=seed_of_draw(3, draw))
        np.testing.assert_array_equal(drawn["outputs"][draw], alone["outputs"])
        np.testing.assert_array_equal(drawn["lengths"][draw], alone["lengths"])
    with pytest.raises(rg.ShapeError, match="out= for outputs"):
        program.training(feeds, samples=2, out=out)


def test_taps_of_several_draws() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(own_cells.Tapped(rg.DropoutWrapper(rg.GRUCell(5), output_keep_prob=0.5)), x)
    together = rg.compile({"outputs": rg.tap("doubled", outputs * 2.0)})
    first = rg.placeholder("first", (None, 3))
    cell = own_cells.Tapped(rg.DropoutWrapper(rg.BasicRNNCell(3), output_keep_prob=0.5))
    decoded, _, _ = rg.dynamic_decode(cell, first, lambda y, _: y, TIME, stop=lambda y: rg.reduce_max(y, axis=1) > 0.5)
    apiece = rg.compile({"outputs": decoded})
    for program, feeds in ((together, {"x": data(BATCH, TIME, WIDTH)}), (apiece, {"first": data(BATCH, 3)})):
        taps = program.training.taps(feeds, seed=3, samples=DRAWS)
        for draw in range(DRAWS):
            alone = program.training.taps(feeds, seed=seed_of_draw(3, draw))
            assert list(alone) == list(taps)
            for name, array in alone.items():
                np.testing.assert_allclose(taps[name][draw], array, rtol=1e-6, atol=1e-6)
    with pytest.raises(rg.ArgumentError, match=r"does not take samples=.*; draw k of training\(samples=n"):
        together.training.gradients(x=data(BATCH, TIME, WIDTH), samples=2, output_gradients={"outputs": 1.0})
    with pytest.raises(rg.ArgumentError, match="does not take seed="):
        together.inference(x=data(BATCH, TIME, WIDTH), seed=2)


def test_results_are_written_to_the_given_arrays() -> None:
    program, feeds = listener(output_keep_prob=0.5)
    mine = np.empty((DRAWS, BATCH, 4), np.float32)
    drawn = program.training(feeds, samples=DRAWS, seed=3, out={"scores": mine})
    assert drawn["scores"] is mine
    np.testing.assert_array_equal(mine, program.training(feeds, samples=DRAWS, seed=3)["scores"])
    with pytest.raises(rg.ShapeError, match="out= for scores"):
        program.training(feeds, samples=2, seed=3, out={"scores": mine})


def test_without_draws_all_are_the_same() -> None:
    x = rg.placeholder("x", (None, 3))
    program = rg.compile({"y": rg.dense(x, 2)}, seed=1)
    drawn = program.training(x=data(2, 3), samples=3)["y"]
    np.testing.assert_array_equal(drawn, np.stack([program.inference(x=data(2, 3))["y"]] * 3))


def test_the_programs_own_seeds_continue() -> None:
    program, feeds = listener(output_keep_prob=0.5)
    first, second = (program.training(feeds, samples=2)["scores"] for _ in range(2))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(
    ("samples", "kind", "message"),
    [
        (0, rg.ArgumentError, "samples=0 must be 1 or more"),
        (-3, rg.ArgumentError, "samples=-3 must be 1 or more"),
        (2.0, rg.DtypeError, "samples must be an int"),
        (True, rg.DtypeError, "samples must be an int"),
        ("many", rg.DtypeError, "samples must be an int"),
    ],
)
def test_mistakes(samples: Any, kind: type[Exception], message: str) -> None:
    program, feeds = listener(output_keep_prob=0.5)
    with pytest.raises(kind, match=message) as raised:
        program.training(feeds, samples=samples)
    assert "test_sampled_graphs.py:" in str(raised.value)
    with pytest.raises(kind, match=message):
        program.training.dropout_masks(feeds, seed=1, samples=samples)
    other, fed_arrays = one_by_one()
    with pytest.raises(kind, match=message):
        other.training(fed_arrays, samples=samples)
