"""``import tensorflow`` answered by ``rnngraph.tf1``: by ``rnngraph run --tf1``, for that run alone."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.imports import answering_tensorflow

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
    tf.data.Dataset
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
    assert done.stderr.startswith("rnngraph run: error: script.py:14: tf.data is not offered; feed NumPy arrays")


def test_every_way_to_import(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ModuleType("tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow", before)
    found: dict[str, object] = {}
    with answering_tensorflow():
        exec(
            "import tensorflow as a\nimport tensorflow.compat.v1 as b\nfrom tensorflow.compat import v1 as c\n"
            "import tensorflow.contrib.rnn as d\nfrom tensorflow.contrib.rnn import LSTMCell as e\n"
            "from tensorflow.python.ops import rnn_cell as f\nfrom tensorflow.python.framework import ops as g\n"
            "from tensorflow.contrib import legacy_seq2seq as h\nimport tensorflow.contrib.layers\n",
            found,
        )
        for path in ("data", "keras.layers", "examples.models", "python.tools"):
            with pytest.raises(ImportError, match=r"test_imports\.py:\d+: tensorflow.* is not offered; .*docs/tf1\.md"):
                importlib.import_module(f"tensorflow.{path}")
        assert tf.compat.v1 is found["a"] is found["b"] is found["c"] is found["g"] is tf
    assert found["d"] is tf.contrib.rnn
    assert found["f"] is tf.nn.rnn_cell
    assert found["e"] is tf.nn.rnn_cell.LSTMCell
    assert found["h"] is tf.contrib.legacy_seq2seq
    assert sys.modules["tensorflow"] is before
    assert [name for name in sys.modules if name.startswith("tensorflow.")] == []
    assert tf.disable_v2_behavior() is None  # type: ignore[func-returns-value]


def test_modules_are_real() -> None:
    for name in ("contrib.rnn", "contrib.crf", "contrib.layers", "nn", "nn.rnn_cell", "train", "layers", "losses"):
        module = importlib.import_module(f"rnngraph.tf1.{name}")
        assert module.__file__
        assert module.__doc__
        with pytest.raises(rg.NotOfferedError, match=rf"tf\.{name}\.nothing is not offered"):
            module.nothing  # noqa: B018
