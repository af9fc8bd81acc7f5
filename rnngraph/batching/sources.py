"""Accepted forms of examples: a mapping, a pair (x, y), one array or list, or an iterable of batches.

``fit``, its validation, ``evaluate`` and ``predict`` read examples here, so they all accept every form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any

import numpy as np

from ..support.arguments import whole_number
from ..support.errors import ArgumentError, DtypeError, RnnGraphError, StructureError, Where
from ..support.records import dataclass
from .batches import Batch, Batches, Layout
from .input_axes import ProgramInputs, lengths_placeholder

Examples = Mapping[Any, Any] | tuple[Any, Any] | Iterable[Any]
"""Examples in any accepted form."""


def are_batches(examples: Any) -> bool:
    """True for a list of mappings, and for an iterable other than a list, mapping, tuple, text or array."""
    if isinstance(examples, list):
        return bool(examples) and isinstance(examples[0], Mapping)
    if isinstance(examples, Mapping | tuple | str | bytes | np.ndarray) or hasattr(examples, "__array__"):
        return False
    return isinstance(examples, Iterable)


def are_examples(examples: Any) -> bool:
    """True if ``examples`` has an accepted form of examples."""
    return isinstance(examples, Mapping | tuple | list) or hasattr(examples, "__array__") or are_batches(examples)


@dataclass(frozen=True)
class Reader:
    """Reader of examples in any accepted form.

    Attributes:
        inputs: Inputs of the program.
        layout: Axes of the placeholders.
        lengths: The call's ``lengths=``: a placeholder, a name or an array.
        where: The user's line, for errors.
        options: Keyword arguments of ``Batches``.
        wholes: Arrays without batch axis, by name, which a pair (x, y) may omit.
    """

    inputs: ProgramInputs
    layout: Layout
    lengths: Any
    where: Where | None
    options: Mapping[str, Any] = field(default_factory=dict)
    wholes: Mapping[str, Any] = field(default_factory=dict)

    def batches(self, data: Any, batch_size: int | None) -> Batches:
        """Return examples in memory as ``Batches`` of ``batch_size``."""
        examples = self.named(data)
        lengths = lengths_placeholder(self.inputs, self.layout, self.lengths, examples, self.where)
        return Batches(examples, self.layout, batch_size=batch_size, lengths=lengths, where=self.where, **self.options)

    def named(self, examples: Any) -> dict[str, Any]:
        """Return a user's examples, a mapping, a pair (x, y) or an array, as {placeholder: examples}."""
        if isinstance(examples, tuple):
            return self._pair(examples)
        if isinstance(examples, list) or hasattr(examples, "__array__"):
            return self._half_of_pair("the examples", examples, self._inputs())
        named = self.inputs.names.by_placeholder(examples, {}, self.where)
        if not self.layout.only_run:
            return named
        training_types = self.inputs.training.types  # inputs of training only, such as labels, are dropped
        return {name: value for name, value in named.items() if name in self.layout.types or name not in training_types}

    def _pair(self, pair: tuple[Any, ...]) -> dict[str, Any]:
        """Return a pair (x, y) as {placeholder: examples}: x for the inference graph's inputs, y for the loss's others.

        With ``only_run``, y is ignored. ``wholes`` that the pair lacks are added.
        """
        if len(pair) != 2:
            raise StructureError(
                f"a tuple of examples must be (x, y), but this one has {len(pair)} entries; give a mapping from "
                "placeholders to arrays (weights of examples need a placeholder that the loss reads)",
                self.where,
            )
        x, y = pair
        named = self._half_of_pair("x", x, self._inputs())
        if not self.layout.only_run:
            named |= self._half_of_pair("y", y, self._targets())
        return {**{name: value for name, value in self.wholes.items() if name not in named}, **named}

    def _half_of_pair(self, what: str, value: Any, names: list[str]) -> dict[str, Any]:
        """Return x or y of a pair as {placeholder: examples}; it is a mapping, or an array for a single placeholder."""
        if isinstance(value, Mapping):
            return self.inputs.names.by_placeholder(value, {}, self.where)
        if len(names) == 1:
            return {names[0]: value}
        listed = ", ".join(names)
        raise StructureError(
            f"{what} could feed {f'any of {listed}' if names else 'no placeholder'}; give a mapping from placeholders "
            "to arrays",
            self.where,
        )

    def _inputs(self) -> list[str]:
        return self._per_example(self.inputs.inference.types)

    def _targets(self) -> list[str]:
        inference = self.inputs.inference.types
        return self._per_example([name for name in self.inputs.evaluation.types if name not in inference])

    def _per_example(self, names: Iterable[str]) -> list[str]:
        """Return the names of the inputs with a batch axis, except for lengths and inputs with defaults."""
        layout = self.layout
        lengths = set(layout.counts)
        if not isinstance(self.lengths, np.ndarray | list | tuple) and self.lengths is not None:
            lengths.add(self.inputs.names.name_of(self.lengths, self.where))
        left_out = lengths | layout.defaults
        return [name for name in names if layout.batch_axis.get(name) is not None and name not in left_out]


class EndedError(Exception):
    """End of an iterable of batches, after ``drawn`` batches."""

    def __init__(self, drawn: int) -> None:
        super().__init__(drawn)
        self.drawn = drawn


