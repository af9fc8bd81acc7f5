"""The checklist of a new elementwise op names exactly the places that do not know the op."""

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
def test_existing_ops_lack_no_place(op: str) -> None:
    assert [str(place) for place in CHECKLIST["missing"](op)] == []


def test_every_place_is_named_for_an_op_that_is_nowhere() -> None:
    for conditional in (False, True):
        missing = [*CHECKLIST["missing"]("no_such_op", conditional)]
        assert missing == [
            place for place in CHECKLIST["PLACES"] if "FUNCTION" in place.costs and bool(place.condition) == conditional
        ]


def test_rows_are_read_as_they_are() -> None:
    rows = CHECKLIST["rows"]()
    elementwise = {name: row for name, row in OPS.items() if row.kind == "elementwise"}
    assert {name: ((arity, arity), cost.lower()) for name, (arity, cost) in rows.items()} == {
        name: (row.arity, row.cost) for name, row in elementwise.items()
    }


def test_the_command_works_while_an_op_is_half_written(tmp_path: Path) -> None:
    """A row may name a missing derivative, so that the package cannot be imported."""
    root = SCRIPT.parents[1]
    for path in sorted({place.path for place in CHECKLIST["PLACES"]}):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((root / path).read_text(encoding="utf-8"), encoding="utf-8")
    row = 'elementwise("sech", 1, _FLOATS, _plain(lambda x: 1 / np.cosh(x)), derivative.sech, FUNCTION, False)\n'
    with open(tmp_path / "rnngraph/ir/elementwise_ops.py", "a", encoding="utf-8") as rows:
        rows.write(row)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/new_op.py").write_text(SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "tools/new_op.py", "sech"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "a row" not in done.stdout
    assert "rnngraph/ir/derivatives.py: the derivative" in done.stdout


def test_a_place_that_no_longer_exists_is_an_error() -> None:
    with pytest.raises(LookupError, match="defines no NO_SUCH_NAME"):
        CHECKLIST["code_of"]("rnngraph/ir/elementwise_ops.py", "NO_SUCH_NAME")


def test_the_command_prints_the_places_and_fails() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "sech"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "rnngraph/ir/elementwise_ops.py: a row" in done.stdout
    assert "ERROR_BOUNDS" in done.stdout
    assert subprocess.run([sys.executable, SCRIPT], capture_output=True, check=False).returncode == 2
