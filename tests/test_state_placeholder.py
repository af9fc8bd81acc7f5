"""Fed states: a nest of placeholders under one name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg

SPEC = reference.Stack((reference.LSTM(7), reference.GRU(3)))
X = np.random.default_rng(0).normal(size=(3, 5, 4))


def first() -> Any:
    generator = np.random.default_rng(1)
    c, h, s = (generator.normal(size=(3, size)) for size in (7, 7, 3))
    return rg.LSTMStateTuple(c, h), s


def declared(dtype: str = "float64") -> rg.Program:
    x = rg.placeholder("x", (None, None, 4), dtype)
    cell = rg.MultiRNNCell([rg.LSTMCell(7), rg.GRUCell(3)])
    outputs, state = rg.dynamic_rnn(cell, x, initial_state=rg.state_placeholder("state0", cell, dtype))
    return rg.compile({"outputs": outputs, "state": state}, loss=rg.reduce_sum(rg.square(outputs)))


def test_its_structure_is_the_cells() -> None:
    nest = rg.state_placeholder("state0", rg.MultiRNNCell([rg.LSTMCell(7), rg.GRUCell(3)]))
    assert isinstance(nest[0], rg.LSTMStateTuple)
    assert [nest[0].c.name, nest[0].h.name, nest[1].name] == ["state0.0.c", "state0.0.h", "state0.1"]
    assert nest[0].c.shape == (None, 7)
    assert nest[1].dtype == "float32"
    single = rg.state_placeholder("h0", rg.GRUCell(3), "float64")
    assert (single.name, single.dtype) == ("h0", "float64")


def test_a_state_is_fed_under_one_name() -> None:
    program, state = declared(), first()
    wanted, final = reference.dynamic_rnn(SPEC, program.parameters, X, initial_state=state)
    plain = ((state[0].c, state[0].h), state[1])
    as_dict = [{"h": state[0].h, "c": state[0].c}, state[1]]
    for nest in (state, plain, as_dict):
        for graph in (program.inference, program.training):
            result = graph(x=X, state0=nest)
            assert_allclose(result["outputs"], wanted, rtol=1e-12, atol=1e-13)
            assert_allclose(result["state"][0].c, final[0].c, rtol=1e-12, atol=1e-13)
    leaves = {"x": X, "state0.0.c": state[0].c, "state0.0.h": state[0].h, "state0.1": state[1]}
    assert_allclose(program.inference(leaves)["outputs"], wanted, rtol=1e-12, atol=1e-13)


def test_a_plain_tuple_has_the_order_of_declaration(tmp_path: Path) -> None:
    """A tuple keeps its order of declaration, though the graph reads h first, for the driver's input."""
    x, cell = rg.placeholder("x", (None, None, 4), "float64"), rg.LSTMCell(4)
    state = rg.state_placeholder("state0", cell, "float64")
    outputs, _ = rg.dynamic_rnn(cell, x + rg.expand_dims(state.h, 1), initial_state=state)
    program = rg.compile({"outputs": outputs}, loss=rg.reduce_sum(rg.square(outputs)), cache=False)
    program.save(tmp_path / "saved")
    c, h = first()[0].c[:, :4], first()[0].h[:, :4]
    wanted, _ = reference.dynamic_rnn(
        reference.LSTM(4), program.parameters, X + h[:, None], initial_state=rg.LSTMStateTuple(c, h)
    )
    for given in ((c, h), rg.LSTMStateTuple(c, h), {"h": h, "c": c}):
        assert_allclose(program.inference(x=X, state0=given)["outputs"], wanted, rtol=1e-12, atol=1e-13)
        loaded = rg.load(tmp_path / "saved").inference(x=X, state0=given)
        assert_allclose(loaded["outputs"], wanted, rtol=1e-12, atol=1e-13)
    _, named = program.training.gradients(x=X, state0=rg.LSTMStateTuple(c, h), wrt=["state0"])
    _, plain = program.training.gradients(x=X, state0=(c, h), wrt=["state0"])
    assert_array_equal(plain["state0"][0], named["state0"].c)
    assert_array_equal(plain["state0"][1], named["state0"].h)


def test_a_call_continues_where_another_ended() -> None:
    program = declared("float32")
    x = X.astype(np.float32)
    whole = program.inference(x=x, state0=first())
    head = program.inference(x=x[:, :2], state0=first())
    tail = program.inference(x=x[:, 2:], state0=head["state"])
    assert_array_equal(np.concatenate([head["outputs"], tail["outputs"]], 1), whole["outputs"])
    assert_array_equal(tail["state"][0].c, whole["state"][0].c)


