"""The list of error messages shows different samples for different expressions."""

import importlib.util
from pathlib import Path
from types import ModuleType

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


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("listed_errors", ROOT / "tools" / "errors.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.mark.parametrize(
    ("text", "has_remedy"),
    [
        ("attribute axis is missing", False),
        ("its parts are [2, 3], which must add up to the size", False),
        ("attribute axis is 3, but must be a list", True),
        ("its step is 0; give another step", True),
        ("if you trust the file, give max_entries=5", True),
        ("a mask on its input is not supported", True),
    ],
)
def test_a_remedy_names_an_action_or_the_accepted_values(text: str, has_remedy: bool) -> None:
    assert load_tool().Message("a.py:1", "UnreadableError", text).has_remedy is has_remedy


def test_samples_of_expressions_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = load_tool()
    monkeypatch.setattr(tool, "PACKAGE", tmp_path / "rnngraph")
    (tmp_path / "a.py").write_text(SOURCE)
    assert [message.text for message in tool.messages(tmp_path / "a.py")] == [
        "3 must be below 5, not 3; it has rank 7, of (2, 3)",
        "no 'x' of y has 3; give another x",
    ]
