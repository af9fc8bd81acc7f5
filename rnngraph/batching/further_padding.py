"""Variants of one row of a batch: without padding, with more padding, and with other padding values.

A correct result for the row is the same in all variants.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..support.records import dataclass
from .batches import Batch

Feeds = dict[str, np.ndarray]


@dataclass(frozen=True)
class TimeAxes:
    """Batch axis and time axis of a fed array.

    Attributes:
        batch: Batch axis; None for an array that all rows share.
        time: Time axis.
        offset: Steps of the array minus those of the clock.
    """

    batch: int | None
    time: int
    offset: int

    def steps(self, array: np.ndarray, stop: int) -> np.ndarray:
        """Return an array's first ``stop`` steps, plus its offset."""
        return array[(slice(None),) * self.time + (slice(0, max(stop + self.offset, 0)),)]


@dataclass(frozen=True)
class PaddedRow:
    """Shortest row of a batch, with the padding that it has in training.

    Attributes:
        feeds: Arrays of the row, in a batch of one, or of copies if the batch size is declared.
        longest: Arrays of the longest row, in the same form.
        sequences: Axes of the arrays that have the clock.
        example: Index of the row among all examples.
        steps: Steps without padding.
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
        """Number of steps if the row's padding is doubled."""
        return 2 * self.padded - self.steps

    @property
    def offsets(self) -> set[int]:
        """Distinct offsets of the arrays from the clock."""
        return {axes.offset for axes in self.sequences.values()}

    def alone(self) -> Feeds:
        """Return the row's feeds, cut to its own steps, without padding."""
        cut = {name: axes.steps(self.feeds[name], self.steps) for name, axes in self.sequences.items()}
        return {**self.feeds, **cut}

    def padded_further(self) -> Feeds:
        """Return the row's feeds with twice the padding, by repeating the last padded step."""
        feeds = dict(self.feeds)
        for name, axes in self.sequences.items():
            last = feeds[name].take([-1], axes.time)
            more = np.repeat(last, self.further - self.padded, axes.time)
            feeds[name] = np.concatenate([feeds[name], more], axes.time)
        return feeds

    def refilled(self) -> Feeds:
        """Return the row's feeds with steps of the longest row in place of padding. Masks are unchanged."""
        feeds = dict(self.feeds)
        for name, axes in self.sequences.items():
            real = axes.steps(feeds[name], self.steps)
            if axes.batch is not None and not _is_mask(np.append(real, self.longest[name])):
                rest = np.delete(self.longest[name], range(real.shape[axes.time]), axes.time)
                feeds[name] = np.concatenate([real, rest], axes.time)
        return feeds


def _is_mask(values: np.ndarray) -> bool:
    """True for bools, and for arrays of one repeated value, such as 1."""
    return values.dtype == bool or bool((values == values.flat[0]).all())


def padded_row(batch: Batch, clock: str) -> PaddedRow | None:
    """Return the shortest row of a batch with its feeds; None if all rows have equally many steps of ``clock``.

    If the batch is cut into windows, return the row within the window in which it ends.
    """
    examples, steps = batch.examples, batch.examples.real_steps(batch.rows).get(clock)
    axes = {name: TimeAxes(*fields) for name, fields in examples.sequences(clock).items()}
    if steps is None or not axes or not len(steps):
        return None
    places = [int(steps.argmin()), int(steps.argmax())]
    ends, (least, max_steps) = batch.rows[places], (int(steps[place]) for place in places)
    if least == max_steps:
        return None
    copies = len(batch.rows) if examples.has_declared_batch else 1
    start = 0
    shortest, longest = (examples.feeds(np.repeat(row, copies), longest_row=ends[1]) for row in ends)
    if examples.window is not None:
        start = max(least - 1, 0) // examples.window * examples.window
        shortest, longest = (examples.cut(feeds, start, start + examples.window) for feeds in (shortest, longest))
        max_steps = min(max_steps, start + examples.window)
    if least == max_steps:
        return None
    return PaddedRow(shortest, longest, axes, int(ends[0]), least - start, max_steps - start)
