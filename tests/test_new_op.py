"""The checklist of a new elementwise op names every place that does not know the op, and nothing else."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from rnngraph.ir.node import FUNCTION, OPS

SCRIPT = Path(__file__).parents[1] / "tools" / "new_op.py"
CHECKLIST = runpy.run_path(str(SCRIPT))
KNOWN = [name for name, row in OPS.items() if row.cost == FUNCTION]


@pytest.mark.parametrize("op", KNOWN)
def test_ops_that_are_there_lack_nothing(op: str) -> None:
    assert [str(place) for place in CHECKLIST["missing"](op)] == []


def test_every_place_is_named_for_an_op_that_is_nowhere() -> None:
    for conditional in (False, True):
        missing = [*CHECKLIST["missing"]("no_such_op", conditional)]
        assert missing == [
            place for place in CHECKLIST["PLACES"] if FUNCTION in place.costs and bool(place.condition) == conditional
        ]


def test_a_place_that_is_gone_is_an_error() -> None:
    with pytest.raises(LookupError, match="defines no NO_SUCH_NAME"):
        CHECKLIST["code_of"]("rnngraph/ir/ops.py", "NO_SUCH_NAME")


def test_the_command_prints_the_places_and_fails() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "exp2"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "rnngraph/ir/ops.py: a row" in done.stdout
    assert "ERROR_BOUNDS" in done.stdout
    assert subprocess.run([sys.executable, SCRIPT], capture_output=True, check=False).returncode == 2
