"""``import tensorflow`` imports ``rnngraph.tf1`` in ``rnngraph run --tf1``, for that run alone."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.imports import answering_tensorflow
from rnngraph.tf1.table.entries import wheel_modules

SCRIPT = """
import sys

import numpy as np
import tensorflow as tf
from tensorflow.contrib import rnn

x = tf.placeholder(tf.float32, [None, 4, 2])
outputs, _ = tf.nn.dynamic_rnn(rnn.BasicRNNCell(3), x, dtype=tf.float32)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    print(sess.run(outputs, {x: np.ones((2, 4, 2))}).shape, sys.argv[1:])
if len(sys.argv) > 1:
    tf.data.TFRecordDataset
"""


def rnngraph(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rnngraph", *arguments]
    return subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=300)


def test_a_script_runs_unchanged(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = rnngraph(tmp_path, "run", "--tf1", "script.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "(2, 4, 3) []\n", "")
    done = rnngraph(tmp_path, "run", "--tf1", "script.py", "more", "--flag")
    assert (done.returncode, done.stdout) == (1, "(2, 4, 3) ['more', '--flag']\n")
    assert done.stderr.startswith(
        "rnngraph run: error: script.py:14: tf.data.TFRecordDataset is not offered; read the files in Python"
    )


def test_every_way_to_import(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ModuleType("tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow", before)
    results: dict[str, object] = {}
    with answering_tensorflow():
        exec(
            "import tensorflow as a\nimport tensorflow.compat.v1 as b\nfrom tensorflow.compat import v1 as c\n"
            "import tensorflow.contrib.rnn as d\nfrom tensorflow.contrib.rnn import LSTMCell as e\n"
            "from tensorflow.python.ops import rnn_cell as f\nfrom tensorflow.python.framework import ops as g\n"
            "from tensorflow.contrib import legacy_seq2seq as h\nimport tensorflow.contrib.layers\n",
            results,
        )
        for path in ("dataset", "keras.layers.lstm", "examples.models", "python.ops.nothing"):
            with pytest.raises(ImportError, match=r"test_imports\.py:\d+: tensorflow.* is not offered; .*docs/tf1\.md"):
                importlib.import_module(f"tensorflow.{path}")
        assert tf.compat.v1 is results["a"] is results["b"] is results["c"] is results["g"] is tf
    assert results["d"] is tf.contrib.rnn
    assert results["f"] is tf.nn.rnn_cell
    assert results["e"] is tf.nn.rnn_cell.LSTMCell
    assert results["h"] is tf.contrib.legacy_seq2seq
    assert sys.modules["tensorflow"] is before
    assert [name for name in sys.modules if name.startswith("tensorflow.")] == []
    assert tf.disable_v2_behavior() is None  # type: ignore[func-returns-value]


def test_every_module_of_tensorflow_imports_and_unsupported_names_suggest_others() -> None:
    with answering_tensorflow():
        for path in sorted(wheel_modules()):
            importlib.import_module(f"tensorflow.{path}")
        for code, remedy in (
            ("from tensorflow.contrib.tensorboard.plugins import projector\nprojector.ProjectorConfig()", "np.savetxt"),
            ("from tensorflow.python import debug\ndebug.LocalCLIDebugWrapperSession", "rnngraph show"),
            ("from tensorflow.contrib.seq2seq.python.ops import attention_wrapper\nattention_wrapper.A", "step by"),
            ("from tensorflow.python.ops import rnn_cell_impl\nrnn_cell_impl._Nothing", "rg.Cell"),
            ("import tensorflow as tf\ntf.keras.layers.LSTM", "tf.nn.rnn_cell"),
        ):
            lines = code.splitlines()
            results: dict[str, object] = {}
            exec(lines[0], results)
            with pytest.raises(rg.NotOfferedError, match=r" is not offered; .*docs/tf1\.md") as caught:
                exec(lines[1], results)
            assert remedy in str(caught.value)
        with pytest.raises(ImportError, match=r"tf\.train\.Scaffold is not offered; use tf\.Session"):
            exec("from tensorflow.train import Scaffold")
    assert (tf.__name__, tf.nn.__name__, tf.nn.__spec__) == ("rnngraph.tf1", "rnngraph.tf1.nn", None)
    assert tf.__spec__ is not None
    assert tf.__spec__.name == "rnngraph.tf1"


def test_linear_of_cells_of_a_programs_own() -> None:
    """Compare variables and numbers with those of TensorFlow 1.15.5's ``core_rnn_cell._linear``."""
    with answering_tensorflow():
        from tensorflow.contrib.rnn.python.ops import core_rnn_cell
    tf.reset_default_graph()
    x, h = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.float32, [None, 3])
    with tf.variable_scope("gates"):
        both = core_rnn_cell._linear([x, h], 4, True, tf.constant_initializer(1.0))
    with tf.variable_scope("plain"):
        one = core_rnn_cell._linear(x, 2, False, kernel_initializer=tf.ones_initializer())
    assert [(item.name, item.shape.as_list()) for item in tf.global_variables()] == [
        ("gates/kernel:0", [5, 4]),
        ("gates/bias:0", [4]),
        ("plain/kernel:0", [2, 2]),
    ]
    a, b = np.ones((2, 2), np.float32), np.full((2, 3), 2.0, np.float32)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        kernel = session.run(tf.global_variables()[0])
        results = session.run([both, one], {x: a, h: b})
    np.testing.assert_allclose(results[0], np.concatenate([a, b], 1) @ kernel + 1, rtol=1e-6)
    np.testing.assert_array_equal(results[1], np.full((2, 2), 2.0))
    with pytest.raises(rg.ShapeError, match=r"\[batch, width\]"):
        core_rnn_cell._linear(tf.zeros([2, 3, 4]), 2, True)
