"""Results of a fit: columns, text that round-trips exactly, a table, and a plot."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnngraph as rg
from rnngraph.training.fit.history import History


def example() -> History:
    history = History()
    history.append({"epoch": 1, "loss": 2.5, "seconds": 0.5})
    history.append({"epoch": 2, "loss": 1.5, "validation_loss": 1.75, "accuracy": 0.5, "seconds": 0.5})
    history.append({"epoch": 3, "loss": 1.0, "validation_loss": 1.25, "accuracy": 0.75, "validation_accuracy": 0.5})
    history.append({"epoch": 4, "loss": 0.5, "validation_loss": np.float32(1.25), "accuracy": math.nan})
    return history


def test_columns() -> None:
    history = example()
    assert list(history) == ["epoch", "loss", "seconds", "validation_loss", "accuracy", "validation_accuracy"]
    assert history.epochs == 4
    assert all(column.shape == (4,) and column.dtype == np.float64 for column in history.values())
    np.testing.assert_array_equal(history["validation_loss"], [np.nan, 1.75, 1.25, 1.25])
    np.testing.assert_array_equal(history["seconds"], [0.5, 0.5, np.nan, np.nan])
    history["loss"][:] = 0  # columns are copies
    assert history["loss"].tolist() == [2.5, 1.5, 1.0, 0.5]
    with pytest.raises(KeyError, match="no column 'lost'; did you mean loss"):
        history["lost"]
    with pytest.raises(KeyError, match="no column 'speed'; it has epoch, loss"):
        history["speed"]


def test_best() -> None:
    history = example()
    assert history.best() == 3
    assert history.best("loss") == 4
    assert history.best("accuracy", mode="max") == 3
    assert history.best("accuracy") == 2
    with pytest.raises(rg.ArgumentError, match="mode='most'"):
        history.best(mode="most")
    with pytest.raises(rg.NameLookupError, match="'validation_loss'; it has none"):
        History().best()
    history.append({"broken": math.nan})
    with pytest.raises(rg.ArgumentError, match="broken has only NaN"):
        history.best("broken")


def test_epochs_are_counted_from_one() -> None:
    """Epochs are counted from 1, and a second fit continues to count: its first epoch may be 16."""
    history = History()
    for epoch in range(11, 31):
        history.append({"epoch": epoch, "loss": abs(epoch - 16)})
    assert history.best("loss") == 16
    assert history.row(16) == {"epoch": 16, "loss": 0}
    assert history.row(-1) == {"epoch": 30, "loss": 14}
    assert history.row(-20) == {"epoch": 11, "loss": 5}
    for missing in (0, 10, 31, -21):
        with pytest.raises(rg.ArgumentError, match=f"no epoch {missing}; it has epochs 11 to 30"):
            history.row(missing)
    unnamed = History()
    with pytest.raises(rg.ArgumentError, match="no epoch 1; it is empty"):
        unnamed.row(1)
    for loss in (3.0, 1.0, 2.0):
        unnamed.append({"loss": loss})
    assert unnamed.best("loss") == 2
    assert unnamed.row(2) == {"loss": 1.0}


rows = st.lists(st.dictionaries(st.text(max_size=5), st.floats(), max_size=4), max_size=8)


@given(rows, st.text())
def test_text_reads_back_exactly(rows: list[dict[str, float]], stopped: str) -> None:
    history = History()
    for row in rows:
        history.append(row)
    history.stopped = stopped
    text = history.to_text()
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    second = History.from_text(text)
    assert second.stopped == stopped
    assert second.epochs == history.epochs == len(rows)
    assert list(second) == list(history)
    for name, column in history.items():
        np.testing.assert_array_equal(second[name], column)
        np.testing.assert_array_equal(np.signbit(second[name][second[name] == 0]), np.signbit(column[column == 0]))
    second.append({"loss": 1.0})
    assert all(len(column) == len(rows) + 1 for column in second.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"stopped": "", "epochs": 1, "columns": {"loss": ["x"]}}',
        '{"stopped": "", "epochs": 2, "columns": {"loss": [1.0]}}',
        '{"stopped": "", "epochs": 2, "columns": [1.0]}',
    ],
)
def test_damaged_text(text: str) -> None:
    with pytest.raises(rg.ArgumentError, match="the text is not a history"):
        History.from_text(text)


def test_repr_is_a_small_table() -> None:
    history = example()
    history.stopped = "no better for 2 epochs"
    lines = repr(history).splitlines()
    assert lines[0] == "History of 4 epochs, stopped: no better for 2 epochs"
    assert lines[1].split() == list(history)
    assert lines[3].split() == ["2", "1.5", "0.5", "1.75", "0.5", "nan"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert repr(History()) == "History of 0 epochs"
    for epoch in range(5, 101):
        history.append({"epoch": epoch, "loss": 0.1})
    lines = repr(history).splitlines()
    assert len(lines) == 15
    assert [line.split()[0] for line in lines[7:10]] == ["6", "…", "95"]


def test_plot_draws_training_and_validation_together(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "history.svg"
    figure = example().plot(path)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    for axes, names in zip(
        figure.axes, (("loss", "validation_loss"), ("accuracy", "validation_accuracy")), strict=True
    ):
        labels = [line.get_label() for line in axes.lines]
        assert labels == ["training", "validation", f"best epoch, {example().best()}"]
        for line, name in zip(axes.lines[:2], names, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), example()[name])
    assert b"<svg" in path.read_bytes()
    example().plot(str(tmp_path / "history.png"))
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(os.listdir(tmp_path)) == ["history.png", "history.svg"]
    assert example().plot().axes


def test_a_curve_has_one_colour_in_all_panels() -> None:
    """A curve has the same colour in all panels, even if one panel only has validation curves."""
    pytest.importorskip("matplotlib")
    history = History()
    for epoch, (loss, of_validation) in enumerate(((3.0, 2.0), (2.0, 1.0), (1.0, 1.5)), 1):
        row = {"epoch": epoch, "loss": loss, "validation_loss": of_validation, "validation_accuracy": 0.5}
        history.append(row)
    colours: dict[str, set[object]] = {}
    for axes in history.plot().axes:
        for line in axes.lines:
            colours.setdefault(str(line.get_label()), set()).add(line.get_color())
    assert {label: len(of_label) for label, of_label in colours.items()} == dict.fromkeys(
        ("training", "validation", "best epoch, 2"), 1
    )
    assert history._repr_html_().count('class="best"') == 2


def test_plot_raises_errors_for_wrong_columns_and_missing_packages(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(rg.ArgumentError, match=r"can't plot \.doc; use .*png"):
        example().plot(tmp_path / "history.doc")
    with pytest.raises(rg.ArgumentError, match="fit before plotting"):
        History().plot()
    assert os.listdir(tmp_path) == []


def test_without_matplotlib_plot_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"test_history\.py:\d+: plot needs matplotlib; pip install matplotlib"):
        example().plot()


def test_matplotlib_is_imported_by_plot_only() -> None:
    code = "import sys, rnngraph, rnngraph.training.fit.history; print('matplotlib' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "False"


def test_names_of_keras_columns_suggest_others() -> None:
    history = rg.History()
    history.append({"epoch": 1, "loss": 0.5, "validation_loss": 0.6, "validation_accuracy": 0.9})
    for name, full in (("val_loss", "validation_loss"), ("val_accuracy", "validation_accuracy")):
        with pytest.raises(rg.NameLookupError, match=rf"has no column '{name}'; write history\['{full}'\]"):
            history[name]
