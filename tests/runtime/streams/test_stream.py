"""Streams: held feeds, steps of some rows, states set, reset and saved as bytes, against whole sequences."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bound_listener import data

import rnngraph as rg
from rnngraph.runtime.native.compiled_graph import CompiledGraph

BATCH, TIME, WIDTH, UNITS = 5, 9, 3, 7
Array = np.ndarray


def listener(dtype: str = "float32") -> rg.Program:
    """Return two layers that read a knob, and a memory to which every step attends."""
    x = rg.placeholder("x", (None, None, WIDTH), dtype)
    knob = rg.placeholder("knob", (), dtype)
    memory = rg.placeholder("memory", (None, None, UNITS), dtype)

    class Looking(rg.Wrapper):
        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            output, state = p.cell(None, self.cell)(x * knob, state)
            weights = rg.softmax(rg.reduce_sum(memory * output[:, None], axis=2), axis=1)
            return output + rg.reduce_sum(memory * weights[:, :, None], axis=1), state

    cells = rg.MultiRNNCell([Looking(rg.LSTMCell(UNITS)), rg.GRUCell(4)])
    outputs, _ = rg.dynamic_rnn(cells, x)
    return rg.compile({"outputs": outputs, "more": {"scores": rg.dense(outputs, 2)}}, seed=1)


def feeds_held(seed: int = 0) -> dict[str, Array]:
    return {"knob": np.float32(0.5 + seed), "memory": data(BATCH, 6, UNITS, seed=seed)}


def same(ours: Any, theirs: Any) -> None:
    np.testing.assert_array_equal(ours["outputs"], theirs["outputs"])
    np.testing.assert_array_equal(ours["more"]["scores"], theirs["more"]["scores"])


def step_of(whole: Any, step: int) -> dict[str, Any]:
    return {"outputs": whole["outputs"][:, step], "more": {"scores": whole["more"]["scores"][:, step]}}


def test_a_constant_feed_stays_until_it_is_fed_again() -> None:
    program, x = listener(), data(BATCH, TIME, WIDTH)
    whole = program.inference(x=x, **feeds_held())
    stream = program.inference.stream(batch=BATCH)
    same(stream.step(x=x[:, 0], **feeds_held()), step_of(whole, 0))
    for step in range(1, 4):
        same(stream.step(x=x[:, step]), step_of(whole, step))
    middle = stream.state
    turned = program.inference.stream(batch=BATCH)
    turned.step(x=x[:, 0], **feeds_held(2))
    turned.state = middle
    changed = [turned.step(x=x[:, step]) for step in (4, 5)]
    same(stream.step(x=x[:, 4], **feeds_held(2)), changed[0])  # a changed feed takes effect at once, and is held
    same(stream.step(x=x[:, 5]), changed[1])
    stream.step(x=x[:, 5], knob=np.float32(0.5))
    stream.state = middle
    same(
        stream.process(x=x[:, 4:], memory=feeds_held()["memory"]),
        {"outputs": whole["outputs"][:, 4:], "more": {"scores": whole["more"]["scores"][:, 4:]}},
    )
    with pytest.raises(rg.ShapeError):
        stream.step(x=x[:, 0], memory=data(BATCH, 6, UNITS + 1))
    with pytest.raises(rg.NameLookupError, match="the stream needs knob, memory"):
        program.inference.stream(batch=BATCH).step(x=x[:, 0])


def test_constant_feeds_are_copies() -> None:
    program, x = listener(), data(BATCH, TIME, WIDTH)
    mine = feeds_held()
    stream = program.inference.stream(batch=BATCH)
    whole = program.inference(x=x, **mine)
    stream.step(x=x[:, 0], **mine)
    mine["memory"][:] = np.nan
    same(stream.step(x=x[:, 1]), step_of(whole, 1))


MASKS: dict[str, Any] = {
    "an index": 2,
    "a list": [0, -1],
    "a slice": slice(1, 4),
    "a mask": np.array([True, False, True, True, False]),
    "none": [],
    "all": [True] * BATCH,
}


@pytest.mark.parametrize("rows", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_rows_that_take_no_part_are_left_alone(rows: Any, chunks: bool, fresh: bool) -> None:
    program, x = listener(), data(BATCH, TIME, WIDTH)
    stream = program.inference.stream(batch=BATCH)
    kept = np.zeros(BATCH, bool)
    kept[rows] = True
    if not fresh:
        stream.step(x=x[:, 0], **feeds_held())
        stream.step(x=x[:, 1])
    other = program.inference.stream(batch=BATCH)
    other.step(x=x[:, 0], **feeds_held())
    other.reset()
    if not fresh:
        other.state = stream.state
    before = other.state
    fed = x[:, 2:5] if chunks else x[:, 2]
    poisoned = np.where(kept.reshape(-1, *(1,) * (fed.ndim - 1)), fed, np.nan)
    call = "process" if chunks else "step"
    ours = getattr(stream, call)(x=poisoned, rows=rows, **(feeds_held() if fresh else {}))
    theirs = getattr(other, call)(x=fed)
    for name in ("outputs", "scores"):
        mine = (ours["more"] if name == "scores" else ours)[name]
        whole = (theirs["more"] if name == "scores" else theirs)[name]
        np.testing.assert_array_equal(mine[kept], whole[kept])
        assert not mine[~kept].any()
    leaves = zip(flat(stream.state), flat(other.state), flat(before), strict=True)
    for after, full, old in leaves:
        np.testing.assert_array_equal(after[kept], full[kept])
        np.testing.assert_array_equal(after[~kept], old[~kept])


def flat(state: Any) -> list[Array]:
    return [state[0].c, state[0].h, state[1]]


def test_sequences_of_their_own_pace() -> None:
    """Rows that step at different times have the results that each row has alone."""
    program, x = listener(), data(BATCH, TIME, WIDTH)
    whole = program.inference(x=x, **feeds_held())
    stream = program.inference.stream(batch=BATCH)
    generator, at = np.random.default_rng(3), np.zeros(BATCH, int)
    options = feeds_held()
    while (at < TIME).any():
        rows = (generator.random(BATCH) < 0.5) & (at < TIME)
        result = stream.step(x=x[np.arange(BATCH), np.minimum(at, TIME - 1)], rows=rows, **options)
        options = {}
        for row in np.flatnonzero(rows):
            np.testing.assert_array_equal(result["outputs"][row], whole["outputs"][row, at[row]])
        at += rows


@pytest.mark.parametrize("cell", [rg.GRUCell(5), rg.LSTMCell(3), rg.BasicRNNCell(7)])
@pytest.mark.parametrize("saved", [False, True])
def test_sizes_that_meet_in_the_loss_are_no_matter(cell: rg.Cell, saved: bool, tmp_path: Path) -> None:
    """A stream needs no size that only the loss relates: in training, labels fix the length less two."""
    x, y = rg.placeholder("x", (None, None, 4)), rg.placeholder("y", (None, None), "int64")
    outputs, _ = rg.dynamic_rnn(cell, x)
    program = rg.compile({"outputs": outputs}, loss=rg.sparse_softmax_cross_entropy(y, rg.dense(outputs[:, 2:], 3)))
    if saved:
        program.save(tmp_path / "model")
        program = rg.load(tmp_path / "model")
    x_value = np.random.default_rng(1).normal(size=(3, 7, 4))
    whole, stream = program.inference(x=x_value)["outputs"], program.inference.stream(batch=3)
    for step in range(3):
        np.testing.assert_array_equal(stream.step(x=x_value[:, step])["outputs"], whole[:, step])
    np.testing.assert_array_equal(stream.process(x=x_value[:, 3:])["outputs"], whole[:, 3:])


def test_an_initial_state_of_a_whole_sequence_can_not_be_streamed() -> None:
    x = rg.placeholder("x", (None, None, 4))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, initial_state=rg.tanh(rg.reduce_mean(x, 1)))
    with pytest.raises(rg.GraphError, match="waits for the end of another one, or for a whole sequence, declared at"):
        rg.compile(outputs).inference.stream()


def test_steps_are_written_to_the_given_arrays() -> None:
    program, x = listener(), data(BATCH, TIME, WIDTH)
    whole = program.inference(x=x, **feeds_held())
    stream = program.inference.stream(batch=BATCH)
    mine = np.empty((BATCH, 4), np.float32)
    for step in range(3):
        result = stream.step(x=x[:, step], out={"outputs": mine}, **(feeds_held() if step == 0 else {}))
        assert result["outputs"] is mine
        same(result, step_of(whole, step))
    result = stream.step(x=x[:, 3], out={"outputs": mine}, rows=[1])
    np.testing.assert_array_equal(mine[1], whole["outputs"][1, 3])
    assert not mine[[0, 2, 3, 4]].any()
    chunk = np.empty((BATCH, 2, 4), np.float32)
    stream.reset()
    assert stream.process(x=x[:, :2], out={"outputs": chunk})["outputs"] is chunk
    np.testing.assert_array_equal(chunk, whole["outputs"][:, :2])


def test_one_bare_output_has_rows_too() -> None:
    x = rg.placeholder("x", (BATCH, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(UNITS), x, time_major=False)
    program = rg.compile(rg.transpose(outputs, (1, 0, 2)), seed=2)
    inputs = data(BATCH, TIME, WIDTH)
    whole = program.inference(x=inputs)
    stream = program.inference.stream(batch=BATCH)
    np.testing.assert_array_equal(stream.step(x=inputs[:, 0]), whole[0])
    result = stream.step(x=inputs[:, 1], rows=[0, 3])
    np.testing.assert_array_equal(result[[0, 3]], whole[1][[0, 3]])
    assert not result[[1, 2, 4]].any()
    result = stream.process(x=inputs[:, 1:], rows=[1, 2, 4])
    np.testing.assert_array_equal(result[:, [1, 2, 4]], whole[1:, [1, 2, 4]])
    assert not result[:, [0, 3]].any()


def test_streams_of_one_batch_share_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    program, x = listener(), data(BATCH, TIME, WIDTH)
    whole = program.inference(x=x, **feeds_held())
    program.inference.stream(BATCH).step(x=x[:, 0], **feeds_held())
    compiled: list[int] = []
    monkeypatch.setattr(CompiledGraph, "_code", lambda *arguments: compiled.append(1))
    streams = [program.inference.stream(BATCH) for _ in range(3)]
    for step in range(TIME):  # each stream has its own state and held feeds
        for number, stream in enumerate(streams):
            if step >= number:
                feeds = feeds_held() if step == number else {}
                same(stream.step(x=x[:, step - number], **feeds), step_of(whole, step - number))
    assert not compiled


def test_rows_are_reset_to_the_initial_state() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    start = rg.placeholder("start", (None, UNITS))
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), x, initial_state=start)[0], seed=2)
    inputs, first = data(BATCH, TIME, WIDTH), data(BATCH, UNITS)
    whole = program.inference(x=inputs, start=first)
    stream = program.inference.stream(batch=BATCH)
    stream.process(x=inputs[:, :4], start=first)
    stream.reset(rows=np.array([True, False, False, True, False]))
    result = stream.step(x=np.where(np.isin(np.arange(BATCH), [0, 3])[:, None], inputs[:, 0], inputs[:, 4]))
    np.testing.assert_array_equal(result[[0, 3]], whole[[0, 3], 0])
    np.testing.assert_array_equal(result[[1, 2, 4]], whole[[1, 2, 4], 4])
    stream.reset(rows=slice(None))
    np.testing.assert_array_equal(stream.process(x=inputs), whole)


@pytest.mark.parametrize("stepped", [False, True])
def test_a_state_continues_from_bytes(stepped: bool, tmp_path: Path) -> None:
    program, x = listener(), data(BATCH, TIME, WIDTH)
    whole = program.inference(x=x, **feeds_held())
    stream = program.inference.stream(batch=BATCH)
    if stepped:
        for step in range(4):
            stream.step(x=x[:, step], **(feeds_held() if step == 0 else {}))
    else:
        stream.process(x=x[:, :4], **feeds_held())
    kept = stream.state_bytes()
    assert isinstance(kept, bytes)
    stream.step(x=x[:, 4])
    stream.load_state_bytes(kept)
    same(stream.step(x=x[:, 4]), step_of(whole, 4))
    program.save(tmp_path / "model")
    (tmp_path / "state").write_bytes(kept)
    np.savez(tmp_path / "feeds.npz", x=x, **feeds_held())
    script = (
        "import sys, numpy as np, rnngraph as rg\n"
        "folder = sys.argv[1]\n"
        "stream = rg.load(folder + '/model').inference.stream(batch=5)\n"
        "stream.load_state_bytes(open(folder + '/state', 'rb').read())\n"
        "feeds = dict(np.load(folder + '/feeds.npz'))\n"
        "feeds['x'] = feeds['x'][:, 4:]\n"
        "np.save(folder + '/rest.npy', stream.process(feeds)['outputs'])\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, timeout=600)
    np.testing.assert_array_equal(np.load(tmp_path / "rest.npy"), whole["outputs"][:, 4:])


def test_bytes_that_are_no_state_are_refused() -> None:
    program, x = listener(), data(BATCH, TIME, WIDTH)
    stream = program.inference.stream(batch=BATCH)
    stream.step(x=x[:, 0], **feeds_held())
    good, before = stream.state_bytes(), flat(stream.state)
    wrong = [b"", b"no state", good[:-1], good + b"!", good[:50]]
    for place in (3, 40, len(good) // 2, len(good) - 1):
        wrong.append(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
    for bad in wrong:
        with pytest.raises(rg.FileError):
            stream.load_state_bytes(bad)
    with pytest.raises(rg.DtypeError, match="load_state_bytes takes bytes"):
        stream.load_state_bytes("text")  # type: ignore[arg-type]
    with pytest.raises(rg.ShapeError, match="the saved state has 5 rows, and this stream has 2"):
        program.inference.stream(batch=2).load_state_bytes(good)
    with pytest.raises(rg.StructureError, match="this stream carries"):
        listener("float64").inference.stream(batch=BATCH).load_state_bytes(good)
    other = rg.compile(rg.dynamic_rnn(rg.GRUCell(UNITS), rg.placeholder("x", (None, None, WIDTH)))[0])
    with pytest.raises(rg.StructureError, match="this stream carries"):
        other.inference.stream(batch=BATCH).load_state_bytes(good)
    for ours, old in zip(flat(stream.state), before, strict=True):
        np.testing.assert_array_equal(ours, old)


@pytest.mark.parametrize(
    "rows",
    [
        BATCH,
        [0, -6],
        [True, False],
        np.ones((BATCH, 1), bool),
        True,
        1.0,
        "all",
        slice("a", "b"),
    ],
)
def test_wrong_rows(rows: Any) -> None:
    program, x = listener(), data(BATCH, TIME, WIDTH)
    stream = program.inference.stream(batch=BATCH)
    stream.step(x=x[:, 0], **feeds_held())
    before = flat(stream.state)
    for call in (
        lambda: stream.step(x=x[:, 1], rows=rows),
        lambda: stream.process(x=x, rows=rows),
        lambda: stream.reset(rows=rows),
    ):
        with pytest.raises(rg.ShapeError, match="does not index a batch of 5") as raised:
            call()
        assert "test_stream.py:" in str(raised.value)
    for ours, old in zip(flat(stream.state), before, strict=True):
        np.testing.assert_array_equal(ours, old)


def test_some_rows_of_a_stream_with_fed_and_constant_numbers_of_rows() -> None:
    ids, which = rg.placeholder("ids", (None, None), "int64"), rg.placeholder("which", (None,), "int64")
    table = rg.parameter("table", (4, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(3), rg.gather(table, ids) + rg.gather(table, which)[:, None])
    program = rg.compile(outputs, seed=0)
    fed, kept = np.array([[0, 3], [1, 1], [2, 1]]), np.array([1, 0, 3])
    whole = program.inference(ids=fed, which=kept)
    stream = program.inference.stream(batch=3)
    first = stream.step(ids=fed[:, 0], which=kept, rows=[0, 2])
    np.testing.assert_array_equal(first[[0, 2]], whole[[0, 2], 0])
    second = stream.step(ids=fed[:, 1], which=kept, rows=[2, 0])
    np.testing.assert_array_equal(second[[0, 2]], whole[[0, 2], 1])
    assert not first[1].any()
    assert not second[1].any()
    for wrong in ({"ids": np.array([0, 0, 4])}, {"ids": fed[:, 0], "which": np.array([0, -1, 0])}):
        before = stream.state
        with pytest.raises(rg.ShapeError, match=r"0\.\.3"):
            stream.step(rows=[0, 2], **wrong)
        np.testing.assert_array_equal(stream.state, before)


def test_a_step_of_some_rows_computes_these_alone() -> None:
    program, x = listener(), data(70, 3, WIDTH)
    stream = program.inference.stream(batch=70)
    feeds = {"knob": np.float32(0.5), "memory": data(70, 6, UNITS)}
    whole = program.inference(x=x, **feeds)
    stream.step(x=x[:, 0], **feeds)
    prepared = stream._prepared_step
    assert prepared is not None
    assert prepared._some_rows is not None
    counts: list[int] = []
    run = prepared._some_rows._steps.run
    prepared._some_rows._steps.run = lambda count: (counts.append(count), run(count))[1]  # type: ignore[method-assign]
    for rows in ([3], list(range(1, 70, 2)), [], [True] * 70):
        stream.reset()
        stream.step(x=x[:, 0])
        given_rows = stream.step(x=x[:, 1], rows=rows)
        chosen = np.flatnonzero(np.isin(np.arange(70), rows)) if rows != [True] * 70 else np.arange(70)
        same(
            {"outputs": given_rows["outputs"][chosen], "more": {"scores": given_rows["more"]["scores"][chosen]}},
            {"outputs": whole["outputs"][chosen, 1], "more": {"scores": whole["more"]["scores"][chosen, 1]}},
        )
    assert counts == [1, 35, 0, 70]
