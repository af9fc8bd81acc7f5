"""Steps of large nets are derived once, and later processes read them from the cache."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.program import held_weights
from rnngraph.program.saved import save_load
from rnngraph.runtime.native import object_cache
from rnngraph.runtime.streams import step_graph
from rnngraph.support.errors import Where, read_from

X = np.random.default_rng(0).standard_normal((2, 9, 40)).astype(np.float32)


def recurrent() -> rg.Tensor:
    y, _ = rg.dynamic_rnn(rg.LSTMCell(16), rg.placeholder("x", (None, None, 40)))
    return y


def matrix_states() -> rg.Tensor:
    y, _ = rg.dynamic_rnn(rg.RWKV7Cell(2, 8), rg.placeholder("x", (None, None, 40)))
    return y


def ahead() -> rg.Tensor:
    """Return windows that read two steps before and two after, so that streams return outputs late."""
    y, _ = rg.dynamic_rnn(rg.GRUCell(8), rg.placeholder("x", (None, None, 40)))
    return rg.conv1d(y, 4, 5, padding="same")


def streamed(program: rg.Program) -> list[np.ndarray]:
    stream = program.inference.stream(batch=2)
    return [stream.process(x=X[:, :4]), stream.step(x=X[:, 4]), stream.process(x=X[:, 5:]), stream.flush()]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_cache, "MIN_NODES", 1)
    monkeypatch.setattr(save_load, "MIN_CACHED_BYTES", 1)


@pytest.mark.parametrize(("declared", "times"), [(recurrent, 2), (matrix_states, 2), (ahead, 3)])
def test_a_cached_step_has_the_same_bits(
    declared: Callable[[], rg.Tensor], times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is derived without a cache, for the cache, and again only for the end of a sequence."""
    calls: list[str] = []
    derived = step_graph._derived

    def counted(*arguments: Any) -> Any:
        calls.append("derived")
        return derived(*arguments)

    monkeypatch.setattr(step_graph, "_derived", counted)
    net = declared()
    expected = streamed(rg.compile(net, cache=False))
    for _ in range(2):
        for one, other in zip(expected, streamed(rg.compile(net, cache=tmp_path)), strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(calls) == times
    (file,) = tmp_path.glob("*.graph")
    file.write_bytes(file.read_bytes()[:-100])
    np.testing.assert_array_equal(streamed(rg.compile(net, cache=tmp_path))[0], expected[0])
    assert len(calls) == times + 1, "a damaged file is replaced"


def test_a_step_whose_lines_moved_is_not_derived_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines_of(line: int) -> set[int]:
        with read_from(Where("net.py", line)):
            program = rg.compile(ahead(), cache=tmp_path)
            program.inference.stream(batch=2)
        shown = program.inference._step_graph(2, None).compiled.graph
        return {node.where.line for node in shown.walk() if node.where is not None}

    assert lines_of(3) == {3}
    monkeypatch.setattr(step_graph, "_derived", None)
    assert lines_of(80) == {80}


def test_a_cached_declaration_is_split_when_it_is_called(tmp_path: Path) -> None:
    """Positional arrays, whose input is the only one without a keyword, are fed as without a cache."""
    net = rg.Dropout(0.5)(recurrent()) if hasattr(rg, "Dropout") else rg.dropout(recurrent(), 0.5)
    for _ in range(2):
        program = rg.compile(net, cache=tmp_path)
        is_split = program.inference.compiled._split is not None
        np.testing.assert_array_equal(program.inference(X), rg.compile(net, cache=False).inference(X))
    assert not is_split
    (file,) = (file for file in tmp_path.glob("*.known") if b"[" in file.read_bytes())
    file.write_bytes(b"[")
    np.testing.assert_array_equal(rg.compile(net, cache=tmp_path).inference(X), program.inference(X))


def test_graphs_of_a_saved_program_are_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, texts = rg.compile(recurrent(), cache=False), list[str]()
    program.save(tmp_path / "net")
    parse = save_load.parse

    def counted(text: str, *arguments: Any) -> Any:
        texts.append(text)
        return parse(text, *arguments)

    monkeypatch.setattr(save_load, "parse", counted)
    cache = tmp_path / "cache"
    loaded = [rg.load(tmp_path / "net", cache=option) for option in (cache, cache)]
    parsed = len(texts)
    rg.load(tmp_path / "net", cache=False)
    assert len(texts) == 2 * parsed
    for one in loaded:
        np.testing.assert_array_equal(one.inference(x=X), program.inference(x=X))
        assert str(one.inference.graph) == str(loaded[0].inference.graph)
    loaded[1].save(tmp_path / "again")


def test_only_warnings_of_narrow_weights_are_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, graphs = recurrent(), list[str]()
    checked = held_weights._warnings

    def counted(*arguments: Any) -> Any:
        graphs.append("checked")
        return checked(*arguments)

    monkeypatch.setattr(held_weights, "_warnings", counted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            rg.compile(net, weights=rg.Narrow("int8", force=True), cache=tmp_path)
    assert len(graphs) == 1
    for _ in range(2):
        with pytest.warns(UserWarning, match="changes nothing"):
            rg.compile(net, weights={"*bias": "int8"}, cache=tmp_path)
    assert len(graphs) == 3