def test_gradients_have_the_structure_of_the_nest() -> None:
    program, state = declared(), first()
    value, gradients = program.training.gradients(x=X, state0=state, wrt=["state0", "x"])
    actual = gradients["state0"]
    assert isinstance(actual[0], rg.LSTMStateTuple)
    assert not [name for name in gradients if name.startswith("state0.")]
    assert gradients["x"].shape == X.shape

    def loss(c: np.ndarray, h: np.ndarray, s: np.ndarray) -> float:
        state = reference.LSTMStateTuple(c, h), s
        return float((reference.dynamic_rnn(SPEC, program.parameters, X, initial_state=state)[0] ** 2).sum())

    leaves = [state[0].c, state[0].h, state[1]]
    assert_allclose(value, loss(*leaves), rtol=1e-12)
    generator = np.random.default_rng(2)
    for position, gradient in enumerate([actual[0].c, actual[0].h, actual[1]]):
        direction = generator.normal(size=gradient.shape)
        moved = []
        for sign in (1e-6, -1e-6):
            near = list(leaves)
            near[position] = near[position] + sign * direction
            moved.append(loss(*near))
        assert_allclose((gradient * direction).sum(), (moved[0] - moved[1]) / 2e-6, rtol=1e-6)


def test_a_stream_starts_from_it() -> None:
    program = declared("float32")
    x = X.astype(np.float32)
    whole = program.inference(x=x, state0=first())["outputs"]
    stream = program.inference.stream(batch=3)
    with pytest.raises(rg.NameLookupError, match=r"state0\.0\.c"):
        stream.step(x=x[:, 0])
    assert_array_equal(stream.step(x=x[:, 0], state0=first())["outputs"], whole[:, 0])
    assert_array_equal(stream.process(x=x[:, 1:])["outputs"], whole[:, 1:])
    stream.reset()
    assert_array_equal(stream.step(x=x[:, 0])["outputs"], whole[:, 0])


def test_a_saved_program_takes_it(tmp_path: Path) -> None:
    program = declared()
    program.save(tmp_path / "saved")
    loaded = rg.load(tmp_path / "saved")
    a, b = program.inference(x=X, state0=first()), loaded.inference(x=X, state0=first())
    assert_array_equal(a["outputs"], b["outputs"])


def test_a_trainer_takes_it() -> None:
    trainer = rg.Trainer(declared("float32"), rg.SGD(1e-2))
    losses = [float(trainer.step(x=X, state0=first())) for _ in range(5)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("nest", "words"),
    [
        (first()[:1], "feed state0 takes 2 entries (0, 1), not 1"),
        (((first()[0].c,), first()[1]), "feed state0.0 takes 2 entries (c, h), not 1"),
        ((first()[0].c, first()[1]), "feed state0.0 takes a nest (c, h), not ndarray"),
        (
            ({"c": first()[0].c, "m": first()[0].h}, first()[1]),
            "feed state0.0 has no entry 'm' and lacks 'h'",
        ),
        ((first()[0], first()[1][:, :2]), "feed state0.1 has shape (3, 2)"),
        ((first()[0], first()[1][:2]), "feed state0.1 has shape (2, 3)"),
        ((first()[0], None), "state0.1"),
        (None, "feed state0 takes a nest (0, 1), not NoneType"),
    ],
)
def test_an_error_names_the_place(nest: Any, words: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=r"test_state_placeholder\.py:\d+") as caught:
        declared().inference(x=X, state0=nest)
    assert words in str(caught.value)


def test_bad_declarations() -> None:
    with pytest.raises(rg.ArgumentError, match="reserved"):
        rg.state_placeholder("seed", rg.GRUCell(3))
    with pytest.raises(rg.DtypeError, match="needs a cell"):
        rg.state_placeholder("state0", 7)
    with pytest.raises(rg.DtypeError, match="a state needs a float dtype"):
        rg.state_placeholder("state0", rg.GRUCell(3), "int32")
    with pytest.raises(rg.ArgumentError, match="fed twice"):
        declared().inference({"x": X, "state0": first(), "state0.1": first()[1]})
    for wrt in ("state0", None, 3):
        with pytest.raises(rg.DtypeError, match="wrt= must be a list"):
            declared().training.gradients(x=X, state0=first(), wrt=wrt)
