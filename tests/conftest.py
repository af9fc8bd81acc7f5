"""Options of the test run, the tested package, working and cache folders, and fixtures for several rooms."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import installation  # must be first, because it decides which copy of the package is imported
import pytest
import selection
from golden_files import Golden, without_commentary
from saved_cases import small_program

import rnngraph as rg
from rnngraph.runtime.calls.feed_names import FeedNames


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the expected texts that differ; read the diff afterwards"
    )
    parser.addoption(
        "--time-tests", metavar="FOLDER", help="run slow tests, too, and note CPU seconds for tools/time_tests.py"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Disable the cache of compiled code, here and in processes that tests start: its path is a file.

    Hypothesis has no deadline, because machines may be busy.
    """
    hypothesis.settings.register_profile(
        "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("patient")
    folder = tempfile.TemporaryDirectory()
    (Path(folder.name) / "rnngraph").touch()
    os.environ["XDG_CACHE_HOME"] = folder.name
    config.add_cleanup(folder.cleanup)
    if config.option.time_tests:
        config.option.time_tests = Path(config.option.time_tests).resolve()  # tests run in another folder
        config.option.time_tests.mkdir(exist_ok=True)
        config.option.markexpr = config.option.markexpr.replace(" and not slow", "")


def pytest_report_header() -> str:
    return f"tested: {installation.package()}"


@pytest.fixture(autouse=True)
def no_graph_of_others() -> None:
    """Check that no test leaves a default graph or session of TensorFlow 1 behind."""
    if tf1 := sys.modules.get("rnngraph.tf1"):
        from rnngraph.tf1.core.graph import CURRENT

        CURRENT.sessions.clear()
        tf1.reset_default_graph()


@pytest.fixture(scope="session", autouse=True)
def working_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run tests in an empty folder, because ``python -c`` and ``-m`` would import the checkout they start in."""
    with contextlib.chdir(tmp_path_factory.mktemp("working_folder")):
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with the file that contains the expected one; ``--update-golden`` rewrites the file."""
    update = request.config.getoption("--update-golden")

    def check(path: Path, text: str) -> None:
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        if update and without_commentary(text) != without_commentary(expected):
            path.write_text(text.replace(f"{Path(__file__).parents[1]}/", ""), encoding="utf-8")
            return
        assert path.exists(), f"{path} is missing; run python -m pytest --update-golden"
        assert without_commentary(text) == without_commentary(expected), f"{path} differs"

    return check


@pytest.fixture(scope="module")
def small() -> rg.Program:
    return small_program()


@pytest.fixture
def saved(small: rg.Program, tmp_path: Path) -> Path:
    small.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def general_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record a list entry for each call that took the slow path."""
    calls: list[int] = []
    by_placeholder = FeedNames.by_placeholder

    def counted(self: FeedNames, *arguments: Any) -> Any:
        calls.append(1)
        return by_placeholder(self, *arguments)

    monkeypatch.setattr(FeedNames, "by_placeholder", counted)
    return calls


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> list[pytest.Item] | None:
    """Create no items of functions marked ``exhaustive`` in a run without them: some have thousands of cases."""
    marks = getattr(obj, "pytestmark", ())
    leaves_out = "not exhaustive" in collector.config.option.markexpr
    return [] if leaves_out and any(getattr(mark, "name", "") == "exhaustive" for mark in marks) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the tests that a default run omits. A run that names files, tests or keywords omits none of them."""
    is_whole = not config.option.keyword and all(Path(argument).is_dir() for argument in config.args)
    selection.select(items, selection.read_costs() if is_whole else {})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    folder = item.config.getoption("--time-tests")
    if folder is None:
        return (yield)
    start = selection.used_seconds()
    result = yield
    selection.note_time(folder, item, selection.used_seconds() - start)
    return result
