"""Checks of each net: the largest difference from its engine, streaming, and export."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg
from rnngraph.declare.nest import paths

from .model import Arrays, Model

TIME = 1
"""Time axis of inputs and outputs."""


def largest_difference(model: Model) -> float:
    """Return the largest difference from the engine over all calls, relative to max(1, the output's largest value)."""
    worst = 0.0
    for feeds in model.feeds:
        theirs = model.engine(feeds)
        own: Any = model.ours(feeds) if model.ours else dict(paths(dict(model.program.inference(feeds))))
        assert own.keys() == theirs.keys(), (own.keys(), theirs.keys())
        for name, array in theirs.items():
            assert own[name].shape == array.shape, (name, own[name].shape, array.shape)
            scale = max(1.0, float(np.abs(array).max(initial=0.0)))
            worst = max(worst, float(np.abs(np.subtract(own[name], array, dtype=np.float64)).max()) / scale)
    return worst


def streams(model: Model) -> str:
    """Return ``"yes"`` if steps of a stream equal calls bit for bit, ``"no"`` if the graph cannot be streamed.

    Raises:
        AssertionError: The bits differ.
    """
    try:
        model.program.inference.stream()
    except rg.GraphError:
        return "no"
    for feeds in model.feeds:
        (_carried if model.states else _whole)(model, feeds)
    return "yes"


def _whole(model: Model, feeds: Arrays) -> None:
    """Compare the steps of a stream with a call on the whole sequence."""
    axis = model.time
    moving = {name: array for name, array in feeds.items() if name not in model.held}
    held_feeds = {name: feeds[name] for name in model.held}
    first = next(iter(moving.values()))
    stream = model.program.inference.stream(batch=first.shape[1 - axis])
    whole = model.program.inference(feeds)
    for step in range(first.shape[axis]):
        result = stream.step({**held_feeds, **{name: array.take(step, axis) for name, array in moving.items()}})
        if model.last:
            so_far = {name: array.take(range(step + 1), axis) for name, array in moving.items()}
            whole = model.program.inference({**held_feeds, **so_far})
        for name in result:
            wanted = whole[name] if model.last else np.take(whole[name], step, axis)
            np.testing.assert_array_equal(result[name], wanted)


def _carried(model: Model, feeds: Arrays) -> None:
    """Compare steps of a stream with calls of one step, each fed with the states of the previous call."""
    kept = dict(model.states)
    inputs = {name: array for name, array in feeds.items() if name not in kept.values()}
    states: dict[str, Any] = {name: np.zeros_like(feeds[name]) for name in kept.values()}
    rows = next(iter(inputs.values())).shape[0]
    stream = model.program.inference.stream(batch=rows)
    for step in range(4):
        scaled = {name: array * np.float32(1 + step) for name, array in inputs.items()}
        called, result = model.program.inference({**scaled, **states}), stream.step(scaled)
        states = {placeholder: called[output] for output, placeholder in kept.items()}
        for name in result:
            np.testing.assert_array_equal(result[name], called[name])


def exports(model: Model, folder: Path, streamed: str) -> str:
    """Export a net, run the export's self-test, and return the exported form; the reason if it can't be exported.

    Args:
        model: The net.
        folder: Folder for the exported files.
        streamed: Result of ``streams``.
    """
    form = "stream" if streamed == "yes" else "sequence"
    try:
        model.program.inference.export(folder, name="net", form=form, link=False)
    except rg.RnnGraphError as error:
        return f"no: {error.what}"
    build = ["cc", "-O1", "-o", "self_test", "net_test.c", "net.o", "-lm"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    done = subprocess.run([folder / "self_test"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("ok"), done.stdout
    return form
