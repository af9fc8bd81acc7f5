"""Gradients for outputs, passed by the caller, as from a loss that is computed outside."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg

X = np.random.default_rng(0).standard_normal((3, 7, 5))


def declared() -> dict[str, object]:
    x = rg.placeholder("x", (None, None, 5), "float64")
    cells = [rg.DropoutWrapper(rg.BasicLSTMCell(4), input_keep_prob=0.8), rg.GRUCell(3)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, dtype="float64")
    return {"x": x, "outputs": outputs, "states": states}


def test_the_gradients_are_those_of_the_loss_they_belong_to() -> None:
    net, random = declared(), np.random.default_rng(1)
    weights = {
        "outputs": random.standard_normal((3, 7, 3)),
        "c": random.standard_normal((3, 4)),
        "last": random.standard_normal((3, 3)),
    }
    x = net["x"]
    outputs = {"outputs": net["outputs"], "c": net["states"][0].c, "last": net["states"][1]}  # type: ignore[index]
    terms = [rg.reduce_sum(outputs[name] * rg.constant(value)) for name, value in weights.items()]
    inside = rg.compile({"outputs": net["outputs"], "states": net["states"]}, loss=terms[0] + terms[1] + terms[2])
    outside = rg.compile({"outputs": net["outputs"], "states": net["states"]}, parameters=inside)
    _, expected = inside.training.gradients(x=X, seed=3, wrt=[x])
    output_gradients = {"outputs": weights["outputs"], "states": ({"c": weights["c"]}, weights["last"])}
    result, gradients = outside.training.gradients(x=X, seed=3, wrt=[x], output_gradients=output_gradients)
    assert list(gradients) == list(expected)
    for name, gradient in gradients.items():
        assert_allclose(gradient, expected[name], rtol=1e-12, atol=1e-13)
    assert_array_equal(result["outputs"], outside.training(x=X, seed=3)["outputs"])
    assert "loss" not in result


def test_missing_gradients_count_as_zero() -> None:
    net = declared()
    loss = rg.reduce_mean(rg.square(net["outputs"]))  # type: ignore[arg-type]
    program = rg.compile({"outputs": net["outputs"], "states": net["states"]}, loss=loss)
    zero = np.zeros((3, 7, 3))
    result, gradients = program.training.gradients(x=X, seed=3, output_gradients={"outputs": zero})
    assert all(not gradient.any() for gradient in gradients.values())
    assert result["loss"] == program.training(x=X, seed=3)["loss"]


def test_a_bare_tensor_takes_a_bare_gradient() -> None:
    net = declared()
    program = rg.compile(net["outputs"])
    ones = np.ones((3, 7, 3))
    value, gradients = program.training.gradients(x=X, seed=3, output_gradients=ones)
    loss = rg.compile(net["outputs"], loss=rg.reduce_sum(net["outputs"]), parameters=program)  # type: ignore[arg-type]
    _, expected = loss.training.gradients(x=X, seed=3)
    assert_array_equal(value, program.training(x=X, seed=3))
    for name, gradient in gradients.items():
        assert_allclose(gradient, expected[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("output_gradients", "error", "says"),
    [
        ({"logits": 1.0}, rg.NameLookupError, "'logits', which is not an output; there are outputs, states/0/c"),
        ({"loss": 1.0}, rg.NameLookupError, "'loss', which is not an output"),
        ({}, rg.StructureError, "is empty"),
        ({"outputs": None}, rg.StructureError, "is empty"),
        (np.ones(3), rg.StructureError, "the structure of the outputs"),
        ({"outputs": np.ones((3, 7, 4))}, rg.ShapeError, "axis 2 must be 3"),
        ({"outputs": np.ones((3, 6, 3))}, rg.ShapeError, "must be T = 7"),
        ({"outputs": np.ones((3, 7))}, rg.ShapeError, "rank 2"),
        ({"outputs": np.ones((3, 7, 3), complex)}, rg.DtypeError, "complex"),
    ],
)
def test_mistakes(output_gradients: object, error: type[Exception], says: str) -> None:
    net = declared()
    program = rg.compile({"outputs": net["outputs"], "states": net["states"]})
    with pytest.raises(error, match=f"test_output_gradients.py:.*{says}"):
        program.training.gradients(x=X, seed=3, output_gradients=output_gradients)


def test_ints_have_no_gradient() -> None:
    x = rg.placeholder("x", (None, 4))
    program = rg.compile({"best": rg.argmax(rg.dense(x, 3), -1)})
    with pytest.raises(rg.DtypeError, match="output best is int64; it has no gradient"):
        program.training.gradients(x=np.ones((2, 4)), output_gradients={"best": np.ones(2)})


def test_without_a_loss_and_without_gradients_of_outputs() -> None:
    program = rg.compile(declared()["outputs"])
    with pytest.raises(rg.GraphError, match=r"give one to rg\.compile, or output_gradients="):
        program.training.gradients(x=X)
