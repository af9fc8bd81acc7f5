"""Options of the test run, what it tests, where it runs and keeps code, and what tests of several rooms share."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import installation  # first of all: it decides which copy of the package is imported
import pytest
from golden_files import Golden, without_commentary
from saved_cases import small_program

import rnngraph as rg
from rnngraph.runtime.calls.feed_names import FeedNames


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the expected texts that differ; read the diff afterwards"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Everything is compiled anew, here and in processes that tests start: where compiled code would be kept lies a
    file. Drawn examples may take their time, as machines are busy.
    """
    hypothesis.settings.register_profile(
        "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("patient")
    folder = tempfile.TemporaryDirectory()
    (Path(folder.name) / "rnngraph").touch()
    os.environ["XDG_CACHE_HOME"] = folder.name
    config.add_cleanup(folder.cleanup)


def pytest_report_header() -> str:
    return f"tested: {installation.package()}"


@pytest.fixture(autouse=True)
def no_graph_of_others() -> None:
    """TensorFlow 1's default graph and session stay as a test leaves them, and are no other one's."""
    if tf1 := sys.modules.get("rnngraph.tf1"):
        from rnngraph.tf1.core.graph import CURRENT

        CURRENT.sessions.clear()
        tf1.reset_default_graph()


@pytest.fixture(scope="session", autouse=True)
def working_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests run in an empty folder: ``python -c`` and ``-m`` look where they are started first, and the checkout would
    hide the installed package from them.
    """
    with contextlib.chdir(tmp_path_factory.mktemp("working_folder")):
        yield


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares a text with the file that holds the expected one; ``--update-golden`` rewrites the file."""
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
    """One entry for each call that took the slow path."""
    found: list[int] = []
    by_placeholder = FeedNames.by_placeholder

    def counted(self: FeedNames, *arguments: Any) -> Any:
        found.append(1)
        return by_placeholder(self, *arguments)

    monkeypatch.setattr(FeedNames, "by_placeholder", counted)
    return found


HALVED = (
    "batching/test_sources.py",
    "codegen/kernels/test_forth_and_back.py",
    "codegen/kernels/test_outer_products.py",
    "codegen/kernels/test_reductions.py",
    "codegen/schedule/test_interleaved_loop.py",
    "codegen/schedule/test_time_loop.py",
    "codegen/threads/test_barrier.py",
    "codegen/threads/test_decoder_workers.py",
    "declare/functions/test_convolutions.py",
    "declare/functions/test_randomness.py",
    "declare/test_taps.py",
    "inspection/explore/test_page.py",
    "formats/tensorflow/test_variables.py",
    "program/saved/test_saved_files.py",
    "program/test_pickling.py",
    "program/test_sampled_graphs.py",
    "runtime/calls/test_outputs.py",
    "runtime/native/test_compiled_graph.py",
    "runtime/native/test_object_cache.py",
    "runtime/streams/test_kept_states.py",
    "runtime/streams/test_pool.py",
    "runtime/streams/test_stream.py",
    "support/test_allocation.py",
    "support/test_arguments.py",
    "test_attention.py",
    "test_batch_normalization.py",
    "test_batched_products.py",
    "test_bits.py",
    "test_cells.py",
    "cli/test_entry.py",
    "test_depth.py",
    "test_equal_sizes.py",
    "support/test_error_messages.py",
    "test_examples.py",
    "export/test_export.py",
    "export/test_export_files.py",
    "export/test_export_sequences.py",
    "test_found_graphs.py",
    "test_gradients.py",
    "test_hostile_graphs.py",
    "test_installation.py",
    "test_lengths.py",
    "test_narrow_weights.py",
    "test_output_gradients.py",
    "test_random_declarations.py",
    "export/test_random_exports.py",
    "test_random_pools.py",
    "test_readme.py",
    "test_run_tf1_programs.py",
    "test_targets.py",
    "test_tensorflow.py",
    "tf1/test_tf1_programs.py",
    "test_wrappers.py",
)
"""Slow modules. Of the tests of each, every second one runs by default and the others with ``-m second_half``."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose what a default run leaves out.

    Tests marked ``sampled(n)`` keep every n-th parameter; the others are exhaustive. Modules in ``HALVED`` keep every
    second test. A run that names files, tests or keywords keeps all of these.
    """
    seen: Counter[str] = Counter()
    halve = not config.option.keyword and all(Path(argument).is_dir() for argument in config.args)
    for item in items:
        name = item.nodeid.partition("[")[0]
        mark = item.get_closest_marker("sampled")
        if mark is not None and item.get_closest_marker("exhaustive") is None:
            if seen[name] % mark.args[0]:
                item.add_marker(pytest.mark.exhaustive)
            seen[name] += 1
        module = name.partition("::")[0].removeprefix("tests/")
        if halve and module in HALVED and not any(item.iter_markers("exhaustive")):
            if seen[module] % 2:
                item.add_marker(pytest.mark.second_half)
            seen[module] += 1
