"""One row of a batch alone, and with padding of several lengths and numbers.

They tell whether padding shows: what is right for a row by itself is the same for any padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .batches import Batch

Feeds = dict[str, np.ndarray]


@dataclass(frozen=True)
class TimeAxes:
    """Axes of a fed array. batch: None for an array that all rows share. offset: its steps less those of the clock."""

    batch: int | None
    time: int
    offset: int

    def steps(self, array: np.ndarray, stop: int) -> np.ndarray:
        """Return the first ``stop`` steps of the clock."""
        return array[(slice(None),) * self.time + (slice(0, max(stop + self.offset, 0)),)]


@dataclass(frozen=True)
class PaddedRow:
    """The shortest row of a batch, padded as it is trained on, in one clock.

    Args:
        feeds: Arrays of the row, in a batch of one or of as many copies as are declared.
        longest: Arrays of the longest row, in the same form.
        sequences: Axes of those arrays that have the clock.
        example: Number of the row among all examples.
        steps: Its real steps.
        padded: Steps with padding.
    """

    feeds: Feeds
    longest: Feeds
    sequences: Mapping[str, TimeAxes]
    example: int
    steps: int
    padded: int

    @property
    def further(self) -> int:
        """Steps with about twice as much padding."""
        return 2 * self.padded - self.steps

    @property
    def offsets(self) -> set[int]:
        """The different numbers of steps that arrays have more than the clock."""
        return {axes.offset for axes in self.sequences.values()}

    def alone(self) -> Feeds:
        """Return feeds without padding."""
        cut = {name: axes.steps(self.feeds[name], self.steps) for name, axes in self.sequences.items()}
        return {**self.feeds, **cut}

    def padded_further(self) -> Feeds:
        """Return feeds with more steps, each a copy of the last one, which is padding."""
        feeds = dict(self.feeds)
        for name, axes in self.sequences.items():
            last = feeds[name].take([-1], axes.time)
            more = np.repeat(last, self.further - self.padded, axes.time)
            feeds[name] = np.concatenate([feeds[name], more], axes.time)
        return feeds

    def refilled(self) -> Feeds:
        """Return feeds with steps of the longest row as padding. Masks, which tell padding apart, stay."""
        feeds = dict(self.feeds)
        for name, axes in self.sequences.items():
            real = axes.steps(feeds[name], self.steps)
            if axes.batch is not None and not _is_mask(np.append(real, self.longest[name])):
                rest = np.delete(self.longest[name], range(real.shape[axes.time]), axes.time)
                feeds[name] = np.concatenate([real, rest], axes.time)
        return feeds


def _is_mask(values: np.ndarray) -> bool:
    """True if all real steps have one value, such as 1."""
    return values.dtype == bool or bool((values == values.flat[0]).all())


def padded_row(batch: Batch, clock: str) -> PaddedRow | None:
    """Return the shortest row of a batch; None where no row is padded in ``clock``.

    Where windows cut the batch, the row is that of the window in which it ends.
    """
    examples, steps = batch.examples, batch.examples.real_steps(batch.rows).get(clock)
    axes = {name: TimeAxes(*found) for name, found in examples.sequences(clock).items()}
    if steps is None or not axes or not len(steps):
        return None
    places = [int(steps.argmin()), int(steps.argmax())]
    ends, (least, most) = batch.rows[places], (int(steps[place]) for place in places)
    if least == most:
        return None
    copies = len(batch.rows) if examples.has_declared_batch else 1
    start = 0
    shortest, longest = (examples.feeds(np.repeat(row, copies), longest_row=ends[1]) for row in ends)
    if examples.window is not None:
        start = max(least - 1, 0) // examples.window * examples.window
        shortest, longest = (examples.cut(feeds, start, start + examples.window) for feeds in (shortest, longest))
        most = min(most, start + examples.window)
    if least == most:
        return None
    return PaddedRow(shortest, longest, axes, int(ends[0]), least - start, most - start)
