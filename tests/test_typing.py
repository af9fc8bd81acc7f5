"""Users' scripts pass strict type checkers, and run.

The scripts are in ``tests/typed``. Pyright is run by hand, because it downloads Node: ``pyright -p tests/typed``.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import rnngraph as rg

FOLDER = Path(__file__).parent / "typed"
SCRIPTS = sorted(FOLDER.glob("*.py"))

WRONG = """
import numpy as np
import rnngraph as rg

x = rg.placeholder("x", (None, None, 3))
program = rg.compile({"y": rg.dynamic_rnn(rg.GRUCell(2), x)[0]})
result = program.inference(x=np.zeros((1, 2, 3)))
a = result.shape                                # a Result has none
b = rg.compile(x).inference(x=np.zeros(3))["y"]["z"].no_such  # an array it is
c = rg.GRU                                      # no such name
d = rg.GRUCell(2, dropout=0.5)                  # no such argument
e = program.inference({}, {})                   # one mapping at most
f: int = rg.Trainer(program).step(x=1).no_such  # a float
"""
"""Script with a mistake on each line, which a type checker must find."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_run(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out


@pytest.mark.slow
def test_mypy_is_content_with_scripts_and_finds_mistakes(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", "--no-color-output"]
    files = [*map(str, SCRIPTS), str(wrong)]
    # In another folder, because this project's configuration would check the package, too.
    done = subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line for line in lines if "wrong.py" not in line] == []
    actual = {int(line.split(":")[1]) for line in lines if ": error:" in line}
    expected = {number for number, line in enumerate(WRONG.splitlines(), 1) if "  #" in line}
    assert actual == expected, done.stdout


def test_names_are_the_public_ones_only() -> None:
    assert dir(rg) == sorted(rg.__all__)
    assert len(set(rg.__all__)) == len(rg.__all__)
    for name in rg.__all__:
        value = getattr(rg, name)
        assert getattr(value, "__module__", "rnngraph").startswith("rnngraph"), name
    imported = {name for name, value in vars(rg).items() if getattr(value, "__module__", "").startswith("rnngraph.")}
    assert {name for name in imported if not name.startswith("_")} - {"import_name"} <= set(rg.__all__)
