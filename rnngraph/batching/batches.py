"""Mini-batches of a user's examples: order, padding, and windows in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..ir.types import INTEGERS, Size
from ..support.arguments import whole_number
from ..support.errors import ArgumentError, DtypeError, NameLookupError, ShapeError, Where, shown
from .clocks import clock_of, steps_by_clock, uneven_text
from .examples import Examples, ExampleSpec, Layout, Listed, Stacked, Whole, read_examples

__all__ = ["Batch", "Batches", "Layout"]

BATCHES_OF_A_POOL = 50
"""Batches per pool of examples that is sorted by length. Larger pools need less padding but are less random."""
ALL = slice(None)


class Batch(NamedTuple):
    """Examples that run together: their source, and their row numbers in it."""

    examples: Batches
    rows: np.ndarray

    def feeds(self, own: slice = ALL) -> dict[str, np.ndarray]:
        """Return the feeds of the rows that ``own`` selects, padded as in the whole batch."""
        return self.examples.feeds(self.rows, own)

    @property
    def longest(self) -> int | None:
        """Number of steps of the longest row; None if no placeholder takes lengths."""
        return self.examples.longest_of(self.rows)


class Batches:
    """Mini-batches of examples, in an order that depends only on (seed, epoch).

    Args:
        examples: Examples by placeholder: an array [examples, …], or a list of arrays of possibly different length.
            An example has the placeholder's shape without the batch axis. The array of a placeholder without batch
            axis is fed unchanged with each batch.
        layout: Axes of the placeholders.
        batch_size: Examples per batch; None for a single batch.
        shuffle: Permute the examples in each epoch.
        seed: Seed of the permutations.
        lengths: Placeholder of the row lengths, int [batch]. If ``examples`` lack it, it is filled in.
        window: Steps per window of truncated backpropagation through time; None for whole sequences.
        bucket: Put examples of similar length into the same batch. No effect without ``shuffle``.
        where: The user's line, for errors.

    Raises:
        ShapeError, DtypeError, ArgumentError, NameLookupError: The examples do not match the placeholders. The message
            names the placeholder and the example.
    """

    def __init__(
        self,
        examples: Mapping[str, Any],
        layout: Layout,
        *,
        batch_size: int | None,
        shuffle: bool = True,
        seed: int = 0,
        lengths: str | None = None,
        window: int | None = None,
        bucket: bool = True,
        where: Where | None = None,
    ) -> None:
        size = None if batch_size is None else whole_number(batch_size, "batch_size", 1)
        self.window = None if window is None else whole_number(window, "window", 1)
        self.shuffle, self.seed, self._lengths = shuffle, whole_number(seed, "seed"), lengths
        self._layout = layout
        specs = _specs(examples, layout, lengths, where)
        fed = [spec for spec in specs.values() if spec.name in examples]
        self._columns = {
            spec.name: read_examples(spec, examples[spec.name], where) for spec in fed if spec.batch_axis is not None
        }
        self._wholes = [Whole(spec, examples[spec.name], where) for spec in fed if spec.batch_axis is None]
        self.count = _count(self._columns, layout, where)
        self.batch_size = max(self.count, 1) if size is None else size
        if not layout.only_run:
            _check_declared_batch(specs.values(), self.batch_size, self.count, where)

        self._clocks = {spec.name: clock_of(spec.steps) for spec in fed if spec.steps is not None}
        self._time_axes = {spec.name: spec.time_axis for spec in fed if spec.time_axis is not None}
        self._steps = steps_by_clock(self._columns, self._clocks, where)
        """Steps of each example without padding, by clock."""
        self._lengths_spec = specs[lengths] if lengths is not None else None
        known = self._known_lengths(where)
        self._real = known if known is not None else next(iter(self._steps.values()), None)
        self._bucketed = bool(bucket) and self._real is not None and bool((self._real != self._real[:1]).any())
        self._check_wholes(where)
        if self.window is not None:
            self.check_windows(where)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.count // self.batch_size)

    @property
    def longest(self) -> int:
        """Number of steps of the longest example; 0 if no input has a time axis."""
        lengths = [whole.longest for whole in self._wholes if whole.longest is not None]
        return int(self._real.max()) if self._real is not None else max(lengths, default=0)

    def real_steps(self, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return {name of a time size: number of steps of each example, without padding}.

        Args:
            rows: Row numbers of the examples; None for all.
        """
        rows = np.arange(self.count) if rows is None else rows
        steps = {clock: lengths[rows] for clock, lengths in self._steps.items()}
        for name, dim in self._layout.counts.items():
            clock = clock_of(dim)
            if clock.name in steps and name in self._columns:
                steps[clock.name] = np.asarray(self._columns[name].take(rows, None)).astype(np.int64) - clock.offset
        return steps

    def wholes(self) -> dict[str, np.ndarray]:
        """Return {placeholder: array} for the arrays without batch axis, which each batch gets unchanged."""
        return {whole.spec.name: whole.take(np.empty(0, np.intp), None) for whole in self._wholes}

    def real_values(self, name: str) -> np.ndarray:
        """Return a placeholder's values in all examples, without padding: [examples, or all their steps, …]."""
        column = self._columns[name]
        if name not in self._clocks:
            return np.asarray(column.take(np.arange(self.count), None))
        clock, axes = self._clocks[name], (column.spec.batch_axis or 0, column.spec.time_axis or 0)
        steps = self.real_steps()[clock.name] + clock.offset
        rows = (column.take(np.array([row]), int(count)) for row, count in enumerate(steps))
        return np.concatenate([np.moveaxis(row, axes, (0, 1))[0] for row in rows])

    def known_sizes(self) -> dict[str, int]:
        """Return {name of an axis's size: its value}, where examples in one array determine the value."""
        sizes: dict[str, int] = {}
        for column in self._columns.values():
            shape = column.values.shape[1:] if isinstance(column, Stacked) else ()
            for dim, actual in zip(column.spec.example_shape, shape, strict=False):
                if isinstance(dim, Size) and dim.symbol is not None:
                    sizes.setdefault(dim.symbol, actual)
        return sizes

    def fed_clocks(self) -> set[str]:
        """Return the names of time sizes for which the user feeds row lengths."""
        clocks = {clock_of(dim).name for name, dim in self._layout.counts.items() if name in self._layout.types}
        if self._lengths is not None and self._lengths not in self._layout.counts and self._one_clock(self._columns):
            clocks |= self._steps.keys()
        return clocks

    def sequences(self, clock: str) -> dict[str, tuple[int | None, int, int]]:
        """Return {placeholder: (batch axis, time axis, offset)} where the number of steps is ``clock`` + offset."""
        return {
            name: (self._layout.batch_axis.get(name), self._time_axes[name], own.offset)
            for name, own in self._clocks.items()
            if own.name == clock and not own.fixed
        }

    @property
    def has_declared_batch(self) -> bool:
        """True if a placeholder is declared with a fixed number of rows."""
        kinds, axes = self._layout.types, self._layout.batch_axis
        fed = ((kinds[name], axis) for name, axis in axes.items() if name in kinds and axis is not None)
        return any(isinstance(kind.shape[axis], int) for kind, axis in fed)

    # Order ---------------------------------------------------------------------------------------

    def restarted(self) -> Batches:
        """Return these batches, from the first one."""
        return self

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, beginning with number ``first`` (from 0)."""
        for rows in self.order(number)[first:]:
            yield Batch(self, rows)

    def steps_of_epoch(self, number: int, first: int, warm_up: int) -> tuple[int | None, int]:
        """Return (training steps of an epoch, steps of the batches before ``first``)."""
        windows = [self.count_windows(rows, warm_up) for rows in self.order(number)]
        return sum(windows), sum(windows[:first])

    def order(self, epoch: int) -> list[np.ndarray]:
        """Return arrays of row numbers, one for each batch of an epoch. Each example occurs once."""
        if not self.shuffle:
            return self._cut(np.arange(self.count))
        generator = np.random.Generator(np.random.Philox(key=np.array([self.seed % 2**64, epoch], np.uint64)))
        rows = generator.permutation(self.count)
        if not self._bucketed:
            return self._cut(rows)
        assert self._real is not None
        pool = self.batch_size * BATCHES_OF_A_POOL
        for start in range(0, self.count, pool):
            part = rows[start : start + pool]
            rows[start : start + pool] = part[np.argsort(self._real[part], kind="stable")]
        batches = self._cut(rows)
        return [batches[index] for index in generator.permutation(len(batches))]

    def _cut(self, rows: np.ndarray) -> list[np.ndarray]:
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]

    # Feeds ---------------------------------------------------------------------------------------

    def feeds(
        self, rows: np.ndarray | Sequence[int], own: slice = ALL, longest_row: int | None = None
    ) -> dict[str, np.ndarray]:
        """Return {placeholder: array} for a batch of ``rows``, zero-padded to its longest example.

        Args:
            rows: Row numbers of the batch.
            own: Selection of the rows to return.
            longest_row: Row number of a further example, to whose length the batch is also padded.
        """
        rows = np.asarray(rows, np.intp)
        padded = rows if longest_row is None else np.append(rows, longest_row)
        longest = {clock: int(steps[padded].max()) for clock, steps in self._steps.items()}
        rows = rows[own]
        feeds = {name: column.take(rows, self._extent(column.spec, longest)) for name, column in self._columns.items()}
        feeds |= {whole.spec.name: whole.take(rows, self._extent(whole.spec, longest)) for whole in self._wholes}
        if self._lengths_spec is not None and self._lengths_spec.name not in feeds:
            assert self._real is not None
            feeds[self._lengths_spec.name] = self._real[rows].astype(self._lengths_spec.dtype)
        return feeds

    def _extent(self, spec: ExampleSpec, longest: Mapping[str, int]) -> int | None:
        """Return the number of steps of a placeholder in a batch; None if its array is not padded."""
        if isinstance(spec.steps, int):
            return spec.steps
        clock = self._clocks.get(spec.name)
        return longest[clock.name] + clock.offset if clock is not None and clock.name in longest else None

    def longest_of(self, rows: np.ndarray) -> int | None:
        """Return the number of steps of the longest of ``rows``; None if no placeholder takes lengths."""
        return None if self._lengths is None or self._real is None else int(self._real[rows].max())

    def windows(
        self, feeds: Mapping[str, np.ndarray], first: int = 0, longest: int | None = None
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yield (steps, {placeholder: array}) for consecutive windows in time of a batch. The last may be shorter.

        Without ``window``, everything from step ``first`` is one window, and from step 0 the pair is (1, ``feeds``).
        Lengths are relative to the window, and arrays without time axis whole. No window is beyond the longest row.

        Args:
            feeds: Feeds of one batch.
            first: Step at which the first window begins.
            longest: Steps of the batch's longest row, if ``feeds`` holds only some of its rows.
        """
        if self.window is None and not first:
            yield 1, dict(feeds)
            return
        total = self.steps(feeds, longest)
        span = total if self.window is None else self.window
        for start in range(first, total, span):
            yield min(span, total - start), self.cut(feeds, start, start + span)

    def count_windows(self, rows: np.ndarray, first: int = 0) -> int:
        """Return the number of windows in time into which a batch of ``rows`` is cut."""
        if self.window is None and not first:
            return 1
        known, clock = next(iter(self._steps.values()), None), next(iter(self._clocks.values()))
        total = self.longest if known is None else int(known[rows].max()) + clock.offset
        if self._lengths_spec is not None and self._real is not None:
            total = min(total, int(self._real[rows].max()))
        return max(0, -(-(total - first) // (self.window or total)))

    def steps(self, feeds: Mapping[str, np.ndarray], longest: int | None = None) -> int:
        """Return the number of steps of a batch's longest row."""
        total = max(feeds[name].shape[axis] for name, axis in self._time_axes.items())
        if longest is None and self._lengths is not None:
            longest = int(feeds[self._lengths].max())
        return total if longest is None else min(total, longest)

    def cut(self, feeds: Mapping[str, np.ndarray], start: int, stop: int) -> dict[str, np.ndarray]:
        """Return a batch's feeds from step ``start`` to below ``stop``, with lengths relative to ``start``."""
        cut = dict(feeds)
        for name, axis in self._time_axes.items():
            cut[name] = feeds[name][(slice(None),) * axis + (slice(start, stop),)]
        if self._lengths is not None:
            cut[self._lengths] = np.clip(feeds[self._lengths] - start, 0, stop - start)
        return cut

    # Checks --------------------------------------------------------------------------------------

    def _one_clock(self, names: Iterable[str]) -> bool:
        """True if all sequences among the placeholders have one number of steps, so that one length serves all."""
        return len({self._clocks[name] for name in names if name in self._clocks}) == 1

    def _clocks_text(self) -> str:
        return ", ".join(f"{name} has {clock}" for name, clock in self._clocks.items())

    def _known_lengths(self, where: Where | None) -> np.ndarray | None:
        """Return the number of steps of each example, for the lengths placeholder; None if there is none."""
        ragged = [column for column in self._columns.values() if isinstance(column, Listed) and column.ragged]
        if self._lengths_spec is None:
            for column in self._columns.values():
                self._check_full(column, where)
            if ragged and not self._layout.only_run:
                raise ShapeError(
                    f"{uneven_text(ragged[0])}; declare a placeholder n (int, [batch]), which rnngraph fills in; give "
                    "it to dynamic_rnn as sequence_length, and to a loss with a label for each step as lengths=n",
                    where,
                )
            return None
        name = self._lengths_spec.name
        if not self._steps:
            raise ArgumentError(f"lengths={shown(name)}, but no input has a time axis; leave out lengths=", where)
        if name in self._columns:
            return self._fed_lengths(self._columns[name], where)
        if name in self._layout.counts:
            clock = clock_of(self._layout.counts[name])
            if clock.name in self._steps:
                return self._steps[clock.name] + clock.offset
        if not self._one_clock(self._columns):
            raise ArgumentError(
                f"lengths {name} could belong to any of these axes: {self._clocks_text()}; give {name} with the "
                "examples",
                where,
            )
        return next(iter(self._steps.values()))

    def _check_full(self, column: Examples, where: Where | None) -> None:
        """Raise ``ShapeError`` for an example that needs padding, if no lengths mark the padding."""
        declared = column.spec.steps
        if isinstance(column, Listed) and isinstance(declared, int) and (column.lengths < declared).any():
            index = int(column.lengths.argmin())
            raise ShapeError(
                f"example {index} of {column.spec.name} has {column.lengths[index]} steps, but {column.spec.name} is "
                f"declared {column.spec.type}, with {declared}; declare the time axis as None, or a placeholder for "
                "sequence_length (int, [batch])",
                where,
            )

    def _fed_lengths(self, column: Examples, where: Where | None) -> np.ndarray:
        """Return the row lengths that the user gives, after checks, and use them as numbers of steps."""
        lengths = self._lengths_column(column)
        max_lengths = np.maximum.reduce([np.broadcast_to(steps, lengths.shape) for steps in self._steps.values()])
        least = 0 if self._layout.only_run else 1
        wrong = np.flatnonzero((lengths < least) | (lengths > max_lengths))
        if wrong.size:
            index = int(wrong[0])
            raise ShapeError(
                f"length {index} of {column.spec.name} is {lengths[index]}; its sequence has "
                f"{max_lengths[index]} steps, so it must be in {least}..{max_lengths[index]}",
                where,
            )
        if self._one_clock(self._columns):
            self._steps = dict.fromkeys(self._steps, lengths)
        return lengths

    def _lengths_column(self, column: Examples) -> np.ndarray:
        return np.asarray(column.take(np.arange(self.count), None)).astype(np.int64)

    def _check_wholes(self, where: Where | None) -> None:
        """Raise ``ShapeError`` if an array without batch axis has fewer steps than the longest example."""
        for whole in self._wholes:
            clock = self._clocks.get(whole.spec.name)
            if clock is None or clock.name not in self._steps or whole.longest is None:
                continue
            need = int(self._steps[clock.name].max(initial=0)) + clock.offset
            if whole.longest < need:
                raise ShapeError(
                    f"{whole.spec.name} has {whole.longest} steps, but the longest example needs {need}; give {need}",
                    where,
                )

    def check_windows(self, where: Where | None) -> None:
        """Raise ``ArgumentError`` if the sequences cannot be cut into windows."""
        if not self._clocks:
            raise ArgumentError(
                "no feed has a time axis, so there are no sequences to cut into windows; leave window= out", where
            )
        if not self._one_clock(self._clocks):
            text = f"windows need sequences with the same number of steps: {self._clocks_text()}; leave window= out"
            raise ArgumentError(text, where)
        name, clock = next(iter(self._clocks.items()))
        if clock.fixed:
            raise ArgumentError(
                f"windows can't cut {name}, which is declared with {clock} steps; declare its time axis as None",
                where,
            )


def _specs(
    examples: Mapping[str, Any], layout: Layout, lengths: str | None, where: Where | None
) -> dict[str, ExampleSpec]:
    """Return {placeholder: shape and axes of its examples}. Raise an error for wrong names or ``lengths``."""
    names = ", ".join(layout.types)
    for name in examples:
        if name not in layout.types:
            raise NameLookupError(
                f"the {layout.graph} graph has no input {shown(name)}; it takes {names or 'none'}", where
            )
    specs = {
        name: ExampleSpec(name, kind, layout.batch_axis.get(name), layout.time_axis.get(name), layout.only_run)
        for name, kind in layout.types.items()
    }
    if lengths is not None:
        if lengths not in specs:
            raise NameLookupError(
                f"lengths={shown(lengths)} is not an input of the {layout.graph} graph; it takes {names}; name the "
                "placeholder of sequence_length",
                where,
            )
        kind = specs[lengths].type
        if kind.dtype not in INTEGERS or kind.rank != 1 or specs[lengths].batch_axis is None:
            raise DtypeError(f"lengths={shown(lengths)} is declared {kind}; it must be int [batch]", where)
    missing = [name for name in specs if name not in examples and name not in (lengths, *layout.defaults)]
    if missing:
        raise NameLookupError(
            f"there are no examples of {', '.join(missing)}; the {layout.graph} graph takes {names}: give a mapping "
            "with all of them, or a tuple (x, y)",
            where,
        )
    return specs


def _count(columns: Mapping[str, Examples], layout: Layout, where: Where | None) -> int:
    """Return the number of examples. Raise ``ShapeError`` if placeholders differ, or there are none."""
    if not columns:
        instead = "inference" if layout.only_run else "step"
        raise ShapeError(
            f"no placeholder has a batch axis, so examples can't be batched; call {instead} instead", where
        )
    first, *others = columns.values()
    if not first.count and not layout.only_run:
        raise ShapeError(f"there are no examples of {first.spec.name}; give at least one", where)
    for column in others:
        if column.count != first.count:
            raise ShapeError(
                f"there are {first.count} examples of {first.spec.name} and {column.count} of {column.spec.name}; "
                "give the same number of each",
                where,
            )
    return first.count


def _check_declared_batch(specs: Iterable[ExampleSpec], batch_size: int, count: int, where: Where | None) -> None:
    """Raise ``ShapeError`` if a declared batch size differs from ``batch_size``, or does not divide ``count``."""
    for spec in specs:
        declared = spec.type.shape[spec.batch_axis] if spec.batch_axis is not None else None
        if isinstance(declared, int) and (declared != batch_size or count % declared):
            raise ShapeError(
                f"{spec.name} is declared {spec.type}, with a batch of {declared}; {count} examples in batches of "
                f"{batch_size} don't fit: declare the batch axis as None",
                where,
            )