class Cursor:
    """Access to the batches of an iterable by index. The last batch is stored, so that it can be read again.

    Attributes:
        iterable: The iterable.
        restarts: True if ``iterable`` can be iterated again; False for an iterator.
        drawn: Batches drawn in the current pass.
    """

    def __init__(self, iterable: Iterable[Any]) -> None:
        self.iterable = iterable
        self.restarts = not isinstance(iterable, Iterator)  # without calling iter(), which may start a loader's workers
        self._iterator: Iterator[Any] | None = None
        self._passage: int | None = None
        self.drawn = 0
        self._last: Any = None

    def batch(self, passage: int, number: int, endless: bool, where: Where | None) -> Any:
        """Return batch ``number`` of an iterable, drawing batches up to it, and restarting the iterable if necessary.

        Args:
            passage: Index of the pass over the iterable.
            number: Index of the batch in the pass, from 0.
            endless: After the last batch, restart the iterable, if it can be iterated again and yields a batch.
            where: The user's line, for errors.

        Raises:
            EndedError: There are no more batches.
            ArgumentError: An iterator would have to restart.
        """
        if passage != self._passage or number < self.drawn - 1:
            if self._iterator is not None and not self.restarts:
                raise ArgumentError(
                    "the iterator of batches has advanced and can't begin again; give a list of batches, an object "
                    "whose __iter__ returns a new iterator, or steps_per_epoch",
                    where,
                )
            self._iterator, self._passage, self.drawn = iter(self.iterable), passage, 0
        assert self._iterator is not None
        begun = True
        while self.drawn <= number:
            try:
                self._last = next(self._iterator)
            except StopIteration:
                if not (endless and self.restarts and begun):
                    raise EndedError(self.drawn) from None
                # an iterable that yields no batch after a restart ends, instead of restarting forever
                self._iterator, begun = iter(self.iterable), False
                continue
            self.drawn, begun = self.drawn + 1, True
        return self._last


class Iterated:
    """Batches of an iterable, in the order in which it yields them.

    Args:
        reader: Reader of each batch.
        cursor: Position in the iterable.
        steps_per_epoch: Batches per epoch, drawn consecutively across epochs; None for one pass per epoch.
    """

    batch_size = None
    count = None

    def __init__(self, reader: Reader, cursor: Cursor, steps_per_epoch: int | None = None) -> None:
        self.reader = replace(reader, options={**reader.options, "shuffle": False})
        self.cursor, self.steps_per_epoch, self.since = cursor, steps_per_epoch, 0
        self.window = reader.options.get("window")
        self._passed: int | None = None

    def follow(self, since: int, begun: bool, known: Cursor | None) -> Cursor:
        """Continue an earlier fit's position in the iterable, if there is one. Return the cursor to use.

        Args:
            since: First epoch of the fit.
            begun: The fit has trained already.
            known: Cursor of an interrupted fit over the same iterable.
        """
        self.since = since
        if known is not None and known.iterable is self.cursor.iterable and (begun or known.drawn <= 1):
            self.cursor = known  # the first batch may have been drawn for a step that did not complete
        return self.cursor

    def restarted(self) -> Iterated:
        """Return these batches, from the first one."""
        return Iterated(self.reader, Cursor(self.cursor.iterable), self.steps_per_epoch)

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, beginning with number ``first`` (from 0)."""
        per_epoch, where = self.steps_per_epoch, self.reader.where
        before = 0 if per_epoch is None else (number - self.since) * per_epoch
        passage = number if per_epoch is None else 0
        place = before + first
        while per_epoch is None or place < before + per_epoch:
            try:
                examples = self.cursor.batch(passage, place, per_epoch is not None, where)
            except EndedError as ended:
                self._check_end(number, ended.drawn, per_epoch)
                return
            yield from self._read(examples, place).epoch(0)
            place += 1

    def _check_end(self, number: int, drawn: int, per_epoch: int | None) -> None:
        """Raise ``ArgumentError`` if the iterable ended after ``drawn`` batches, and an epoch needs more."""
        where = self.reader.where
        if not drawn and not self.reader.layout.only_run:
            raise ArgumentError("the iterator of batches yielded no batch; give at least one", where)
        if per_epoch is not None:
            raise ArgumentError(
                f"the iterator ended after {drawn} batches, but epoch {number + 1} needs {per_epoch} after the first "
                f"{(number - self.since) * per_epoch}; give more batches, or fewer epochs or steps_per_epoch",
                where,
            )
        self._passed = drawn

    def _read(self, batch: Any, place: int) -> Batches:
        """Return the examples of one batch of the iterable. Errors name the batch."""
        if not are_examples(batch):
            raise DtypeError(
                f"batch {place + 1} of the iterator is {type(batch).__name__}; give mappings from placeholders to "
                "arrays, or tuples (x, y)",
                self.reader.where,
            )
        try:
            return self.reader.batches(batch, None)
        except RnnGraphError as error:
            raise error.within(f"batch {place + 1} of the iterator") from None

    def steps_of_epoch(self, number: int, first: int, warm_up: int) -> tuple[int | None, int]:
        """Return (training steps of an epoch, None if unknown; steps of the batches before ``first``)."""
        total = self._passed if self.steps_per_epoch is None else self.steps_per_epoch
        return (total if self.window is None and not warm_up else None), first


BatchSource = Batches | Iterated


def source_of(reader: Reader, examples: Any, batch_size: Any) -> BatchSource:
    """Return examples as ``Batches`` of ``batch_size``, or an iterable of batches as ``Iterated``."""
    size = whole_number(batch_size, "batch_size", 1)
    if not are_batches(examples):
        return reader.batches(examples, size)
    if isinstance(reader.lengths, np.ndarray | list | tuple):
        raise ArgumentError(
            "lengths= is an array, but the examples come in batches; give each batch its lengths, by the name of their "
            "placeholder",
            reader.where,
        )
    return Iterated(reader, Cursor(examples))
