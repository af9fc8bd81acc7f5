"""The list of error messages shows different samples for different expressions."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SOURCE = """
class Slot:
    key: str
    size: int

def check(self, least, most: int, kind: str, shape):
    if least:
        raise ArgumentError(f"{least} must be below {most}, not {least}; it has rank {len(shape)}, of {shape}")
    raise ArgumentError(f"no {kind!r} of {self.key} has {self.size}; give another {kind}")
"""


def test_samples_of_expressions_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("listed_errors", ROOT / "tools" / "errors.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(tool, "PACKAGE", tmp_path / "rnngraph")
    (tmp_path / "a.py").write_text(SOURCE)
    assert [message.text for message in tool.messages(tmp_path / "a.py")] == [
        "3 must be below 5, not 3; it has rank 7, of (2, 3)",
        "no 'x' of y has 3; give another x",
    ]
