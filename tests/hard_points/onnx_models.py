"""Expressions of ONNX's operators as models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from .cases import Entry
from .points import arrays_of
from .recorded import Arrays

NEWEST = 22


class _Graph(dict[str, Any]):
    """Names of an expression: arguments, ``T`` for their dtype, and operators as functions that add a node."""

    def __init__(self, arguments: Mapping[str, np.ndarray], dtype: str, names: tuple[str, ...]) -> None:
        used = {name: array for name, array in arguments.items() if name in names}
        super().__init__(
            {
                **{name: _Output(name) for name in used},
                "inf": math.inf,
                "nan": math.nan,
                "array": np.array,
                "T": dtype,
                "f32": "float32",
                "node": self.node,
            }
        )
        self.arguments, self.nodes, self.held, self.opset = used, [], [], NEWEST

    def __missing__(self, op: str) -> Any:
        if not op[0].isupper():
            raise KeyError(op)
        return lambda *inputs, **options: self.node(op, *inputs, **options)

    def node(
        self, op: str, *inputs: Any, outputs: int = 1, domain: str = "", opset: int | None = None, **options: Any
    ) -> Any:
        """Add a node. Arrays become initializers, and None a missing input."""
        names = [self._input(item) for item in inputs]
        results = [_Output(f"n{len(self.nodes)}_{place}") for place in range(outputs)]
        self.nodes.append(helper.make_node(op, names, [item.name for item in results], domain=domain, **options))
        self.opset = opset or self.opset
        return results[0] if outputs == 1 else results

    def _input(self, item: Any) -> str:
        if item is None:
            return ""
        if isinstance(item, _Output):
            return item.name
        self.held.append(numpy_helper.from_array(np.asarray(item), f"c{len(self.held)}"))
        return str(self.held[-1].name)


class _Output:
    def __init__(self, name: str) -> None:
        self.name = name


def model_of(entry: Entry) -> ModelProto:
    """Return the entry's expression as a model with outputs ``y0``, …; first axes of inputs are open."""
    code = compile(entry.case.expression, "expression", "eval")
    graph = _Graph(arrays_of(entry.points, entry.dtype), entry.dtype, code.co_names)
    found = eval(code, {"__builtins__": {}}, graph)
    results = list(found) if isinstance(found, list | tuple) else [found]
    nodes = [
        *graph.nodes,
        *(helper.make_node("Identity", [item.name], [f"y{place}"]) for place, item in enumerate(results)),
    ]
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), [f"rows of {name}", *array.shape[1:]]
        )
        for name, array in graph.arguments.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(f"y{place}") for place in range(len(results))]
    opsets = [helper.make_opsetid("", graph.opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(
        helper.make_graph(nodes, "net", inputs, outputs, graph.held), opset_imports=opsets, ir_version=10
    )


def feeds_of(entry: Entry) -> Arrays:
    """Return the arguments that the expression uses."""
    names = compile(entry.case.expression, "expression", "eval").co_names
    return {name: array for name, array in arrays_of(entry.points, entry.dtype).items() if name in names}
