"""Files of Neural Amp Modeler against the LSTM's equations in NumPy."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from changed_files import check_changed_files
from exported import object_name
from numpy.testing import assert_allclose
from recurrent_layers import lstm

import rnngraph as rg


def file_of(hidden: int, layers: int, seed: int) -> tuple[dict[str, Any], list[tuple[np.ndarray, ...]]]:
    """Return a file's content, and its arrays for each layer and the final head."""
    generator = np.random.default_rng(seed)
    parts, inputs = [], 1
    for _ in range(layers):
        shapes = (4 * hidden, inputs + hidden), (4 * hidden,), (hidden,), (hidden,)
        parts.append(tuple(generator.normal(0, 0.5, shape) for shape in shapes))
        inputs = hidden
    parts.append((generator.normal(0, 0.5, (1, hidden)), generator.normal(0, 0.5, (1,))))
    numbers = [float(number) for part in parts for array in part for number in array.reshape(-1)]
    config = {"input_size": 1, "hidden_size": hidden, "num_layers": layers}
    return {"version": "0.5.2", "architecture": "LSTM", "config": config, "weights": numbers}, parts


def expected(x: np.ndarray, parts: list[tuple[np.ndarray, ...]]) -> np.ndarray:
    *layers, (head, bias) = parts
    for kernel, gates, h, c in layers:
        inputs = x.shape[-1]
        x = lstm(x, kernel[:, :inputs].T, kernel[:, inputs:].T, gates, "ifgo", h, c)
    return x @ head.T + bias


@pytest.mark.parametrize(("hidden", "layers"), [(1, 1), (3, 2), (16, 1), (25, 3)])
def test_numbers_are_those_of_the_equations(hidden: int, layers: int) -> None:
    content, parts = file_of(hidden, layers, hidden)
    net = rg.read_nam(json.dumps(content).encode())
    x = np.random.default_rng(1).normal(size=(2, 17, 1))
    program = net.program()
    assert_allclose(program.inference(x=x)["y"], expected(x, parts), atol=3e-6)
    stream = program.inference.stream(batch=2)
    steps = np.stack([stream.step(x=x[:, t])["y"] for t in range(17)], 1)
    assert np.array_equal(steps, program.inference(x=x)["y"])


def test_a_saved_net_is_a_module_with_the_program(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content, _ = file_of(7, 2, 3)
    (tmp_path / "amp.nam").write_text(json.dumps(content))
    net = rg.read_nam(tmp_path / "amp.nam")
    net.save(tmp_path / "folder")
    net.save(tmp_path / "folder")  # a second call overwrites the folder of the first
    names: dict[str, Any] = {"__file__": str(tmp_path / "folder" / "net.py")}
    exec(compile((tmp_path / "folder" / "net.py").read_text(), "net.py", "exec"), names)
    x = np.random.default_rng(1).normal(size=(1, 9, 1))
    program = net.program()
    assert np.array_equal(names["program"].inference(x=x)["y"], program.inference(x=x)["y"])
    assert net.parameters.keys() == program.parameters.keys()
    assert all(np.array_equal(array, program.parameters[name]) for name, array in net.parameters.items())
    (tmp_path / "folder" / "net.py").write_text("# mine\n")
    with pytest.raises(rg.FileError, match="in the way"):
        net.save(tmp_path / "folder")
    assert (tmp_path / "folder" / "net.py").read_text() == "# mine\n"


def test_an_export_and_a_saved_net_leave_each_others_files_alone(tmp_path: Any) -> None:
    """Both would write net.py."""
    net = rg.read_nam(json.dumps(file_of(3, 1, 3)[0]).encode())
    net.program().inference.export(tmp_path, "net", link=False)
    net.save(tmp_path)
    script = (tmp_path / "net.py").read_text()
    net.program().inference.export(tmp_path, "net", link=False)
    assert (tmp_path / "net.py").read_text() == script
    assert (tmp_path / object_name("net")).is_file()


def test_a_net_that_was_read_can_be_trained_on() -> None:
    content, _ = file_of(8, 1, 5)
    net = rg.read_nam(json.dumps(content).encode())
    target = rg.placeholder("target", (None, None, 1))
    program = net.program(loss=rg.mean_squared_error(target, net.outputs["y"]))
    feeds = {"x": np.ones((2, 5, 1), np.float32), "target": np.zeros((2, 5, 1), np.float32)}
    trainer = rg.Trainer(program, rg.Adam(1e-2))
    losses = [trainer.step(feeds) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]


def test_other_architectures_are_refused_by_name() -> None:
    content, _ = file_of(3, 1, 0)
    with pytest.raises(rg.NotReadableError, match=r"test_nam\.py:\d+: .*'WaveNet'.*use LSTM"):
        rg.read_nam(json.dumps(content | {"architecture": "WaveNet"}).encode())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"weights": [1.0]}, "weights has 1 numbers; more are needed"),
        ({"weights": "no"}, "not an array of numbers"),
        ({"config": {"hidden_size": -1, "num_layers": 1}}, "config.hidden_size is -1"),
        ({"config": {"hidden_size": 10**9, "num_layers": 1}}, "not a whole number of 1 to"),
        ({"config": [1]}, "config is .*, not an object"),
    ],
)
def test_damage_is_named(change: dict[str, Any], text: str) -> None:
    content, _ = file_of(3, 1, 0)
    with pytest.raises(rg.FileError, match=text):
        rg.read_nam(json.dumps(content | change).encode())


def test_files_of_other_amplifiers_name_their_reader() -> None:
    layer = {"type": "dense", "activation": "", "shape": [None, 1], "weights": [[[1.0]], [0.0]]}
    theirs = json.dumps({"in_shape": [None, 1], "layers": [layer]}).encode()
    assert rg.read_rtneural(theirs).outputs
    with pytest.raises(rg.FileError, match=r"is a file of RTNeural.*; read it with rg\.read_rtneural"):
        rg.read_nam(theirs)
    with pytest.raises(rg.FileError, match=r"is a file of Neural Amp Modeler; read it with rg\.read_nam"):
        rg.read_rtneural(json.dumps(file_of(2, 1, 0)[0]).encode())


def test_open_sizes_are_shown_as_those_of_tensors() -> None:
    assert repr(rg.read_nam(json.dumps(file_of(2, 1, 0)[0]).encode())) == "Net(x f32[?,?,1] -> y f32[?,?,1])"


def test_files_of_other_formats_are_rejected(tmp_path: Any) -> None:
    for data in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"architecture": NaN}'):
        with pytest.raises(rg.FileError):
            rg.read_nam(data)
    with pytest.raises(rg.FileError, match="no file"):
        rg.read_nam(tmp_path / "none.nam")
    with pytest.raises(rg.FileError, match="is a directory; give the path of a NAM file"):
        rg.read_nam(tmp_path)


def test_changed_files_give_an_error_or_a_net() -> None:
    content, _ = file_of(2, 1, 0)
    check_changed_files(rg.read_nam, json.dumps(content).encode(), range(200))


@pytest.mark.exhaustive
def test_many_changed_files_give_an_error_or_a_net() -> None:
    content, _ = file_of(2, 2, 0)
    check_changed_files(rg.read_nam, json.dumps(content).encode(), range(200, 20_200))
