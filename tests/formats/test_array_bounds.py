"""Small files that declare enormous arrays or loops are refused quickly, unless the reader's bounds are raised."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.cli import main

os.environ.setdefault("KERAS_BACKEND", "torch")
HUGE = 10**9


def onnx_model(*nodes: Any, x: tuple[Any, ...] = ("B", 4, 8), opset: int = 18, **arrays: Any) -> bytes:
    """Return a model with input x, output y and the initializers ``arrays``."""
    helper, numpy_helper = (pytest.importorskip("onnx").helper, pytest.importorskip("onnx").numpy_helper)
    built = [helper.make_node(op, inputs, outputs, **more) for op, inputs, outputs, more in nodes]
    known = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(
        built, "net", [helper.make_tensor_value_info("x", 1, x)], [helper.make_tensor_value_info("y", 1, None)], known
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString()


def loop(rounds: int, inner: int = 0) -> Any:
    """Return a node that loops for ``rounds``; with ``inner``, each round runs an inner loop."""
    helper = pytest.importorskip("onnx").helper
    value = helper.make_tensor_value_info
    if inner:
        steps = [helper.make_node("Loop", ["m", "t", "s"], ["so"], body=loop(inner)[3]["body"])]
    else:
        steps = [helper.make_node("Tanh", ["s"], ["so"])]
    level = "i" if inner else "j"
    body = helper.make_graph(
        [helper.make_node("Identity", [f"c{level}"], [f"co{level}"]), *steps],
        "steps",
        [value(level, 7, []), value(f"c{level}", 9, []), value("s", 1, None)],
        [value(f"co{level}", 9, []), value("so", 1, None)],
    )
    return "Loop", ["n", "t", "x"], ["y"], {"body": body}


NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
ONNX: dict[str, Callable[[int], bytes]] = {
    "Resize": lambda n: onnx_model(("Resize", ["x", "", "s"], ["y"], NEAREST), s=np.array([1, 1, n], np.float32)),
    "Upsample": lambda n: onnx_model(
        ("Upsample", ["x", "s"], ["y"], {"mode": "nearest"}), s=np.array([1, 1, n], np.float32), opset=9
    ),
    "Loop": lambda n: onnx_model(loop(n), n=n, t=True),
    "Loop of known numbers": lambda n: onnx_model(
        ("Loop", ["n", "t", "one"], ["z"], loop(n)[3]), ("Add", ["x", "z"], ["y"], {}), n=n, t=True, one=np.float32(1)
    ),
    "Expand": lambda n: onnx_model(("Expand", ["x", "s"], ["y"], {}), s=np.array([n, 1, 4, 8])),
    "ConstantOfShape": lambda n: onnx_model(
        ("ConstantOfShape", ["s"], ["z"], {}), ("Add", ["x", "z"], ["y"], {}), s=np.array([n, 1, 1, 1])
    ),
    "Tile of numbers": lambda n: onnx_model(
        ("Tile", ["o", "s"], ["z"], {}),
        ("Add", ["x", "z"], ["y"], {}),
        s=np.array([n, 1, 1, 1]),
        o=np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8),
    ),
    "Pad": lambda n: onnx_model(("Pad", ["x", "s"], ["y"], {}), s=np.array([0, 0, n, 0, 0, n])),
    "Pad of edges": lambda n: onnx_model(("Pad", ["x", "s"], ["y"], {"mode": "edge"}), s=np.array([0, 0, n, 0, 0, n])),
    "Range": lambda n: onnx_model(
        ("Range", ["a", "b", "c"], ["r"], {}),
        ("Cast", ["r"], ["f"], {"to": 1}),
        ("ReduceSum", ["f"], ["m"], {}),
        ("Add", ["x", "m"], ["y"], {}),
        a=np.int64(0),
        b=np.int64(n),
        c=np.int64(1),
    ),
    "OneHot": lambda n: onnx_model(
        ("Cast", ["x"], ["i"], {"to": 7}),
        ("OneHot", ["i", "d", "v"], ["y"], {}),
        d=np.int64(n),
        v=np.array([0, 1], np.float32),
    ),
    "MaxPool": lambda n: onnx_model(("MaxPool", ["x"], ["y"], {"kernel_shape": [n], "pads": [n - 1, 0]})),
    "AveragePool": lambda n: onnx_model(("AveragePool", ["x"], ["y"], {"kernel_shape": [n], "pads": [n - 1, 0]})),
    "Conv": lambda n: onnx_model(("Conv", ["x", "w"], ["y"], {"pads": [n, n]}), w=np.ones((3, 4, 3), np.float32)),
    "ConvTranspose": lambda n: onnx_model(
        ("ConvTranspose", ["x", "w"], ["y"], {"strides": [n]}), w=np.ones((4, 3, 3), np.float32)
    ),
    "Gather": lambda n: onnx_model(
        ("Expand", ["o", "s"], ["i"], {}), ("Gather", ["x", "i"], ["y"], {"axis": 2}), s=np.array([n]), o=np.array([1])
    ),
    "MatMul": lambda n: onnx_model(
        ("Expand", ["o", "s"], ["w"], {}), ("MatMul", ["x", "w"], ["y"], {}), s=np.array([8, n]), o=np.float32(1)
    ),
}


@pytest.mark.parametrize("op", ONNX)
def test_an_onnx_file_of_few_bytes_declares_no_enormous_array(op: str) -> None:
    data = ONNX[op](HUGE)
    assert len(data) < 500
    with pytest.raises(
        rg.NotReadableError, match=r"(entries|iterations).*give max_entries=\d+|its depth is 1000000000"
    ):
        rg.read_onnx(data)


@pytest.mark.parametrize("op", ["Resize", "Loop", "Pad", "MaxPool", "Expand"])
def test_files_within_the_bound_are_read(op: str) -> None:
    rg.read_onnx(ONNX[op](10_000))


def test_an_argument_raises_the_bound() -> None:
    data = ONNX["Resize"](10**7)
    wanted = (
        r"test_array_bounds\.py:\d+: a file of \d+ bytes can't be read: it needs an array of 320,000,000 entries, "
        r"f32\[B,4,80000000\]; 268,435,456 at most are read. If you trust the file, give max_entries=320000000$"
    )
    with pytest.raises(rg.NotReadableError, match=wanted):
        rg.read_onnx(data)
    assert rg.read_onnx(data, max_entries=320_000_000).outputs["y"].type.shape[2] == 80_000_000
    with pytest.raises(rg.NotReadableError, match="1,000 at most"):
        rg.read_onnx(ONNX["Resize"](100), max_entries=1000)
    for wrong in (0, 1.5, True, "all"):
        with pytest.raises((rg.ArgumentError, rg.DtypeError), match="max_entries must be"):
            rg.read_onnx(data, max_entries=wrong)  # type: ignore[arg-type]


def test_loops_within_each_other_count_as_their_product() -> None:
    assert rg.read_onnx(onnx_model(loop(10**6, 100), x=(1, 1), n=np.int64(10**6), m=np.int64(100), t=True)).outputs
    data = onnx_model(loop(10**7, 100), x=(1, 1), n=np.int64(10**7), m=np.int64(100), t=True)
    with pytest.raises(rg.NotReadableError, match=r"needs loops of 1,000,000,000 iterations; 268,435,456 at most"):
        rg.read_onnx(data)


def test_axes_without_end_are_refused() -> None:
    for count in (20, 100_000):
        data = onnx_model(("Unsqueeze", ["x", "a"], ["y"], {}), a=np.arange(count))
        with pytest.raises(rg.NotReadableError, match=r"rank 23|axes"):
            rg.read_onnx(data)


def test_an_input_or_weight_may_be_as_large_as_it_is() -> None:
    """A file with a large input or weight may also compute large arrays."""
    net = rg.read_onnx(onnx_model(("Tanh", ["x"], ["y"], {}), x=(HUGE, 4)))
    assert net.outputs["y"].type.shape == (HUGE, 4)


KERAS: dict[str, Callable[[Any, int], list[Any]]] = {
    "RepeatVector": lambda layers, n: [layers.Flatten(), layers.RepeatVector(n), layers.LSTM(2)],
    "UpSampling1D": lambda layers, n: [layers.UpSampling1D(n)],
    "Conv1DTranspose": lambda layers, n: [layers.Conv1DTranspose(2, 3, strides=n)],
}


def keras_file(folder: Path, layer: str, count: int) -> bytes:
    """Return the file of a net that was built with the number 5, in which ``count`` replaces this number."""
    keras = pytest.importorskip("keras")
    keras.Sequential([keras.Input((4, 8)), *KERAS[layer](keras.layers, 5)]).save(folder / "net.keras")
    packed = io.BytesIO()
    with zipfile.ZipFile(folder / "net.keras") as archive, zipfile.ZipFile(packed, "w") as changed:
        for name in archive.namelist():
            data = archive.read(name)
            changed.writestr(name, data.replace(b": 5", b": %d" % count).replace(b"[5", b"[%d" % count))
    return packed.getvalue()


@pytest.mark.parametrize("layer", KERAS)
def test_a_file_of_keras_declares_no_enormous_array(layer: str, tmp_path: Path) -> None:
    assert rg.read_keras(keras_file(tmp_path, layer, 6)).outputs
    data = keras_file(tmp_path, layer, 10_000_000)
    with pytest.raises(rg.NotReadableError, match=r"needs an array of .* entries, .*give max_entries=\d+$"):
        rg.read_keras(data)
    assert rg.read_keras(data, max_entries=HUGE).outputs
    with pytest.raises(rg.FileError, match=r"not a (list of )?whole numbers? of 1 to 16777216"):
        rg.read_keras(keras_file(tmp_path, layer, HUGE))


def test_the_command_line_raises_the_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_bytes(ONNX["Resize"](10_000))
    arguments = ["import", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "net")]
    assert main([*arguments, "--max-entries", "1000"]) == 1
    assert "If you trust the file, give max_entries=320000" in capsys.readouterr().err
    assert main([*arguments, "--max-entries", "320000"]) == 0
