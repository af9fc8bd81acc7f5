"""onnx's own tests of its operators, through ``rg.read_onnx``: what is read gives the numbers, all else is refused."""

from __future__ import annotations

import importlib
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

onnx = pytest.importorskip("onnx")

RECURRENT = ("lstm", "gru", "rnn")
QUICK = ("gather", "slice", "pad", "layernormalization", "softmax", "gemm", "reducemean")
FOLDED_ALONE = {
    "Compress", "ConstantOfShape", "If", "Loop", "NonZero", "Range", "SequenceInsert", "SplitToSequence", "Unique",
}  # fmt: skip
"""What is read where it follows from the file and from sizes alone, or not at all; onnx's tests feed it."""


def cases_of(*modules: str) -> list[Any]:
    """The cases that these of onnx's modules declare. Importing one adds its own to one list."""
    from onnx.backend.test.case import node

    for name in modules:
        importlib.import_module(f"onnx.backend.test.case.node.{name}")
    names = {name.replace("_", "") for name in modules}
    return [case for case in node._NodeTestCases if case.model is not None and _op(case).lower() in names]


def _op(case: Any) -> str:
    return str(case.model.graph.node[0].op_type)


def with_arrays(model: Any, inputs: list[np.ndarray]) -> Any:
    """The model with all inputs but the first in the file, as real files have weights, axes and bounds."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    first, *others = list(found.graph.input)
    for item, array in zip(others, inputs[1:], strict=True):
        found.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), item.name))
    del found.graph.input[:]
    found.graph.input.extend([first])
    return found


def outcome(case: Any) -> str:
    """``passed``, or why not."""
    inputs, wanted = (
        [onnx.numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else item for item in items]
        for items in case.data_sets[0]
    )
    if not all(isinstance(array, np.ndarray | np.generic) and np.asarray(array).dtype.kind in "fiub"
               for array in (*inputs, *wanted)):  # fmt: skip
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
        except rg.FileError as error:  # arrays of 8 bits and less
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
            loose = array.dtype == np.float16  # else as onnx's own runner compares: some numbers have four digits
            np.testing.assert_allclose(
                np.asarray(result[name], np.float64), np.asarray(array, np.float64),
                rtol=2e-3 if loose else case.rtol, atol=2e-3 if loose else 1e-5, err_msg=case.name,
            )  # fmt: skip
        return "passed"
    return reason


def test_all_18_of_recurrent_nodes_pass() -> None:
    cases = cases_of(*RECURRENT)
    assert len(cases) == 18
    assert [outcome(case) for case in cases] == ["passed"] * 18


def test_some_other_operators_pass() -> None:
    outcomes = Counter(outcome(case) for case in cases_of(*QUICK)[::4])
    assert outcomes["passed"] >= 0.8 * outcomes.total(), outcomes


@pytest.mark.exhaustive
def test_every_operator_gives_the_numbers_or_is_refused() -> None:
    from onnx.backend.test.case.node import collect_testcases

    from rnngraph.formats.onnx.core.table import OPS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [case for case in collect_testcases() if case.model is not None]
    outcomes = {case.name: outcome(case) for case in cases if len(case.model.graph.node) == 1}
    counts = Counter(found.partition(":")[0] for found in outcomes.values())
    passed = {_op(case) for case in cases if outcomes.get(case.name) == "passed"}
    tested = {_op(case) for case in cases if case.name in outcomes}
    claimed = {op for domain, op in OPS if not domain} & tested
    print(f"\nnode tests: {dict(counts)}; operators with a test that passes: {len(passed)}")
    for name, found in sorted(outcomes.items()):
        if found != "passed":
            print(f"  {name}: {found[:150]}")
    quantized = {
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearConv",
        "QLinearMatMul",
    }  # fmt: skip
    assert claimed - passed <= quantized | FOLDED_ALONE, claimed - passed
    assert counts["passed"] >= 700
