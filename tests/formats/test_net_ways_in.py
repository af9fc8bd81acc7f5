"""Every way to compile a net that was read has the file's weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg

torch = pytest.importorskip("torch")
X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)


class Module(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = torch.nn.GRU(3, 4, batch_first=True), torch.nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[1][-1])


def test_compile_takes_the_outputs_of_a_net() -> None:
    module = Module().eval()
    net = rg.read_torch(module, torch.zeros(2, 5, 3))
    (name,) = net.outputs
    with torch.no_grad():
        expected = module(torch.from_numpy(X)).numpy()
    y = rg.placeholder("y", (None, 2))
    loss = rg.mean_squared_error(y, net.outputs[name])
    programs = {
        "program": net.program(),
        "compile": net.compile(seed=7),
        "outputs": rg.compile(net.outputs),
        "a dict": rg.compile(dict(net.outputs), seed=3),
        "one": rg.compile({name: net.outputs[name]}, loss=loss),
        "options": net.compile(loss=loss, threads=1),
    }
    for program in programs.values():
        assert_allclose(program.inference(X)[name], expected, atol=1e-5)
        assert dict(program.parameters).keys() == net.parameters.keys()
    trained = programs["one"]
    before = {key: array.copy() for key, array in net.parameters.items()}
    rg.Trainer(trained).step(X, y=np.zeros((2, 2)))
    for key, array in net.parameters.items():
        assert_array_equal(array, before[key])
        assert_array_equal(programs["program"].parameters[key], before[key])
        assert (trained.parameters[key] != before[key]).any()
    trained.initialize(5)
    assert (trained.parameters["head/kernel"] != before["head/kernel"]).any()


def test_parameters_of_a_program_of_the_same_net_are_shared() -> None:
    net = rg.read_torch(Module().eval(), torch.zeros(2, 5, 3))
    first = net.program()
    first.parameters["head/bias"] = np.array([5.0, 6.0])
    second = rg.compile({"twice": 2.0 * net.outputs["y"]}, parameters=first)
    assert_allclose(second.inference(X)["twice"], 2 * first.inference(X)["y"], rtol=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_arrays_of_a_layer_load_into_torch(kind: str) -> None:
    cell: rg.Cell = {
        "LSTM": lambda: rg.BasicLSTMCell(4, forget_bias=0.0),
        "GRU": lambda: rg.GRUCell(4, reset_after=True),
        "RNN": lambda: rg.BasicRNNCell(4),
    }[kind]()
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(cell, x)
    program = rg.compile(outputs, seed=2)
    arrays = {name.split("/", 2)[2]: array for name, array in program.parameters.items()}
    layer = getattr(torch.nn, kind)(3, 4, batch_first=True, num_layers=1)
    tensors = {name: torch.tensor(array) for name, array in rg.weights.to_torch(cell, arrays, layer=0).items()}
    layer.load_state_dict(tensors)
    with torch.no_grad():
        assert_allclose(layer(torch.from_numpy(X))[0].numpy(), program.inference(X), atol=1e-5)
    names = rg.weights.to_torch(cell, arrays, layer=1, reverse=True)
    assert [*names] == ["weight_ih_l1_reverse", "weight_hh_l1_reverse", "bias_ih_l1_reverse", "bias_hh_l1_reverse"]
    back = rg.weights.from_torch(cell, names)
    for name, array in arrays.items():
        assert_allclose(back[name], array, atol=1e-6)
    assert "weight_ih" in rg.weights.to_torch(cell, arrays)
    with pytest.raises(rg.ArgumentError, match="give the index of the layer"):
        rg.weights.to_torch(cell, arrays, reverse=True)
    with pytest.raises(rg.ArgumentError, match="layer"):
        rg.weights.to_torch(cell, arrays, layer=-1)
