"""Comparison of torch modules with the programs that ``rg.read_torch`` returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.ir.interpreter import interpret


def leaves(name: str, item: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nests, with the names of ``read_torch``."""
    if hasattr(item, "_fields"):
        item = item._asdict()
    if dataclasses.is_dataclass(item):
        item = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    if isinstance(item, list | tuple):
        item = dict(enumerate(item))
    if isinstance(item, Mapping):
        for key, part in item.items():
            yield from leaves(f"{name}_{key}" if name else str(key), part)
    elif item is not None:
        yield name, item


def expected(module: Any, arguments: tuple[Any, ...]) -> dict[str, np.ndarray]:
    import torch

    with torch.no_grad():
        result = module(*arguments)
    named = hasattr(result, "_fields") or isinstance(result, Mapping) or dataclasses.is_dataclass(result)
    return {name: item.numpy() for name, item in leaves("" if named else "y", result)}


def feeds(net: rg.Net, arguments: tuple[Any, ...]) -> dict[str, np.ndarray]:
    flat = [item for argument in arguments for _, item in leaves("x", argument)]
    tensors = [item.numpy() for item in flat if hasattr(item, "numpy")]
    return dict(zip(net.inputs, tensors, strict=True))


def check(module: Any, *calls: tuple[Any, ...], tolerance: float = 2e-5, folder: Path | None = None) -> rg.Net:
    """Read a module with the first call's arguments, and compare the results of all calls.

    Results are those of the net's program, and of a second program: from the net's script, or from a copy that was
    saved in ``folder`` and loaded.
    """
    net = rg.read_torch(module, calls[0])
    program = net.program()
    second = _run_script(net) if folder is None else _saved(net, folder)
    for arguments in calls:
        wanted, fed = expected(module, arguments), feeds(net, arguments)
        for one in (program, second):
            actual = one.inference(fed)
            assert actual.keys() == wanted.keys(), (actual.keys(), wanted.keys())
            for name, array in wanted.items():
                assert actual[name].shape == array.shape, (name, actual[name].shape, array.shape)
                assert actual[name].dtype == array.dtype, (name, actual[name].dtype, array.dtype)
                scale = max(1.0, float(np.abs(array[np.isfinite(array)]).max(initial=0)))
                np.testing.assert_allclose(actual[name], array, atol=tolerance * scale, rtol=0, err_msg=name)
    return net


def check_meaning(module: Any, *calls: tuple[Any, ...], tolerance: float = 2e-5) -> rg.Net:
    """Compare a module with its net by the interpreter, without compiling, for nets whose code needs no test."""
    net = rg.read_torch(module, calls[0])
    graph, parameters = net.program().inference.graph, net.parameters
    for arguments in calls:
        arrays = feeds(net, arguments) | parameters
        actual = interpret(graph, {node["label"]: arrays[node["label"]] for node in graph.inputs})
        wanted = expected(module, arguments)
        assert actual.keys() == wanted.keys(), (actual.keys(), wanted.keys())
        for name, array in wanted.items():
            assert (actual[name].shape, actual[name].dtype) == (array.shape, array.dtype), name
            np.testing.assert_allclose(actual[name], array, atol=tolerance, rtol=tolerance, err_msg=name)
    return net


def _run_script(net: rg.Net) -> Any:
    """Return the program of the script, with the net's weights."""
    text = net.script().replace("from pathlib import Path\n", "")
    text = "\n".join(line for line in text.split("\n") if not line.startswith("program.parameters.load"))
    names: dict[str, Any] = {}
    exec(compile(text, "net.py", "exec"), names)
    assert names["program"].parameters.keys() == net.parameters.keys()
    names["program"].parameters.load(net.parameters)
    return names["program"]


def _saved(net: rg.Net, folder: Path) -> Any:
    net.save(folder)
    names: dict[str, Any] = {"__file__": str(folder / "net.py")}
    exec(compile((folder / "net.py").read_text(), "net.py", "exec"), names)
    return names["program"]
