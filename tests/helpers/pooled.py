"""Check that a pool of streams has the bits of streams of one row each, opened, closed and stepped in any order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from declaration_checks import CheckError, cut, flat
from declarations import Declaration

import rnngraph as rg

Arrays = dict[str, np.ndarray]


class Alone:
    """One row of a declaration: the row's feeds, step by step, and the results of a stream of this row alone."""

    def __init__(self, declaration: Declaration, program: rg.Program, inputs: Arrays, row: int) -> None:
        self.declaration, stream = declaration, program.inference.stream()
        self.stream = stream
        mine = {name: self._row(name, array, row) for name, array in inputs.items()}
        self.held = {name: array for name, array in mine.items() if "T" not in declaration.feeds[name].axes}
        rate, time = stream.rate, declaration.time
        self.fed = [
            self._squeezed(cut(declaration, mine, first, first + rate, only_sequences=True))
            for first in range(0, time - rate + 1, rate)
        ]
        self.given = [flat(stream.step({**step, **self.held})) for step in self.fed]
        self.left = cut(declaration, mine, len(self.fed) * rate, time, only_sequences=True)
        self.state = stream.state

    def _row(self, name: str, array: np.ndarray, row: int) -> np.ndarray:
        axes = list(self.declaration.feeds[name].axes)
        return np.take(array, [row], axes.index("B")) if "B" in axes else array

    def _squeezed(self, fed: Arrays) -> Arrays:
        left_out = self.stream._graph.axes.omitted
        return {
            name: array if (axis := left_out[name]) is None else np.squeeze(array, axis) for name, array in fed.items()
        }

    def row_axis(self, name: str) -> int | None:
        """Return the batch axis of a step's feed; None for a feed without a symbolic batch axis."""
        axes, left_out = list(self.declaration.feeds[name].axes), self.stream._graph.axes.omitted[name]
        # no symbolic batch axis: an axis declared as 1 need not be the batch
        if "B" not in axes or not self.stream._graph.rows.names:
            return None
        place = axes.index("B")
        return place - (left_out is not None and left_out < place)

    def without_rows(self, fed: Arrays) -> Arrays:
        """Return feeds of a step for a stream of one row, without the batch axis."""
        return {
            name: array if (axis := self.row_axis(name)) is None else np.squeeze(array, axis)
            for name, array in fed.items()
        }


def streams_alone(declaration: Declaration, program: rg.Program, arrays: Arrays) -> list[Alone]:
    """Return streams of single rows; none if the declaration has no steps, or a fixed batch size."""
    try:
        stream = program.inference.stream()
    except (rg.GraphError, rg.ShapeError):
        return []
    feeds = {name: array for name, array in arrays.items() if name in stream._types}
    axes = {name: [*declaration.feeds[name].axes] for name in feeds}
    steps = {name: axes[name].index("T") if "T" in axes[name] else None for name in feeds}
    if steps != {name: stream._time_axis[name] for name in feeds} or set(steps.values()) <= {None}:
        return []  # no steps, or other time axes than those declared
    try:
        return [Alone(declaration, program, feeds, row) for row in range(min(declaration.batch, 4))]
    except rg.ShapeError:  # a fixed number of rows, or sizes that one row does not have
        return []


def check_pool(declaration: Declaration, program: rg.Program, arrays: Arrays, seed: int = 0) -> bool:
    """Compare a pool with single streams. Return False if there are none."""
    rows = streams_alone(declaration, program, arrays)
    if not rows or not rows[0].fed:
        return False
    draw, pool = np.random.default_rng(seed), program.inference.streams(1)
    live: dict[Any, list[int]] = {}  # by handle: [row of the feeds, next step of the row]
    waiting = [row for row in range(len(rows)) for _ in range(2)]
    try:
        while live or waiting:
            while waiting and (not live or draw.random() < 0.6):
                row = waiting.pop(int(draw.integers(len(waiting))))
                live[pool.open(rows[row].held)] = [row, 0]
            chosen = [handle for handle in live if draw.random() < 0.6]
            _step(declaration, pool, rows, {handle: live[handle] for handle in chosen}, int(draw.integers(3)))
            for handle in chosen:
                live[handle][1] += 1
            for handle in [handle for handle, (row, step) in live.items() if step == len(rows[row].fed)]:
                _compare_states(declaration, pool.state(handle), rows[live.pop(handle)[0]].state)
                pool.close(handle)
    except rg.ShapeError as error:
        assert "is known only from a step's feeds" in str(error)  # noqa: PT017
        return False
    return True


def _step(declaration: Declaration, pool: Any, rows: list[Alone], live: dict[Any, list[int]], form: int) -> None:
    """Step some streams of a pool, and check the results.

    ``form`` is 0 for feeds of all streams joined in one array, 1 for one feed per stream with a batch axis, and 2 for
    one feed per stream without a batch axis.
    """
    if not live:
        return
    mine = [(rows[row], rows[row].fed[step], rows[row].given[step]) for row, step in live.values()]
    if form == 0:
        joined = {}
        for name in mine[0][1]:
            axis, parts = mine[0][0].row_axis(name), [fed[name] for _, fed, _ in mine]
            joined[name] = np.stack(parts) if axis is None else np.concatenate(parts, axis)
        actual = list(_parts(declaration, mine[0][0], flat(pool.step_rows(list(live), joined)), len(mine)))
    else:
        feeds = [fed if form == 1 else alone.without_rows(fed) for alone, fed, _ in mine]
        result = pool.step(dict(zip(live, feeds, strict=True)))
        actual = [flat(result[handle]) for handle in live]
    for (_, fed, expected), got in zip(mine, actual, strict=True):
        assert got.keys() == expected.keys()
        for name, array in expected.items():
            same = got[name].size == array.size and np.array_equal(np.ravel(got[name]), np.ravel(array), equal_nan=True)
            if not same or (form == 1 and got[name].shape != array.shape):
                raise CheckError(declaration, f"pool, form {form}", f"{name}\n{got[name]}\nis not\n{array}")
        assert fed


def _parts(declaration: Declaration, alone: Alone, whole: Arrays, count: int) -> Iterator[Arrays]:
    """Yield each stream's part of joined results."""
    for number in range(count):
        results = {}
        for name, array in whole.items():
            axes = [str(item) for item in declaration.outputs[name].axes]
            left_out = alone.stream._graph.axes.outputs_omitted[name]
            has_rows = [item for item in axes if "B" in item] == ["B"] and bool(alone.stream._graph.rows.names)
            place = axes.index("B") if has_rows else 0
            place -= has_rows and left_out is not None and left_out < place
            results[name] = np.take(array, number, place)
        yield results


def _compare_states(declaration: Declaration, ours: Any, theirs: Any) -> None:
    from rnngraph.declare.nest import paths

    for (name, mine), (_, other) in zip(paths({"state": ours}), paths({"state": theirs}), strict=True):
        if not np.array_equal(mine, other, equal_nan=True):
            raise CheckError(declaration, "pool", f"state {name}\n{mine}\nis not\n{other}")
