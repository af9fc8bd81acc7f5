"""onnx's own tests of its operators, read by ``rg.read_onnx``: equal results, or a refusal."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("onnx")

from onnx_cases import all_cases, cases_of, op_of, outcome

RECURRENT = ("lstm", "gru", "rnn")
QUICK = ("gather", "slice", "pad", "layernormalization", "softmax", "gemm", "reducemean")
FOLDED_ALONE = {
    "Compress",
    "ConstantOfShape",
    "If",
    "Loop",
    "NonZero",
    "Range",
    "SequenceInsert",
    "SplitToSequence",
    "Unique",
}
"""Ops that are read only with constant operands, which onnx's tests feed."""


def test_all_18_of_recurrent_nodes_pass() -> None:
    cases = cases_of(*RECURRENT)
    assert len(cases) == 18
    assert [outcome(case) for case in cases] == ["passed"] * 18


def test_some_other_operators_pass() -> None:
    outcomes = Counter(outcome(case) for case in cases_of(*QUICK)[::4])
    assert outcomes["passed"] >= 0.8 * outcomes.total(), outcomes


@pytest.mark.exhaustive
def test_every_operator_gives_the_numbers_or_is_refused() -> None:
    from rnngraph.formats.onnx.core.table import OPS

    cases = all_cases()
    outcomes = {case.name: outcome(case) for case in cases if len(case.model.graph.node) == 1}
    counts = Counter(results.partition(":")[0] for results in outcomes.values())
    passed = {op_of(case) for case in cases if outcomes.get(case.name) == "passed"}
    tested = {op_of(case) for case in cases if case.name in outcomes}
    claimed = {op for domain, op in OPS if not domain} & tested
    print(f"\nnode tests: {dict(counts)}; operators with a test that passes: {len(passed)}")
    for name, results in sorted(outcomes.items()):
        if results != "passed":
            print(f"  {name}: {results[:150]}")
    quantized = {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "ConvInteger",
        "QLinearConv",
        "QLinearMatMul",
    }
    assert claimed - passed <= quantized | FOLDED_ALONE, claimed - passed
    assert counts["passed"] >= 700
