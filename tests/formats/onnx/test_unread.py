"""The list of ops without a reader is complete, disjoint from ops with a reader, and equal to the list in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import rnngraph as rg
from rnngraph.formats.onnx.unread import BY_BUILT_BODY, BY_RECORDED_BODY, UNREAD

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402  # after importorskip

API = Path(__file__).parents[3] / "docs" / "api.md"


def test_it_has_each_op_of_onnx_that_no_function_reads() -> None:
    from rnngraph.formats.onnx.core.table import OPS
    from rnngraph.formats.onnx.read import FILES

    assert FILES
    ops = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    groups = [*UNREAD.values(), BY_RECORDED_BODY, BY_BUILT_BODY]
    listed = [op for group in groups for op in group]
    assert len(listed) == len(set(listed))
    assert all(list(group) == sorted(group) for group in groups)
    assert {op for op in ops if ("", op) not in OPS} <= set(listed)  # older versions of onnx have fewer ops
    assert not [op for op in listed if ("", op) in OPS]


def test_the_docs_have_it() -> None:
    text = re.search("<!-- ops that can't be read -->\n(.*?)<!-- end of ops -->", API.read_text(), re.DOTALL)
    assert text is not None
    rows = [f"| {reason} | {', '.join(f'`{op}`' for op in group)} |" for reason, group in UNREAD.items()]
    assert text[1].splitlines()[2:] == rows
    for title, ops in (("recorded", BY_RECORDED_BODY), ("built", BY_BUILT_BODY)):
        results = re.search(f"<!-- ops by {title} functions -->\n(.*?)\n<!-- end", API.read_text(), re.DOTALL)
        assert results is not None
        assert re.findall("`([A-Z][^`]+)`", results[1]) == [*ops]


def test_the_docs_have_the_ops_of_onnxruntime() -> None:
    from rnngraph.formats.onnx.core.table import OPS
    from rnngraph.formats.onnx.read import FILES

    assert FILES
    text = re.search("<!-- ops of onnxruntime -->\n(.*?)\n<!-- end", API.read_text(), re.DOTALL)
    assert text is not None
    ops = sorted(op for domain, op in OPS if domain == "com.microsoft")
    assert re.findall("`([^`]+)`", text[1]) == ops


def test_errors_name_the_reason() -> None:
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    nodes = [helper.make_node("Det", ["x"], ["z"]), helper.make_node("Mine", ["z"], ["y"], domain="my.own")]
    nodes.append(helper.make_node("Conv", ["z", "z"], ["y"], domain="com.microsoft.nchwc"))
    opsets = [helper.make_opsetid(name, version) for name, version in (("", 17), ("my.own", 1))]
    opsets.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    said = ("rnngraph has no such function", "not in ONNX's standard", "ORT_ENABLE_EXTENDED")
    for chosen, text in zip(([node] for node in nodes), said, strict=True):
        first = info[0] if chosen == nodes[:1] else helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n"])
        last = helper.make_tensor_value_info(chosen[0].output[0], TensorProto.FLOAT, ["n"])
        model = helper.make_model(helper.make_graph(chosen, "net", [first], [last]), opset_imports=opsets, ir_version=8)
        with pytest.raises(rg.NotReadableError, match=text):
            rg.read_onnx(model)
