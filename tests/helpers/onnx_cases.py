"""Tests of operators that the package onnx contains, and their outcome with ``rg.read_onnx``."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import onnx

import rnngraph as rg


def cases_of(*modules: str) -> list[Any]:
    """Return the cases that some of onnx's modules declare. Importing a module adds its cases to a list."""
    from onnx.backend.test.case import node

    for name in modules:
        importlib.import_module(f"onnx.backend.test.case.node.{name}")
    names = {name.replace("_", "") for name in modules}
    return [case for case in node._NodeTestCases if case.model is not None and op_of(case).lower() in names]


def all_cases() -> list[Any]:
    """Return every case that has a model. Overflow warnings of onnx's own case generators are suppressed."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [case for case in collect_testcases() if case.model is not None]


def op_of(case: Any) -> str:
    return str(case.model.graph.node[0].op_type)


def with_arrays(model: Any, inputs: list[np.ndarray]) -> Any:
    """Return the model with all inputs but the first as initializers, like weights and axes in real files."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    first, *others = list(copy.graph.input)
    for item, array in zip(others, inputs[1:], strict=True):
        copy.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), item.name))
    del copy.graph.input[:]
    copy.graph.input.extend([first])
    return copy


def outcome(case: Any) -> str:
    """Return ``passed``, or the reason why the case is not read."""
    inputs, wanted = (
        [onnx.numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else item for item in items]
        for items in case.data_sets[0]
    )
    if not all(
        isinstance(array, np.ndarray | np.generic) and np.asarray(array).dtype.kind in "fiub"
        for array in (*inputs, *wanted)
    ):
        return "no arrays of numbers"
    reason = ""
    for model in (case.model, with_arrays(case.model, list(inputs)) if inputs else None):
        if model is None:
            continue
        try:
            net = rg.read_onnx(model)
        except rg.NotReadableError as error:
            reason = reason or f"refused: {error.problems[0]}"
            continue
        except rg.FileError as error:  # arrays of 8 bits or fewer
            reason = reason or f"refused: {error}"
            continue
        names = [item.name for item in case.model.graph.input]
        feeds = {name: array for name, array in zip(names, inputs, strict=True) if name in net.inputs}
        try:
            result = net.program().inference(feeds)
        except rg.ShapeError as error:
            return f"refused at the call: {error}"
        for name, array in zip(net.outputs, wanted, strict=True):
            assert result[name].shape == array.shape, case.name
            # float16 values have about three digits; otherwise the tolerance of onnx's own runner
            loose = array.dtype == np.float16
            np.testing.assert_allclose(
                np.asarray(result[name], np.float64),
                np.asarray(array, np.float64),
                rtol=2e-3 if loose else case.rtol,
                atol=2e-3 if loose else 1e-5,
                err_msg=case.name,
            )
        return "passed"
    return reason
