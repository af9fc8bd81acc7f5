"""Machine code that CPython calls is cached on disk, so that another process compiles nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import numpy as np
import rnngraph as rg

x = rg.placeholder("x", (None, None, 3))
program = rg.compile(rg.dynamic_rnn(rg.BasicRNNCell(4), x)[0], cache=sys.argv[1])
stream = program.inference.stream(1)
before, fed = stream.step, np.ones((1, 1, 3), np.float32)
for _ in range(40):
    stream.step(x=fed[0])
    program.inference(x=fed)
assert type(stream.step).__name__ == "builtin_function_or_method", stream.step
assert stream._direct_step is not None and program.inference._direct is not None
from rnngraph.runtime.calls.runner import Runner
Runner.run = None
stream.reset()
one = stream.step(x=fed[0])
stream.reset()
assert (before(x=fed[0]) == one).all() and (before({'x': fed[0]}) != one).any()
assert (program.inference(x=fed)[0] == one).all()
print(int("rnngraph.codegen.compile" in sys.modules), int("rnngraph.codegen.direct_calls.module" in sys.modules))
"""


def test_a_start_from_the_cache_compiles_nothing(tmp_path: Path) -> None:
    """Bound methods obtained before installation of machine code are as fast."""
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    assert [run.stderr for run in runs] == ["", ""]
    assert [run.stdout.split() for run in runs] == [["1", "1"], ["0", "0"]]


LATER = """
import sys
import numpy as np
import rnngraph as rg

x = rg.placeholder("x", (None, None, 3))
program = rg.compile(rg.dynamic_rnn(rg.BasicRNNCell(4), x)[0], cache=False)
fed = np.ones((1, 1, 3), np.float32)
for _ in range(40):
    expected = program.inference(x=fed)
assert program.inference._direct is not None and "rnngraph.runtime.streams.stream" not in sys.modules
stream = program.inference.stream(1)
assert type(stream.step).__name__ == "builtin_function_or_method", stream.step
for _ in range(40):
    stream.step(x=fed[0])
assert stream._direct_step is not None
stream.reset()
assert (stream.step(x=fed[0]) == expected[0]).all() and (program.inference(x=fed) == expected).all()
"""


@pytest.mark.slow
def test_methods_of_a_module_that_is_imported_later_are_direct() -> None:
    run = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=False)
    assert run.stderr == ""
