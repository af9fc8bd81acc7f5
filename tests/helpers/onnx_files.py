"""Programs as ONNX files: written, checked by onnx, and run by its reference or by onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.ir.interpreter import interpret

Arrays = dict[str, np.ndarray]


def written(program: Any, opset: int = 17) -> Any:
    """Return the onnx.ModelProto of a program, checked by onnx."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        rg.write_onnx(program, path, opset)
        model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model


def ops(model: Any) -> list[str]:
    """Return the operators of a file's graph, once for each node."""
    return [node.op_type for node in model.graph.node]


def node(model: Any, op: str) -> Any:
    """Return the only node of an operator."""
    (result,) = (node for node in model.graph.node if node.op_type == op)
    return result


def attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    actual = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {key: [text.decode() for text in value] if key == "activations" else value for key, value in actual.items()}


def inputs_of(model: Any, feeds: Mapping[str, Any]) -> Arrays:
    """Return the feeds that are inputs of a file, by name."""
    return {item.name: np.asarray(feeds[item.name]) for item in model.graph.input if item.name in feeds}


def by_reference(model: Any, feeds: Mapping[str, Any]) -> Arrays:
    from onnx.reference import ReferenceEvaluator

    names = [item.name for item in model.graph.output]
    return dict(zip(names, ReferenceEvaluator(model).run(None, inputs_of(model, feeds)), strict=True))


def by_onnxruntime(model: Any, feeds: Mapping[str, Any]) -> Arrays:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs_of(model, feeds)), strict=True))


def ours(program: rg.Program, feeds: Mapping[str, Any]) -> Arrays:
    """Return the interpreter's outputs of the inference graph, by the file's names."""
    graph = program.inference.graph
    types = {str(node["label"]): node.dtype for node in graph.inputs}
    known = {**feeds, **program.parameters}
    arrays = {name: np.asarray(known[name], dtype) for name, dtype in types.items()}
    return {name or "output": array for name, array in interpret(graph, arrays).items()}


def assert_same(actual: Arrays, expected: Arrays, tolerance: float = 2e-5) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype, name
        np.testing.assert_allclose(actual[name], array, tolerance, tolerance, err_msg=name)


def spread(program: rg.Program, seed: int = 0) -> rg.Program:
    """Set parameters that differ between gates, because zeros would hide a misplaced bias. Return the program."""
    generator = np.random.default_rng(seed)
    for name, array in program.parameters.items():
        program.parameters[name] = array + 0.4 * generator.standard_normal(array.shape)
    return program
