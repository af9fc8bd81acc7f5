"""Files run by their own engines, so that nets that were read can be compared with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ...formats.expressions import input_name
from .command_error import CommandError
from .file_kinds import KERAS, ONNX

Arrays = Mapping[str, np.ndarray]
Engine = Callable[[Arrays], dict[str, np.ndarray]]
"""Feeds by name to results by name."""


class SizesRefusedError(CommandError):
    """The file's own engine does not run what the net runs."""


def engine_of(kind: str, file: Path, names: Sequence[str], fixed: Mapping[str, Any]) -> Engine:
    """What runs a file. names: of the outputs that are compared. Raises ``CommandError`` where nothing can."""
    if kind == ONNX:
        return _onnxruntime(file, names, fixed)
    if kind == KERAS:
        return _keras(file, names)
    raise CommandError(f"{file}: files of {kind} have no engine in Python, so that there is nothing to compare with")


def _installed(module: str, file: Path) -> Any:
    try:
        return import_module(module)
    except Exception as error:  # whatever an engine of others' raises while it starts, as Keras without a backend does
        raise CommandError(
            f"{file}: is run by {module}, which can't be imported here ({type(error).__name__}: {error}); install it "
            "to compare"
        ) from None


def _onnxruntime(file: Path, names: Sequence[str], fixed: Mapping[str, Any]) -> Engine:
    runtime = _installed("onnxruntime", file)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = _loaded(file, lambda: runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"]))
    dtypes = {item.name: item.type for item in session.get_inputs()}

    def run(feeds: Arrays) -> dict[str, np.ndarray]:
        given = {name: feeds.get(input_name(name), fixed.get(name)) for name in dtypes}
        missing = [name for name, value in given.items() if value is None]
        if missing:
            raise CommandError(f"{file}: takes {', '.join(missing)} too; give --fixed {missing[0]}=NUMBER")
        arrays = {name: np.asarray(value, _NUMPY.get(dtypes[name])) for name, value in given.items()}
        results = _ran(file, lambda: session.run(list(names), arrays))
        return dict(zip(names, results, strict=True))

    return run


_NUMPY = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(bool)": np.bool_,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8,
}  # fmt: skip
"""onnxruntime's words for dtypes."""


def _keras(file: Path, names: Sequence[str]) -> Engine:
    keras = _installed("keras", file)
    model = _loaded(file, lambda: keras.models.load_model(str(file), compile=False))
    inputs = [str(item.name) for item in model.inputs]

    def run(feeds: Arrays) -> dict[str, np.ndarray]:
        ours = {name: input_name(name) for name in inputs}
        if {*feeds} <= {*ours.values()}:
            given = [feeds.get(ours[item.name], _unread(item, feeds)) for item in model.inputs]
        elif len(inputs) == len(feeds) == 1:
            given = list(feeds.values())
        else:
            raise CommandError(f"{file}: takes {', '.join(inputs)}, and the net {', '.join(feeds)}")
        result = _ran(file, lambda: model(given if len(given) > 1 else given[0], training=False))
        for layer in model.layers:
            if getattr(layer, "stateful", False):  # here each call begins anew
                (layer.reset_state if hasattr(layer, "reset_state") else layer.reset_states)()
        if isinstance(result, dict):
            result = [result[name] for name in names] if {*names} <= result.keys() else list(result.values())
        found = result if isinstance(result, list | tuple) else [result]
        arrays = [np.asarray(keras.ops.convert_to_numpy(item)) for item in found]
        return dict(zip(names, arrays, strict=True))

    return run


def _unread(item: Any, feeds: Arrays) -> np.ndarray:
    """Zeros for an input of a file that nothing reads which is compared, so that the net lacks it."""
    batch, *others = next(iter(feeds.values())).shape
    shape = [batch, *(others[0] if others and size is None else size or 1 for size in item.shape[1:])]
    return np.zeros(shape, str(item.dtype))


def _ran(file: Path, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Exception as error:  # the engine's own, of sizes that the file is not made for
        line = " ".join(str(error).split())[:200]
        raise SizesRefusedError(f"{file}: its own engine fails: {type(error).__name__}: {line}") from None


def _loaded(file: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:  # the engine's own, of a file that it does not take
        raise CommandError(f"{file}: its own engine can't load it: {type(error).__name__}: {error}") from None
