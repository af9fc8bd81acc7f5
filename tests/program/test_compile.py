"""Arguments and results of ``rg.compile``: structures, and parameters of another program."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnngraph as rg

X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)


class Net:
    def __init__(self) -> None:
        self.x, self.y = rg.placeholder("x", (None, None, 3)), rg.placeholder("y", (None, 2))
        _, self.state = rg.dynamic_rnn(rg.GRUCell(4), self.x)
        self.shown = rg.dense(self.state, 2)
        self.loss = rg.mean_squared_error(self.y, self.shown)


# Parameters of another program -----------------------------------------------------------------


def test_parameters_that_have_nothing_in_common_are_an_error_that_lists_both() -> None:
    first, second = Net(), Net()
    program = rg.compile({"shown": first.shown})
    head = rg.dense(rg.placeholder("z", (None, 3)), 2, name="head")
    words = r"test_compile.py:\d+: .*shares no parameter.*rnn/gru_cell/gates/kernel.*head/kernel, head/bias"
    with pytest.raises(rg.GraphError, match=words):
        rg.compile(head, parameters=program)
    with pytest.raises(rg.GraphError, match=r"another declaration, 6 of the same names.*dict\(other\.parameters\)\)"):
        rg.compile({"shown": second.shown}, parameters=program.parameters)
    with pytest.raises(rg.GraphError, match=r"4 of the same names.*dict\(other\.parameters\), strict=False\)"):
        rg.compile({"state": second.state}, parameters=program.parameters)
    repeated = rg.compile({"shown": second.shown}, seed=3)
    repeated.parameters.load(dict(program.parameters))
    assert_array_equal(repeated.inference(x=X)["shown"], program.inference(x=X)["shown"])


def test_parameters_that_are_new_are_a_warning_that_lists_them() -> None:
    net = Net()
    program = rg.compile({"shown": net.shown}, seed=1)
    with pytest.warns(UserWarning, match="has no head/kernel, head/bias, which were drawn anew") as warned:
        other = rg.compile({"shown": net.shown, "more": rg.dense(net.state, 7, name="head")}, parameters=program)
    assert warned[0].filename == __file__
    assert_array_equal(other.inference(x=X)["shown"], program.inference(x=X)["shown"])


def test_parameters_that_are_all_there_are_taken_in_silence(tmp_path: Path) -> None:
    net = Net()
    program = rg.compile({"shown": net.shown}, loss=net.loss, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rg.compile({"state": net.state}, parameters=program)
        rg.compile({"twice": net.x * 2.0}, parameters=program)  # reads no parameters
        program.with_outputs({"shown": net.shown, "size": rg.reduce_sum(net.shown)})
        rg.Trainer(program).fit(
            {"x": X, "y": np.zeros((2, 2))}, metrics={"size": rg.reduce_sum(net.shown)}, progress=False
        )


# Structure ---------------------------------------------------------------------------------------


def test_inference_gives_the_structure_of_outputs_with_a_loss_or_without(tmp_path: Path) -> None:
    net = Net()
    without, program = rg.compile(net.shown), rg.compile(net.shown, loss=net.loss)
    plain = without.inference(x=X)
    assert isinstance(plain, np.ndarray)
    program.save(tmp_path / "model")
    for compiled in (program, rg.load(tmp_path / "model"), rg.loads(rg.dumps(program))):
        actual = compiled.inference(x=X)
        assert isinstance(actual, np.ndarray)
        assert_array_equal(actual, plain)
        assert_array_equal(compiled.predict(X), plain)
        assert_array_equal(compiled.predict({"x": X, "y": np.zeros((2, 2))}), plain)
    stream, alone = program.inference.stream(), without.inference.stream()
    for step in range(5):
        assert_array_equal(stream.step(x=X[:1, step]), alone.step(x=X[:1, step]))
    out = np.empty_like(plain)
    program.inference(x=X, out=out)
    assert_array_equal(out, plain)
    assert program.structure is net.shown


def test_a_loss_is_returned_with_a_bare_output_if_it_is_computed() -> None:
    net = Net()
    program = rg.compile(net.shown, loss=net.loss)
    y = np.zeros((2, 2), np.float32)
    for result in (program.training(x=X, y=y), program.evaluate(x=X, y=y)):
        assert list(result) == ["output", "loss"]
        assert_array_equal(result["output"], program.inference(x=X))
        np.testing.assert_allclose(result["loss"], np.mean(result["output"] ** 2), rtol=1e-5)
    assert list(program.training(x=X)) == ["output"]
    assert [*program.training(x=X, y=y, samples=3)] == ["output", "loss"]
    _, gradients = program.training.gradients(x=X, y=y)
    _, of_output = program.training.gradients(x=X, output_gradients=2 * program.inference(x=X) / 4)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, of_output[name], rtol=1e-4, atol=1e-6)
    trainer = rg.Trainer(program)
    before = program.inference(x=X)
    _, fetched = trainer.step(x=X, y=y, fetch={"a": "output", "b": net.shown})
    assert_array_equal(fetched["a"], before)
    assert_array_equal(fetched["b"], before)
    into = {"output": np.empty((2, 2), np.float32)}
    program.evaluate(x=X, y=y, out=into)
    assert_array_equal(into["output"], program.inference(x=X))
