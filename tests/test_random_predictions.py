"""``predict`` over random declarations has the bits of each example alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from declarations import Declaration, declare

import rnngraph as rg
from rnngraph.batching.examples import Layout
from rnngraph.batching.input_axes import layout_of
from rnngraph.program import predict as prediction
from rnngraph.program.example_inputs import example_inputs

EXAMPLES, BATCH_SIZE = 5, 3
QUICK = (3, 8, 13, 27, 38, 55)


def program_of(declaration: Declaration) -> rg.Program | None:
    """Return a program of the outputs whose rows are independent; None if there are none."""
    names = declaration.run()
    separate = {name for name, value in declaration.outputs.items() if value.row_wise and "B" in value.axes}
    outputs = {name: tensor for name, tensor in names["outputs"].items() if name in separate}
    return rg.compile(outputs) if outputs else None


def steps_of(declaration: Declaration, layout: Layout) -> list[int]:
    """Return each example's number of steps: different ones, if all feeds have an open length."""
    closed = False
    for name in layout.types:
        timed = layout.batch_axis.get(name) is not None and any("T" in str(a) for a in declaration.feeds[name].axes)
        axis = layout.time_axis.get(name)
        closed |= timed and (axis is None or isinstance(layout.types[name].shape[axis], int))
    if closed:
        return [declaration.time] * EXAMPLES
    return np.random.default_rng(declaration.seed).integers(1, max(declaration.time, 2) + 1, EXAMPLES).tolist()


def rows_of(declaration: Declaration, layout: Layout, steps: list[int]) -> list[dict[str, np.ndarray]]:
    """Return the feeds of each example alone, in a batch of one."""
    whole = declaration.arrays(batch=EXAMPLES, time=max(steps))
    results = []
    for number, count in enumerate(steps):
        feeds = {}
        for name in layout.types:
            feed, array, batch_axis = declaration.feeds[name], whole[name], layout.batch_axis.get(name)
            for axis, size in enumerate(feed.axes):
                if "T" in str(size):
                    array = array.take(range(declaration.size(size, time=count)), axis)
            if batch_axis is not None:
                array = array.take([number], batch_axis)
            if feed.high is not None:
                maximum = max(0, declaration.size(feed.high, batch=1, time=count))
                array = np.full_like(array, maximum) if name in layout.counts else np.minimum(array, maximum)
            feeds[name] = array
        results.append(feeds)
    return results


def examples_of(layout: Layout, rows: list[dict[str, np.ndarray]], whole: dict[str, np.ndarray]) -> dict[str, Any]:
    examples: dict[str, Any] = {}
    for name in layout.types:
        axis = layout.batch_axis.get(name)
        if axis is None:
            examples[name] = whole[name]
            continue
        items = [row[name].take(0, axis) for row in rows]
        examples[name] = np.stack(items) if layout.time_axis.get(name) is None else items
    return examples


def check(seed: int) -> bool:
    """Return True if there is an output to predict."""
    declaration = declare(seed)
    program = program_of(declaration)
    if program is None:
        return False
    layout = layout_of(example_inputs(program.inference, program.evaluation, program.training), only_run=True)
    batch_axes = {name: axis for name, axis in layout.batch_axis.items() if name in layout.types and axis is not None}
    if not batch_axes:
        return False
    steps = steps_of(declaration, layout)
    rows = rows_of(declaration, layout, steps)
    declared = {dim for name, axis in batch_axes.items() if isinstance(dim := layout.types[name].shape[axis], int)}
    try:
        alone = [
            program.inference(
                {
                    name: array.repeat(max(declared, default=1), batch_axes[name]) if name in batch_axes else array
                    for name, array in row.items()
                }
            )
            for row in rows
        ]
    except rg.RnnGraphError:  # declarations that can't be called can't be predicted
        return False
    whole = declaration.arrays(batch=EXAMPLES, time=max(steps))
    actual = program.predict(examples_of(layout, rows, whole), batch_size=BATCH_SIZE)
    for output in prediction.outputs_of(program.inference, layout, None):
        if output.batch_axis is None:
            continue
        for number, single in enumerate(alone):
            wanted, ours = single[output.name].take(0, output.batch_axis), actual[output.name][number]
            assert ours.shape == wanted.shape, (output.name, number, declaration.text())
            assert ours.tobytes() == np.ascontiguousarray(wanted).tobytes(), (output.name, number, declaration.text())
    return True


@pytest.mark.parametrize("seed", QUICK)
def test_random_declarations(seed: int) -> None:
    assert check(seed)


@pytest.mark.exhaustive
def test_many_random_declarations() -> None:
    """Most random programs can predict; padding is safe for some of them, and not for others."""
    shown: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        judge = prediction.shows_padding
        patch.setattr(prediction, "shows_padding", lambda *a: shown.append(judge(*a)) or shown[-1])
        predicted = sum(check(seed) for seed in range(1000, 1400))
    assert predicted > 300
    assert shown.count(True) > 20
    assert shown.count(False) > 20
