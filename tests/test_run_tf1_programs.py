"""The tool that runs a folder of TensorFlow 1.x scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[1] / "tools" / "run_tf1_programs.py"
WHOLE = """
import tensorflow as tf

v = tf.Variable([1.0, 2.0])
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    print("sum", sess.run(tf.reduce_sum(v)))
open("written.txt", "w").write("here")
"""


def test_a_folder_of_scripts(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "whole.py").write_text(WHOLE)
    (programs / "refused.py").write_text("import tensorflow as tf\ntf.data.TFRecordDataset\n")
    (programs / "_helper.py").write_text("raise ValueError\n")
    expected = tmp_path / "expected.txt"

    def run(text: str) -> subprocess.CompletedProcess[str]:
        expected.write_text(text)
        command = [sys.executable, str(TOOL), str(programs), "--expected", str(expected)]
        return subprocess.run(command, capture_output=True, text=True)

    done = run("whole.py\tsum\t3.0\n")
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, 3)
    refusal = "refused.py: rnngraph run: error: refused.py:2: tf.data.TFRecordDataset is not offered; "
    assert lines[0].startswith(refusal)
    assert lines[1].startswith("whole.py: runs whole (")
    assert lines[2] == "1 of 2 scripts finish"
    assert not (programs / "written.txt").exists()
    done = run("whole.py\t3.0\tsum\nmissing.py\n")
    assert done.returncode == 1
    assert "whole.py: does not print 'sum'" in done.stdout
    assert "missing.py: there is no such script" in done.stdout
