"""``rnngraph import``: the choice of a reader, the files that are written, and the messages."""

from __future__ import annotations

import gzip
import json
import re
import runpy
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.cli import main
from rnngraph.cli.commands.command_error import CommandError
from rnngraph.cli.commands.file_kinds import GGUF, KERAS, NAM, ONNX, RTNEURAL, fixed_input, kind_of
from rnngraph.storage.array_file import write_arrays


def amp(hidden: int = 3) -> dict[str, Any]:
    count = 4 * hidden * (1 + hidden) + 4 * hidden + 2 * hidden + hidden + 1
    config = {"input_size": 1, "hidden_size": hidden, "num_layers": 1}
    weights = np.random.default_rng(0).normal(0, 0.5, count).tolist()
    return {"architecture": "LSTM", "config": config, "weights": weights}


def test_a_file_becomes_a_script_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "amp.nam").write_text(json.dumps(amp()))
    folder = tmp_path / "net"
    assert main(["import", str(tmp_path / "amp.nam"), "-o", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "Neural Amp Modeler" in said
    assert "f32[B,T,1]" in said
    (total,) = [line.split() for line in said.splitlines() if " all " in line]
    assert (total[-4], total[-2]) == ("70", "280")
    assert said.splitlines()[-2:] == [str(folder / "net.py"), str(folder / "weights.safetensors")]
    program = runpy.run_path(str(folder / "net.py"))["program"]
    x = np.random.default_rng(1).normal(size=(2, 7, 1))
    wanted = rg.read_nam(tmp_path / "amp.nam").program().inference(x=x)["y"]
    np.testing.assert_array_equal(program.inference(x=x)["y"], wanted)


def test_other_commands_read_the_written_folder_and_suggest_it_for_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "amp.nam").write_text(json.dumps(amp()))
    assert main(["import", str(tmp_path / "amp.nam"), "-o", str(tmp_path / "net")]) == 0
    capsys.readouterr()
    assert main(["show", str(tmp_path / "net")]) == 0
    assert "graph inference" in capsys.readouterr().out
    for command in ("show", "run", "profile"):
        assert main([command, str(tmp_path / "amp.nam")]) == 2
        assert f"rnngraph import {tmp_path / 'amp.nam'} -o net" in capsys.readouterr().err


def test_axes_are_opened_and_closed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = rg.placeholder("x", (None, 7, 3))
    rg.write_onnx(rg.compile({"y": rg.tanh(rg.dense(x, 4))}).inference, tmp_path / "net.onnx")
    command = ["import", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "net")]
    assert main([*command, "--open", "x[1]=T", "--fixed", "x[0]=2"]) == 0
    assert "f32[2,T,3]" in capsys.readouterr().out
    program = runpy.run_path(str(tmp_path / "net" / "net.py"))["program"]
    assert program.inference(x=np.zeros((2, 25, 3), np.float32))["y"].shape == (2, 25, 4)
    for option, wrong, form in (
        ("--open", "x=T", "'INPUT[AXIS]=NAME', such as 'x[3]=W'"),
        ("--open", "x[1]=2T", "'INPUT[AXIS]=NAME', such as 'x[3]=W'"),
        ("--fixed", "x[1]=1.5", "'INPUT[AXIS]=NUMBER', such as 'x[1]=200'"),
    ):
        with pytest.raises(SystemExit):
            main([*command, option, wrong])
        assert form in capsys.readouterr().err
    (tmp_path / "amp.nam").write_text(json.dumps(amp()))
    assert main(["import", str(tmp_path / "amp.nam"), "-o", str(tmp_path / "amp"), "--open", "x[1]=T"]) == 2
    assert "--open is for files of ONNX, TensorFlow and Keras" in capsys.readouterr().err


def test_a_folder_has_the_files_name_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/amp.nam").write_text(json.dumps(amp()))
    assert main(["import", "files/amp.nam"]) == 0
    assert (tmp_path / "amp/net.py").is_file()


