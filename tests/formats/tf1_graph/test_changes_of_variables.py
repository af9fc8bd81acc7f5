"""Graphs of TensorFlow 1.15 whose outputs wait for changes of variables: errors, if outputs read the variables."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.formats.tensorflow.messages import TensorProto, TensorShape
from rnngraph.formats.tf1_graph import messages
from rnngraph.storage.protobuf import decode, encode

FOLDER = Path(__file__).parents[2] / "fixtures" / "tf1_graphs"
KINDS = pytest.mark.parametrize("kind", ["changes", "changes_of_resources"])
BRANCH = {"training": False}
CHANGED = r"node 'v/{} changes node 'v/{}' .*, which outputs read, before node .* by a control dependency; a net has no"


def saved_model(kind: str, folder: Path) -> Path:
    shutil.copytree(FOLDER / kind, folder / kind)
    (folder / kind / "saved_model.pb").write_bytes(gzip.decompress((FOLDER / kind / "saved_model.pb.gz").read_bytes()))
    return folder / kind


@KINDS
def test_changes_of_what_outputs_read_are_errors(kind: str, tmp_path: Path) -> None:
    path = saved_model(kind, tmp_path)
    changes = {
        "scaled": CHANGED.format("AssignAdd.*", "scale"),
        "carried": CHANGED.format("Assign.*", "state"),
        "scattered": CHANGED.format("(Resource)?ScatterUpdate.*", "state"),
        "trained": CHANGED.format("cond/AssignAdd.*", "scale"),
    }
    for output, message in changes.items():
        with pytest.raises(rg.NotReadableError, match=message):
            rg.read_tf1_graph(path, output)
    with pytest.raises(rg.NotReadableError, match=r"cond/AssignAdd.*close the branch of training with fixed="):
        rg.read_tf1_graph(path, "trained", fixed={"training": True})
    with pytest.raises(rg.NotReadableError, match="AssignMovingAvg"):
        rg.read_tf1_graph(path, "normalized")


@KINDS
def test_changes_that_outputs_do_not_read_are_left_out(kind: str, tmp_path: Path) -> None:
    """Counters, prints and assertions change no output, and neither do branches that ``fixed`` closes."""
    net = rg.read_tf1_graph(saved_model(kind, tmp_path), ["counted", "checked", "trained", "normalized"], fixed=BRANCH)
    x = np.ones((2, 3, 2), np.float32)
    results = net.program().inference(x=x)
    for name in ("counted", "checked", "trained"):
        np.testing.assert_array_equal(results[name], x * 2)
    np.testing.assert_allclose(results["normalized"], x / np.sqrt(1.001), rtol=1e-6)


def test_batches_statistics_of_a_training_branch_do_not_read_the_variable(tmp_path: Path) -> None:
    net = rg.read_tf1_graph(saved_model("changes", tmp_path), "normalized", fixed={"training": True})
    x = np.random.default_rng(0).standard_normal((2, 3, 2)).astype(np.float32)
    wanted = (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 0.001)
    np.testing.assert_allclose(net.program().inference(x=x)["normalized"], wanted, rtol=1e-4, atol=1e-5)


def node(name: str, op: str, inputs: list[str], **attributes: dict[str, Any]) -> messages.NodeDef:
    entries = [messages.AttrEntry(key, messages.AttrValue(**value)) for key, value in attributes.items()]
    return messages.NodeDef(name=name, op=op, input=inputs, attr=entries)


def frozen(*nodes: messages.NodeDef) -> bytes:
    """Return a frozen graph with the placeholder x, the constant v and these nodes."""
    two = TensorProto(dtype=1, tensor_shape=TensorShape(), tensor_content=memoryview(np.float32(2).tobytes()))
    x = node("x", "Placeholder", [], dtype={"type": 1}, shape={"shape": TensorShape()})
    v = node("v", "Const", [], dtype={"type": 1}, value={"tensor": two})
    return encode(messages.GraphDef(node=[x, v, *nodes]))


def test_changes_in_frozen_graphs() -> None:
    """Variables are constants there. An op that is not known may change the variables that it gets."""
    change = node("change", "AssignAdd", ["v", "x"], T={"type": 1})
    with pytest.raises(rg.NotReadableError, match=r"'change' \(AssignAdd\) changes node 'v' \(Const\)"):
        rg.read_tf1_graph(frozen(change, node("y", "Mul", ["x", "v", "^change"], T={"type": 1})), "y")
    with pytest.raises(rg.NotReadableError, match=r"'change' \(AssignAdd\): it changes a variable; a net has no"):
        rg.read_tf1_graph(frozen(change, node("y", "Mul", ["x", "change"], T={"type": 1})), "y")
    apart = frozen(change, node("y", "Mul", ["x", "x", "^change"], T={"type": 1}))
    assert rg.read_tf1_graph(apart, "y").program().inference(np.float32(3))["y"] == 9
    unread = frozen(change, node("y", "Mul", ["x", "v"], T={"type": 1}))
    assert list(rg.read_tf1_graph(unread).outputs) == ["y"]


def test_unknown_ops_may_change_variables_that_they_get(tmp_path: Path) -> None:
    path = saved_model("changes", tmp_path)
    model = decode(messages.SavedModel, (path / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    assert graph is not None
    for item in graph.node:
        item.op = {"AssignAdd": "OwnKernel"}.get(item.op, item.op)
    (path / "saved_model.pb").write_bytes(encode(model))
    with pytest.raises(rg.NotReadableError, match=r"\(OwnKernel\) changes node 'v/scale'"):
        rg.read_tf1_graph(path, "scaled")
    assert rg.read_tf1_graph(path, "counted").outputs


def test_a_missing_node_behind_a_control_dependency() -> None:
    with pytest.raises(rg.FileError, match="no node computes 'change'"):
        rg.read_tf1_graph(frozen(node("y", "Mul", ["x", "v", "^change"], T={"type": 1})), "y")
