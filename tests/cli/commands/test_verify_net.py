"""``rnngraph verify``: compared outputs and sizes, and the exit codes. The engine is a fake; real ones are tested with
real nets.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnngraph.cli import main
from rnngraph.cli.commands.verify_net import _difference

SCRIPT = """
import rnngraph as rg

x = rg.placeholder("x", (None, None, 2))
ids = rg.placeholder("ids", (None,), "int64")
table = rg.parameter("table", (5, 2))
program = rg.compile({"y": x * 2.0 + rg.gather(table, ids)[:, None], "last": x[:, -1], "nan": x / (x - x)})
program.parameters["table"] = [[row, row] for row in range(5)]
"""

ENGINE = """
import types

import numpy as np

OFF = 0.0


class SessionOptions:
    pass


class InferenceSession:
    def __init__(self, path, options, providers):
        self.path = path

    def get_inputs(self):
        kinds = {"x": "tensor(float)", "ids": "tensor(int64)", "sr": "tensor(int64)"}
        return [types.SimpleNamespace(name=name, type=kind) for name, kind in kinds.items()]

    def run(self, names, feeds):
        assert feeds["sr"] == 16000 and feeds["sr"].dtype == np.int64, feeds["sr"]
        assert {array.dtype.name for array in feeds.values()} == {"float32", "int64"}
        with open("sizes", "a") as file:
            print(*feeds["x"].shape, file=file)
        x = feeds["x"]
        with np.errstate(all="ignore"):
            rows = np.stack([feeds["ids"]] * 2, -1)[:, None]
            results = {"y": x * 2 + rows + OFF, "last": x[:, -1], "nan": x / (x - x)}
        return [results[name].astype(np.float32) for name in names]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "net.py").write_text(SCRIPT)
    (tmp_path / "file.onnx").write_bytes(b"")
    (tmp_path / "onnxruntime.py").write_text(ENGINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    yield tmp_path
    sys.modules.pop("onnxruntime", None)


def test_equal_numbers_pass_at_several_sizes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "net", "file.onnx", "--fixed", "sr=16000"]) == 0
    said = capsys.readouterr().out
    assert "within the tolerance of 0.0001" in said
    assert said.count(" last ") == said.count(" nan ") == 6
    assert {tuple(line.split()) for line in (folder / "sizes").read_text().splitlines()} == {
        (batch, steps, "2") for batch in "13" for steps in ("1", "7", "25")
    }


def test_other_numbers_fail(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "onnxruntime.py").write_text(ENGINE.replace("OFF = 0.0", "OFF = 0.01"))
    arguments = ["verify", "net", "file.onnx", "--fixed", "sr=16000", "--batch", "2", "--steps", "4"]
    assert main(arguments) == 1
    assert "over the tolerance" in capsys.readouterr().out
    assert (folder / "sizes").read_text() == "2 4 2\n"
    assert main([*arguments, "--tolerance", "0.1"]) == 0


def test_values_that_can_not_be_compared_are_no_difference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 2 if nothing can be compared: a missing input, engine or format, or refused sizes."""
    (folder / "sizes.txt").write_text("")
    for arguments, words in (
        (["file.onnx"], "also needs sr; give --fixed sr=NUMBER"),
        (["sizes.txt"], "the format is not supported"),
        (["none.nam"], "none.nam: "),
    ):
        assert main(["verify", "net", *arguments]) == 2
        assert words in capsys.readouterr().err
    (folder / "amp.nam").write_text("{}")
    assert main(["verify", "net", "amp.nam"]) == 2
    assert "have no engine in Python" in capsys.readouterr().err
    (folder / "net" / "net.py").write_text(SCRIPT.replace("(None, None, 2)", "(4, 5, 2)"))
    (folder / "onnxruntime.py").write_text("raise ImportError('no such processor')")
    sys.modules.pop("onnxruntime", None)
    assert main(["verify", "net", "file.onnx", "--fixed", "sr=16000"]) == 2
    assert "is run by onnxruntime, which can't be imported here" in capsys.readouterr().err


def test_a_script_needs_a_torch_module(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert main(["verify", "net", "net/net.py"]) == 2
    assert "defines no torch module named module" in capsys.readouterr().err


def test_a_fixed_length_is_tried_once(folder: Path) -> None:
    (folder / "net" / "net.py").write_text(SCRIPT.replace("(None, None, 2)", "(None, 12, 2)"))
    assert main(["verify", "net", "file.onnx", "--fixed", "sr=16000"]) == 0
    assert (folder / "sizes").read_text() == "1 12 2\n3 12 2\n"


MODULE = """
import torch
from torch import nn

import rnngraph as rg


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)

    def forward(self, x, state, unread, scale=1.0):
        y, h = self.rnn(x, state[0])
        return {"y": y * scale, "h": h[0]}