def test_files_of_torch_are_distinguished_from_those_of_keras(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", b"")
    assert main(["import", str(tmp_path / "net.pt")]) == 2
    assert "is a file of torch" in (said := capsys.readouterr().err)
    assert "rg.read_torch(module, example)" in said


@pytest.mark.slow
def test_weights_are_listed_and_no_code_of_a_file_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    torch.save({"rnn": {"weight": torch.zeros(2, 3)}, "step": 4}, tmp_path / "state.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    torch.save({"w": torch.zeros(1)}, tmp_path / "old.pkl", _use_new_zipfile_serialization=False)
    assert main(["import", str(tmp_path / "state.pt")]) == 2
    assert capsys.readouterr().out == "rnn.weight  float32[2, 3]\n"
    assert main(["import", str(tmp_path / "module.pth")]) == 2
    assert "holds more than tensors, such as a whole module, and is not opened" in capsys.readouterr().out
    assert main(["import", str(tmp_path / "old.pkl")]) == 2
    said = capsys.readouterr()
    assert said.out == "w  float32[1]\n"
    assert "is a pickle of torch" in said.err


def test_weights_of_safetensors_are_listed_by_their_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_arrays(tmp_path / "w.safetensors", {"gru/kernel": np.zeros((2, 3), "float32")}, "weights")
    assert main(["import", str(tmp_path / "w.safetensors")]) == 2
    said = capsys.readouterr()
    assert said.out == "gru/kernel  F32[2, 3]\n"
    assert "holds only weights" in said.err
    assert "rg.weights.from_torch(cell, arrays)" in said.err
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 20)
    assert main(["import", str(tmp_path / "bad.safetensors")]) == 2
    assert "its header is damaged" in capsys.readouterr().out


@pytest.mark.slow
def test_a_graph_of_tensorflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).parents[2] / "fixtures" / "tf1_graphs"
    (tmp_path / "net.pb").write_bytes(gzip.decompress((folder / "dropout.pb.gz").read_bytes()))
    assert main(["import", str(tmp_path / "net.pb"), "-o", str(tmp_path / "net"), "--fixed", "keep_prob=1.0"]) == 0
    assert "TensorFlow 1.x" in capsys.readouterr().out
    assert "dynamic_rnn(" in (tmp_path / "net" / "net.py").read_text()
    assert main(["import", str(folder / "saved"), "-o", str(tmp_path / "saved")]) == 0
    assert "sequence" in capsys.readouterr().out


def test_explore_takes_the_folder_of_a_saved_model(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "fixtures" / "tf1_graphs" / "kernels.pb.gz"

    def field(content: bytes) -> bytes:  # field 2 of a message, with its length in five bytes
        length = [len(content) >> 7 * place & 127 | 128 * (place < 4) for place in range(5)]
        return bytes([0x12, *length]) + content

    (tmp_path / "saved_model.pb").write_bytes(field(field(gzip.decompress(path.read_bytes()))))
    assert main(["explore", str(tmp_path), "-o", str(tmp_path / "net.html")]) == 0
    assert "TensorFlow 1.x" in (tmp_path / "net.html").read_text(encoding="utf-8")


def test_a_folder_with_files_of_ones_own_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "amp.nam").write_text(json.dumps(amp()))
    (tmp_path / "net.py").write_text("# mine\n")
    assert main(["import", str(tmp_path / "amp.nam"), "-o", str(tmp_path)]) == 1
    assert "net.py is in the way" in capsys.readouterr().err
    assert (tmp_path / "net.py").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.onnx", b"\x08\x08", ONNX),
        ("a.keras", b"PK\x03\x04", KERAS),
        ("a.bin", b"\x89HDF\r\n\x1a\n...", KERAS),
        ("a.h5", b"\x89HDF\r\n\x1a\n", KERAS),
        ("a.json", b' {"architecture": "LSTM"}', NAM),
        ("a.nam", b'{"layers": []}', RTNEURAL),
        ("a.txt", b'{"model_data": {}}', RTNEURAL),
        ("a.bin", b"GGUF\3\0\0\0", GGUF),
        ("a.gguf", b"", GGUF),
        ("a.nam", b"", NAM),
        ("a.json", b'{"architecture', RTNEURAL),
        ("a.JSON", b"[]", RTNEURAL),
    ],
)
def test_content_determines_the_format_of_a_file_before_its_suffix(
    name: str, content: bytes, kind: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name) == kind


def test_other_files_are_of_no_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CommandError, match=r"the format is not supported; supported are \.onnx"):
        kind_of(tmp_path / "notes.txt")
    assert main(["import", str(tmp_path / "none.nam"), "-o", str(tmp_path / "net")]) == 2
    assert re.search("none.nam: (No such file|The system cannot find|File not found)", capsys.readouterr().err)


def test_fixed_inputs_are_numbers_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [fixed_input(text) for text in ("sr=16000", "a=b=0.5"[2:], "on=true")] == [
        ("sr", 16000),
        ("b", 0.5),
        ("on", True),
    ]
    for text in ("sr", "=3", "sr=fast", "sr=[1]", "sr="):
        with pytest.raises(SystemExit):
            main(["import", "a.onnx", "-o", "net", "--fixed", text])
        assert "is not of the form INPUT=NUMBER" in capsys.readouterr().err
    (tmp_path / "amp.nam").write_text(json.dumps(amp()))
    assert main(["import", str(tmp_path / "amp.nam"), "-o", str(tmp_path / "net"), "--fixed", "sr=1"]) == 2
    assert "--fixed INPUT=NUMBER is for inputs of ONNX files" in capsys.readouterr().err


def test_errors_for_damaged_files_have_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = amp()
    content["weights"] = content["weights"][:-1]
    (tmp_path / "amp.nam").write_text(json.dumps(content))
    assert main(["import", str(tmp_path / "amp.nam"), "-o", str(tmp_path / "net")]) == 1
    said = capsys.readouterr()
    assert "amp.nam is damaged" in said.err
    assert said.out == ""
    assert not (tmp_path / "net").exists()
