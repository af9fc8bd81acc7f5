"""All unreadable parts of a Keras file are listed at once. Damaged and hostile files raise errors naming the file."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_files import changed_within, data_of, members_of, redescribed, rewritten, zipped

import rnngraph as rg


def layer(kind: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "module": module, "config": {"name": kind.lower(), "trainable": True, **config}}


def with_layers(*layers: dict[str, Any]) -> bytes:
    """Return a Sequential file with these layers appended."""
    return redescribed(data_of("sequential2"), lambda described: described["config"]["layers"].extend(layers))


def test_all_that_can_not_be_read_is_listed() -> None:
    data = with_layers(
        layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}),
        layer("ConvLSTM2D", filters=3),
        layer("Dense", "my.module", units=3),
        layer("Dense", units=3, activation="sparsemax"),
        layer("LSTM", units=3, activation="sparsemax"),
        layer("Conv1D", data_format="channels_first"),
        layer("Unheard"),
        layer("Bidirectional", layer=layer("ConvLSTM1D")),
        layer("Dropout", dtype="complex64"),
    )
    with pytest.raises(rg.NotReadableError, match=r"test_refused\.py:\d+: .* can't be read: ") as caught:
        rg.read_keras(data)
    problems = caught.value.problems
    for text in (
        "layer 'lambda' of class 'Lambda': it is Python code",
        "'ConvLSTM2D': recurrent convolutions",
        "layer 'dense' of class 'Dense': it is not a class of Keras",
        "'Dense': its activation 'sparsemax'",
        "'LSTM': its activation 'sparsemax'",
        "'Conv1D': data_format='channels_first' is not supported",
        "layer 'unheard' of class 'Unheard'",
        "'Bidirectional': its inner layer of class 'ConvLSTM1D' is not supported",
        "'Dropout': its dtype",
    ):
        assert any(text in problem for problem in problems), (text, problems)


def test_options_that_show_while_declaring_are_listed_too() -> None:
    def change(described: dict[str, Any]) -> None:
        for one in described["config"]["layers"]:
            if one["name"] == "masking":
                one["config"]["mask_value"] = None
            if one["name"] == "last":
                one["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = "strange"
        tensor = described["config"]["layers"][-1]["inbound_nodes"][0]["args"][0]
        described["config"]["layers"].append(
            {
                "class_name": "FFT",
                "module": "keras.src.ops.math",
                "config": {"name": "strange"},
                "name": "strange",
                "inbound_nodes": [{"args": [tensor], "kwargs": {}}],
            }
        )

    with pytest.raises(rg.NotReadableError, match="operation 'strange' of class 'FFT'"):
        rg.read_keras(redescribed(data_of("functional3"), change))


def test_errors_of_the_declaration_are_listed_with_their_layers() -> None:
    """The net has several layers with one wrong option each, and a nested network."""

    def change(described: dict[str, Any]) -> None:
        kept = described["config"]["layers"][:2]
        inner = layer("Sequential", "keras", layers=[layer("SpatialDropout1D", rate=1.5), layer("Lambda")])
        described["config"]["layers"] = [
            *kept,
            layer("Dropout", rate=2.0),
            layer("Softmax", axis=[1, 2]),
            inner,
            layer("Unheard"),
        ]

    with pytest.raises(rg.NotReadableError, match=r"Replace them by layers.*custom_objects=") as caught:
        rg.read_keras(redescribed(data_of("sequential2"), change))
    problems = caught.value.problems
    for text in (
        "layer 'dropout' of class 'Dropout': its rate is 2.0; it must be in [0, 1)",
        "layer 'softmax' of class 'Softmax': a mask on its input is not supported",
        "layer 'spatialdropout1d' of class 'SpatialDropout1D' in 'sequential': its rate is 1.5; it must be in [0, 1)",
        "layer 'lambda' of class 'Lambda' in 'sequential': it is Python code",
        "layer 'unheard' of class 'Unheard'",
    ):
        assert any(text in problem for problem in problems), (text, problems)
    assert len(problems) == 5


def deep(count: int) -> Callable[[dict[str, Any]], None]:
    def change(described: dict[str, Any]) -> None:
        inner = layer("Dense", units=3)
        for _ in range(count):
            inner = layer("TimeDistributed", layer=inner)
        described["config"]["layers"].append(inner)

    return change


def doubling(described: dict[str, Any]) -> None:
    """Replace the net by nested networks that call their inner network twice: 2**30 calls."""
    inner, first = layer("Activation", activation="tanh"), 0
    for _ in range(30):
        calls = [[["x", 0, 0, {}]], [["inner", first, 0, {}]]]
        input_layer = layer("InputLayer", batch_input_shape=[None, None, 3], dtype="float32") | {"name": "x"}
        inner = layer(
            "Functional",
            layers=[input_layer, inner | {"name": "inner", "inbound_nodes": calls}],
            input_layers=[["x", 0, 0]],
            output_layers=[["inner", first + 1, 0]],
        )
        first = 1
    described["config"]["layers"].append(inner)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "no Keras file"),
        (b"PK\x03\x04", "no Keras file"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "h5py can't read it"),
        (zipped({"config.json": b"{}"}), "has no metadata.json"),
        (zipped({"config.json": b"[" * 10**5, "metadata.json": b"{}", "model.weights.h5": b""}), "damaged"),
        (redescribed(data_of("sequential2"), deep(100)), "nests more than 40"),
        (redescribed(data_of("sequential2"), doubling), "called more than 20000 times"),
        (with_layers(layer("Dense", units=3)), "has no array|are missing"),
        (with_layers(layer("Permute", dims=[5, 1])), "can't be called on its input"),
        (with_layers(layer("RepeatVector", n=10**12)), "not a list of whole numbers"),
    ],
)
def test_damage_is_named(data: bytes, text: str) -> None:
    with pytest.raises(rg.FileError, match=text):
        rg.read_keras(data)


def test_archives_of_too_many_bytes_are_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnngraph.formats.keras.core.archive.MAX_TEXT", 1 << 20)
    members = members_of(data_of("sequential2")) | {"config.json": b" " * (2 << 20)}
    with pytest.raises(rg.FileError, match=r"config\.json .* has 2,097,152 bytes"):
        rg.read_keras(zipped(members, zipfile.ZIP_DEFLATED))


def swap(file: h5py.File, path: str, replacement: Any, **options: Any) -> None:
    """Replace an array by another object."""
    group, _, name = path.rpartition("/")
    del file[group][name]
    if isinstance(replacement, np.ndarray):
        file[group].create_dataset(name, data=replacement, **options)
    else:
        file[group][name] = replacement


PLACE = "layers/lstm/cell/vars/0"


def outside(file: h5py.File) -> None:
    """Store an array's data in another file."""
    group, _, name = PLACE.rpartition("/")
    del file[group][name]
    file[group].create_dataset(name, (4, 20), "f4", external=[("/etc/hostname", 0, 320)])


