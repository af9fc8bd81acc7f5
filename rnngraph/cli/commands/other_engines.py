"""Engines of other formats, which run the original of an imported net."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ...formats.expressions import input_name
from ...formats.torch.read import arguments_of
from .command_error import CommandError
from .file_kinds import KERAS, ONNX

Arrays = Mapping[str, np.ndarray]
Engine = Callable[[Arrays], dict[str, np.ndarray]]
"""Function from feeds by name to results by name."""


class SizesRefusedError(CommandError):
    """Error if the original's engine refuses sizes that the net accepts."""


def engine_of(kind: str, file: Path, names: Sequence[str], fixed: Mapping[str, Any]) -> Engine:
    """Return a function {input: array} -> {output: array} that runs a file by onnxruntime or Keras.

    Args:
        kind: The file's format.
        file: The file.
        names: Names of the outputs to compare.
        fixed: Values of inputs of an ONNX file that are not fed.

    Raises:
        CommandError: The format has no engine, or the engine is not installed or cannot load the file. ``fixed`` has
            sizes of axes, or values for a file of Keras.
    """
    if any(isinstance(value, Mapping) for value in fixed.values()):
        raise CommandError("--fixed INPUT[AXIS]=NUMBER is for import, and the imported net has the size; leave it out")
    if fixed and kind == KERAS:
        raise CommandError(f"--fixed INPUT=NUMBER is for inputs of ONNX files, and {file} is of {kind}; leave it out")
    if kind == ONNX:
        return _onnxruntime(file, names, fixed)
    if kind == KERAS:
        return _keras(file, names)
    raise CommandError(f"{file}: files of {kind} have no engine in Python to compare with; verify ONNX or Keras files")


def engine_of_script(script: Path, variables: Mapping[str, Any], names: Sequence[str]) -> Engine:
    """Return a function {input: array} -> {output: array} that calls the torch module that a script defines.

    Args:
        script: The script.
        variables: The script's variables, with ``module`` and ``example``.
        names: Names of the outputs to compare.

    Raises:
        CommandError: torch is not installed, or the script defines no module or no example.
    """
    torch = _installed("torch", script)
    if not isinstance(module := variables.get("module"), torch.nn.Module):
        raise CommandError(f"{script}: defines no torch module named module, with which the net could be compared")
    if (example := variables.get("example")) is None:
        raise CommandError(f"{script}: defines no example; write example = (x,), the arguments of rg.read_torch")
    nested = import_module("...formats.torch.nested_arguments", __package__)
    arguments, keywords = arguments_of(example)
    inputs = nested.named_tensors(module.forward, arguments, keywords)

    def run(feeds: Arrays) -> dict[str, np.ndarray]:
        if unknown := [name for name in feeds if name not in inputs]:
            raise CommandError(f"{script}: the net has the input {unknown[0]}, but its example does not; read it again")
        tensors = {id(inputs[name]): torch.from_numpy(array) for name, array in feeds.items()}
        with torch.no_grad():
            called = nested.with_tensors((arguments, keywords), tensors)
            result = _ran(script, lambda: module(*called[0], **called[1]))
        results = dict(nested.named_results(result))
        if lacking := [name for name in names if name not in results]:
            raise CommandError(f"{script}: the module has no output {lacking[0]}, but {', '.join(results)}")
        return {name: results[name].numpy() for name in names}

    return run


def _installed(module: str, file: Path) -> Any:
    """Return an imported engine module, such as ``keras``. Raise ``CommandError`` if the import fails."""
    try:
        return import_module(module)
    except Exception as error:  # an engine may raise anything on import, such as Keras without a backend
        raise CommandError(
            f"{file}: is run by {module}, which can't be imported here ({type(error).__name__}: {error}); install it "
            "to compare"
        ) from None


def _onnxruntime(file: Path, names: Sequence[str], fixed: Mapping[str, Any]) -> Engine:
    """Return a function {input: array} -> {output: array} that runs an ONNX file by onnxruntime."""
    runtime = _installed("onnxruntime", file)
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # errors for refused sizes are raised, too
    options.intra_op_num_threads = 1
    session = _loaded(file, lambda: runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"]))
    dtypes = {item.name: item.type for item in session.get_inputs()}

    def run(feeds: Arrays) -> dict[str, np.ndarray]:
        values = {name: feeds.get(input_name(name), fixed.get(name)) for name in dtypes}
        missing = [name for name, value in values.items() if value is None]
        if missing:
            raise CommandError(f"{file}: the net also needs {', '.join(missing)}; give --fixed {missing[0]}=NUMBER")
        arrays = {name: np.asarray(value, _NUMPY.get(dtypes[name])) for name, value in values.items()}
        results = _ran(file, lambda: session.run(list(names), arrays))
        return dict(zip(names, results, strict=True))

    return run


_NUMPY = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
}
"""NumPy dtypes by onnxruntime's names."""


def _keras(file: Path, names: Sequence[str]) -> Engine:
    """Return a function {input: array} -> {output: array} that runs a Keras file by Keras."""
    keras = _installed("keras", file)
    model = _loaded(file, lambda: keras.models.load_model(str(file), compile=False))
    inputs = [str(item.name) for item in model.inputs]

    def run(feeds: Arrays) -> dict[str, np.ndarray]:
        ours = {name: input_name(name) for name in inputs}
        if {*feeds} <= {*ours.values()}:
            values = [feeds.get(ours[item.name], _unread(item, feeds)) for item in model.inputs]
        elif len(inputs) == len(feeds) == 1:
            values = list(feeds.values())
        else:
            raise CommandError(
                f"{file}: has the inputs {', '.join(inputs)}, but the net has {', '.join(feeds)}; import the file again"
            )
        result = _ran(file, lambda: model(values if len(values) > 1 else values[0], training=False))
        for layer in model.layers:
            if getattr(layer, "stateful", False):  # the net starts each call from its initial state
                (layer.reset_state if hasattr(layer, "reset_state") else layer.reset_states)()
        if isinstance(result, dict):
            result = [result[name] for name in names] if {*names} <= result.keys() else list(result.values())
        results = result if isinstance(result, list | tuple) else [result]
        arrays = [np.asarray(keras.ops.convert_to_numpy(item)) for item in results]
        return dict(zip(names, arrays, strict=True))

    return run


def _unread(item: Any, feeds: Arrays) -> np.ndarray:
    """Return zeros for an input that the net lacks because no compared output depends on it."""
    batch, *others = next(iter(feeds.values())).shape
    shape = [batch, *(others[0] if others and size is None else size or 1 for size in item.shape[1:])]
    return np.zeros(shape, str(item.dtype))


def _ran(file: Path, run: Callable[[], Any]) -> Any:
    """Return ``run()``, the engine's call. Raise ``SizesRefusedError`` for any error of the engine."""
    try:
        return run()
    except Exception as error:  # the engine refuses the sizes with an error type of its own
        line = " ".join(str(error).split())[:200]
        raise SizesRefusedError(f"{file}: its own engine failed: {type(error).__name__}: {line}") from None


def _loaded(file: Path, load: Callable[[], Any]) -> Any:
    """Return ``load()``. Raise ``CommandError`` for any error of the engine."""
    try:
        return load()
    except Exception as error:  # the engine refuses the file with an error type of its own
        raise CommandError(f"{file}: its own engine can't load it: {type(error).__name__}: {error}") from None
