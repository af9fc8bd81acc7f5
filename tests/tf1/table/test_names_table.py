"""The table of TensorFlow's names: its entries exist, and stubs agree."""

from __future__ import annotations

import importlib
import runpy
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.table.entries import module_path, remedy, table, wheel_modules
from rnngraph.tf1.table.modules import member, module_of

TOOLS = Path(__file__).parents[3] / "tools"
OLDER = {
    "contrib.framework.nest",
    "contrib.rnn.python.ops.core_rnn",
    "contrib.rnn.python.ops.core_rnn_cell_impl",
    "contrib.rnn.python.ops.rnn_cell_impl",
    "models.rnn.rnn",
    "models.rnn.rnn_cell",
    "models.rnn.seq2seq",
    "python.ops.seq2seq",
}
"""Modules of TensorFlow versions before 1.15.5."""
NO_FILES = {"app.flags", "contrib.slim.model_analyzer", "flags", "losses.Reduction"}
"""Modules of the table that are attributes or a class of constants, not files of TensorFlow."""


def test_every_name_is_there() -> None:
    for path in table().targets:
        module, _, name = path.rpartition(".")
        assert getattr(module_of(module), name) is member(module, name), path


def test_every_module_is_tensorflows() -> None:
    paths = {*table().members, *table().aliases} - {"", *OLDER, *NO_FILES}
    assert paths <= wheel_modules()
    assert set(table().aliases.values()) <= table().members.keys()
    assert len(wheel_modules()) > 2600


def test_lines_are_sorted_and_unique() -> None:
    text = (Path(tf.__file__).parent / "table" / "names.txt").read_text(encoding="utf-8")
    paths = [line.split(" ")[0] for line in text.splitlines() if line and line[0] not in "#$"]
    assert paths == sorted(paths, key=lambda path: (path.lower(), path))
    assert len({*paths}) == len(paths) - len(table().remedies.keys() & {*table().targets, *table().aliases})


@pytest.mark.parametrize("path", [path for path in table().members if path])
def test_modules_export_the_names_of_the_table(path: str) -> None:
    module = importlib.import_module(f"rnngraph.tf1.{path}")
    assert module.__doc__
    assert dir(module) == sorted(module.__all__) == sorted(set(module.__all__))
    with pytest.raises(rg.NotOfferedError, match=rf"test_names_table\.py:\d+: tf\.{path}\.nothing is not offered; "):
        module.nothing  # noqa: B018  # reading the name raises
    with pytest.raises(ImportError, match=rf"test_names_table\.py:\d+: tf\.{path}\.nothing is not offered; "):
        exec(compile(f"from rnngraph.tf1.{path} import nothing", __file__, "exec"))


def test_rooms_of_rnngraph_can_still_be_imported() -> None:
    from rnngraph.tf1.train import Saver, saver

    assert isinstance(saver, ModuleType)
    assert Saver is saver.Saver is tf.train.Saver


def test_stubs_agree_with_the_table() -> None:
    stubs = runpy.run_path(str(TOOLS / "write_tf1_stubs.py"))
    written: dict[Path, str] = stubs["stubs"]()
    assert written.keys() == set(stubs["FOLDER"].rglob("*.pyi"))
    assert all(path.read_text() == text for path, text in written.items())


def test_remedies() -> None:
    assert remedy("unique") == remedy("compat.v1.unique") == remedy("python.unique")
    assert remedy("train.string_input_producer").startswith("no threads read files or fill queues; feed")
    assert remedy("python.ops.lookup_ops.unique") == remedy("unique")
    assert module_path("compat.v1.nn.rnn_cell") == module_path("_api.v1.nn.rnn_cell") == "nn.rnn_cell"
    assert module_path("nothing") is None


def test_the_wheel_is_listed_by_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, written = tmp_path / "RECORD", tmp_path / "modules.txt"
    files = (
        "tensorflow_core/__init__.py",
        "tensorflow_core/_api/v1/nn/rnn_cell/__init__.py",
        "tensorflow_core/python/ops/rnn.py",
        "tensorflow_core/python/ops/rnn.cc",
        "numpy/core.py",
        "tensorflow_core/python/keras/api/_v1/keras/layers/__init__.py",
    )
    record.write_text("".join(f"{file},sha256=0,1\n" for file in files))
    listing: dict[str, Any] = runpy.run_path(str(TOOLS / "list_tf1_modules.py"))
    monkeypatch.setitem(listing["main"].__globals__, "TABLE", written)
    listing["main"]([str(record)])
    lines = written.read_text().splitlines()
    assert {"nn", " rnn_cell", "keras", " layers", "  rnn"} <= {*lines}
    assert "core" not in {line.strip() for line in lines}
