"""Names of NumPy 1 for scripts: `rnngraph run --numpy1`."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from rnngraph.cli.older_numpy import OLDER, older_names_of_numpy

SCRIPT = """
import json, beside
import numpy as np
from numpy import Inf
rows = np.array([[1, 2], [3]])
found = [
    np.arange(3).astype(np.float).dtype.name, np.Inf == Inf, rows.dtype.name, beside.width, np.asscalar(np.ones(1)),
    np.array([1.0], copy=False).tolist(), isinstance(rows, np.ndarray), np.random.RandomState(0).randint(5),
]
"""


def test_a_script_and_modules_of_its_folder_have_older_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "beside.py").write_text("import numpy\nwidth = numpy.dtype(numpy.int).itemsize\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with older_names_of_numpy(tmp_path / "script.py"):
        actual = runpy.run_path(str(tmp_path / "script.py"))["found"]
        import numpy

        assert numpy is np
    assert actual == ["float64", True, "object", 8, 1.0, [1.0], True, 4]


def test_numpy_itself_lacks_the_older_names() -> None:
    assert not hasattr(np, "Inf")
    assert not hasattr(np, "float")
    assert {"float", "Inf", "product"} <= OLDER.keys()