def made_of_others(file: h5py.File) -> None:
    group, _, name = PLACE.rpartition("/")
    layout = h5py.VirtualLayout((4, 20), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (4, 20))
    del file[group][name]
    file[group].create_virtual_dataset(name, layout)


def huge(file: h5py.File) -> None:
    """Store an array of 4 TB without any data."""
    group, _, name = PLACE.rpartition("/")
    del file[group][name]
    file[group].create_dataset(name, (1 << 20, 1 << 20), "f4", chunks=(1 << 10, 1 << 10))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda file: swap(file, PLACE, np.zeros((4, 21), np.float32)), "must be"),
        (lambda file: swap(file, PLACE, np.zeros((5, 20), np.float32)), r"has shape \[5, 20\]"),
        (lambda file: swap(file, PLACE, np.array(b"text")), "which is not numeric"),
        (lambda file: swap(file, PLACE, np.array(["text"], dtype=h5py.string_dtype())), "which is not numeric"),
        (lambda file: swap(file, PLACE, h5py.ExternalLink("/etc/hostname", "/x")), "a soft or external link"),
        (lambda file: swap(file, PLACE, h5py.SoftLink("/layers")), "a soft or external link"),
        (outside, "are in other files"),
        (made_of_others, "are in other files"),
        (huge, "pieces|bytes"),
        (lambda file: file["layers"].__delitem__("lstm"), "are missing"),
    ],
)
def test_arrays_must_be_in_the_file_and_of_limited_size(change: Callable[[h5py.File], None], text: str) -> None:
    with pytest.raises(rg.FileError, match=text):
        rg.read_keras(rewritten(data_of("sequential2"), change))


def test_lengths_of_texts_are_not_taken_on_trust() -> None:
    data = data_of("functional2")
    with h5py.File(io.BytesIO(data)) as file:
        length = len(file.attrs["model_config"])
    place = data.index(struct.pack("<I", length))  # (length, address) of the attribute, which precedes its text
    long = data[:place] + struct.pack("<I", 2**32 - 1) + data[place + 4 :]
    with pytest.raises(rg.FileError, match="model_config of it is too long"):
        rg.read_keras(long)


def test_weights_alone_are_no_net(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["keras_version"] = "2.0.6"
        file["rnn/kernel"] = np.zeros((3, 3))
    with pytest.raises(rg.FileError, match=r"because save_weights wrote it.*rg\.weights\.from_keras"):
        rg.read_keras(tmp_path / "weights.h5")


def test_sources_that_are_no_path_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(rg.FileError, match="no file"):
        rg.read_keras(tmp_path / "none.keras")
    with pytest.raises(rg.DtypeError, match="give a path or bytes"):
        rg.read_keras(json)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


def check_changed_files(seeds: range) -> None:
    names = ("functional3", "sequential2", "functional2", "sequential3")
    for seed in seeds:
        try:
            net = rg.read_keras(changed_within(names[seed // 4 % 4], seed))
        except rg.RnnGraphError:
            continue
        compile(net.script(), "net.py", "exec")


def test_changed_files_give_an_error_or_a_net() -> None:
    check_changed_files(range(40))


@pytest.mark.exhaustive
def test_many_changed_files_give_an_error_or_a_net() -> None:
    check_changed_files(range(40, 20_040))