torch.manual_seed(0)
module = Tagger().eval()
example = (torch.zeros(2, 5, 3), [torch.zeros(1, 2, 4)], torch.zeros(1), 2.0)
program = rg.read_torch(module, example).program()
"""


def test_torch_modules_of_scripts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nested, unread and other arguments have the values of the script's example, except for what is fed."""
    pytest.importorskip("torch")
    (folder / "tagger.py").write_text(MODULE)
    assert main(["verify", "tagger.py", "tagger.py", "--batch", "2", "--steps", "7"]) == 0
    output = capsys.readouterr().out
    assert output.count(" y ") == output.count(" h ") == 1
    assert "within the tolerance of 0.0001" in output
    for change, words in (
        (("y * scale", "y * (scale + 0.1)"), "over the tolerance"),
        (("example = ", "arguments = "), "defines no example"),
        (('"h": h[0]', '"last": h[0]'), "the module has no output h, but y, last"),
        (("x, state, unread", "z, state, unread"), "the net has the input x, but its example does not"),
    ):
        (folder / "other.py").write_text(MODULE.split("program = ")[0].replace(*change))
        assert main(["verify", "tagger.py", "other.py", "--batch", "2", "--steps", "7"]) != 0
        said = capsys.readouterr()
        assert words in said.out + said.err


def test_fixed_is_for_values_of_inputs_of_onnx(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "net", "file.onnx", "--fixed", "x[1]=4"]) == 2
    assert "the imported net has the size; leave it out" in capsys.readouterr().err
    (folder / "file.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert main(["verify", "net", "file.h5", "--fixed", "sr=16000"]) == 2
    assert "--fixed INPUT=NUMBER is for inputs of ONNX files, and file.h5 is of Keras" in capsys.readouterr().err


def test_sizes_that_the_engine_refuses_are_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refuse = 'if feeds["x"].shape[0] != 1:\n            raise ValueError("made for one row")\n        x = feeds["x"]\n'
    (folder / "onnxruntime.py").write_text(ENGINE.replace('x = feeds["x"]\n', refuse, 1))
    assert main(["verify", "net", "file.onnx", "--fixed", "sr=16000"]) == 0
    assert capsys.readouterr().out.count(" last ") == 3
    assert main(["verify", "net", "file.onnx", "--fixed", "sr=16000", "--batch", "3"]) == 2
    assert "its own engine failed: ValueError: made for one row" in capsys.readouterr().err


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_keras_nets_with_inputs_that_nothing_reads_or_calls_name_and_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    if keras.__name__ != "keras" or not hasattr(keras, "layers"):
        pytest.skip("a folder of tests has this name")
    monkeypatch.chdir(tmp_path)
    layers = keras.layers
    one, other, unread = (
        keras.Input(shape, name=name) for shape, name in (((None, 3), "out"), ((None, 2), "b"), ((4,), "c"))
    )
    both = layers.Concatenate()([layers.LSTM(3, return_sequences=True)(one), other])
    keras.Model([one, other, unread], layers.Dense(2)(both)).save("inputs.keras")
    kept = layers.GRU(4, stateful=True, return_sequences=True)
    keras.Sequential([keras.Input(batch_shape=(1, None, 3)), kept, layers.Dense(2)]).save("states.keras")
    for name in ("inputs", "states"):
        assert main(["import", f"{name}.keras", "-o", name]) == 0
        assert main(["verify", name, f"{name}.keras"]) == 0


def test_a_net_without_names_and_a_file_that_no_engine_loads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "onnxruntime.py").write_text(ENGINE.replace("self.path = path", "raise ValueError('no graph')"))
    assert main(["verify", "net", "file.onnx"]) == 2
    assert "its own engine can't load it: ValueError: no graph" in capsys.readouterr().err
    (folder / "net" / "net.py").write_text(SCRIPT + "program = rg.compile(x * 2.0)\n")
    assert main(["verify", "net", "file.onnx"]) == 2
    assert "only output has no name" in capsys.readouterr().err


def test_without_an_engine_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(SCRIPT)
    (tmp_path / "file.onnx").write_bytes(b"")
    block = "import sys; sys.modules['onnxruntime'] = None; from rnngraph.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", block, "verify", ".", "file.onnx"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "onnxruntime, which can't be imported here" in done.stderr


@pytest.mark.parametrize(
    ("ours", "theirs", "difference", "scale"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5, 2.5),
        ([np.nan, np.inf], [np.nan, np.inf], 0.0, 0.0),
        ([np.nan, 1.0], [0.0, 1.0], np.inf, 1.0),
        ([-np.inf], [np.inf], np.inf, 0.0),
        ([], [], 0.0, 0.0),
        ([1.0], [[1.0]], np.inf, 1.0),
        ([True], [False], 1.0, 0.0),
    ],
)
def test_the_largest_difference(ours: list[float], theirs: list[float], difference: float, scale: float) -> None:
    assert _difference(np.array(ours), np.array(theirs)) == (difference, scale)
