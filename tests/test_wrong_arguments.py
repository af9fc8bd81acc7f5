"""Every call with wrong arguments returns, or raises one of rnngraph's errors with the user's line."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
import wrong_arguments
from wrong_arguments import METHODS, World, surface

import rnngraph as rg


@pytest.fixture(autouse=True)
def _aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # for relative paths such as "x"


def check(folder: Path, seeds: range) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        actual = list(wrong_arguments.findings(folder, seeds))
    assert not actual, "\n".join([f"{len(actual)} findings, among them", *actual[:10]])


def test_a_few_hundred_calls(tmp_path: Path) -> None:
    check(tmp_path, range(120))


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(20))
def test_fifty_thousand_calls(part: int, tmp_path: Path) -> None:
    check(tmp_path, range(2500 * part, 2500 * (part + 1)))


def test_the_surface_is_all_of_it(tmp_path: Path) -> None:
    """The test calls the whole interface: inspection finds functions and classes, and listed methods are documented."""
    names = surface(World(tmp_path))
    functions = {f"rg.{name}" for name in rg.__all__ if type(getattr(rg, name)).__name__ == "function"}
    assert functions <= set(names)
    assert len(names) > 300
    text = (Path(__file__).parent.parent / "docs" / "api.md").read_text()
    for owner in ("inference", "training", "trainer", "stream", "pool", "net"):
        for name in METHODS[owner]:
            assert name.strip("= ") in text or name.startswith("__"), f"{owner}.{name}"


def test_a_wrong_error_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator detects foreign errors, long messages, wrong lines, and endless calls."""
    world = World(tmp_path)
    call = wrong_arguments.Call(world, 0)

    def outcome(error: BaseException | None) -> str:
        def run() -> BaseException | None:
            return error

        monkeypatch.setattr(call, "run", run)
        return wrong_arguments.finding(call) or ""

    assert outcome(None) == ""
    assert "raises KeyError" in outcome(KeyError("x"))
    assert "does not begin with the line" in outcome(rg.ShapeError("x"))

    def compute() -> None:
        while True:  # Python handles signals between its steps
            pass

    for limit, work in {"ASLEEP": lambda: os.read(os.pipe()[0], 1), "SECONDS": compute}.items():
        with monkeypatch.context() as patch:
            patch.setattr(wrong_arguments, limit, 0.1)
            patch.setattr(call, "run", work)
            assert "takes more than" in (wrong_arguments.finding(call) or "")
