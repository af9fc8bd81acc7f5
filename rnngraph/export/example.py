"""Feeds and expected results of an exported net's self-test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..ir.types import evaluate
from ..support.allocation import reserve
from ..support.errors import ShapeError
from .c_interface.ports import Port
from .native_code import Arrays, ExportSource
from .package.self_test import Example
from .package.stream_self_test import STEPS_TESTED
from .sequence_form import BATCH, STEPS, SequenceForm
from .stream_form import StreamForm

TEXT_BYTES = 64
"""Bytes of memory for a number of the self-test while it is written, as array and text."""
ROWS, OTHERS = 3, 5
LENGTHS = (STEPS_TESTED, 17, 40, 100, 400, 1600)
"""Numbers of steps to try, because some graphs, such as windows without padding, need a minimum."""


def stream_example(form: StreamForm, source: ExportSource, values: Arrays) -> Example:
    """Return feeds of a few steps, and results of the whole sequences."""
    exported = form.exported
    sizes = {str(STEPS): STEPS_TESTED + exported.delay}
    _raise_if_out_of_memory((*exported.inputs, *exported.initial_inputs, *exported.outputs, *exported.states), sizes)
    feeds = _feeds((*exported.inputs, *exported.initial_inputs), sizes, form.limits())
    results = dict(form.expected(source, values, feeds, STEPS_TESTED))
    owed: dict[str, np.ndarray] = {}
    for port in exported.outputs if exported.tail is not None else ():
        axis, whole = port.time_axis, results[port.name]
        owed[port.name] = whole
        if axis is not None:
            entries = evaluate(port.shape[axis], {str(STEPS): 1})
            early = [entries * exported.delay if place == axis else dim for place, dim in enumerate(whole.shape)]
            delayed = np.concatenate([np.zeros(early, whole.dtype), whole], axis)
            results[port.name], owed[port.name] = np.split(delayed, [entries * sizes[str(STEPS)]], axis)
    return Example(sizes, feeds, results, owed)


def sequence_examples(form: SequenceForm, source: ExportSource, values: Arrays) -> list[Example]:
    """Return two example calls: one with several rows, and one with a single row.

    If the net fixes all sizes, so that the calls would be equal, return one.
    """
    exported = form.exported
    examples: list[Example] = []
    for rows, others in ((ROWS, OTHERS), (1, 2)):
        sizes = _sizes(form, rows, others)
        if any(sizes == example.sizes for example in examples):
            continue
        _raise_if_out_of_memory((*exported.inputs, *exported.outputs), sizes)
        feeds = _feeds(exported.inputs, sizes, form.limits(sizes))
        examples.append(Example(sizes, feeds, form.expected(source, values, feeds), {}))
    return examples


def _sizes(form: SequenceForm, rows: int, others: int) -> dict[str, int]:
    """Return {size: value} that the graph accepts for an example call, without empty arrays if possible.

    Raises:
        ShapeError: The graph accepts none of the sizes that are tried.
    """
    ports = (*form.exported.inputs, *form.exported.outputs)
    possible: list[dict[str, int]] = []
    lengths = (*LENGTHS, 2 * form.unit)
    for steps in lengths:
        usual = {BATCH: rows, STEPS: steps}
        sizes = {
            size.name: usual.get(size.name, others if steps == STEPS_TESTED else steps)
            if size.fixed is None
            else size.fixed
            for size in form.exported.sizes
        }
        try:
            form.check(sizes)
        except ShapeError:
            if steps == lengths[-1] and not possible:
                raise
            continue
        if all(math.prod(_shape(port, sizes)) for port in ports):
            return sizes
        possible.append(sizes)
    return possible[0]


def _raise_if_out_of_memory(ports: Sequence[Port], sizes: Mapping[str, int]) -> None:
    """Raise ``OutOfMemoryError`` if there is no memory for the numbers as text."""
    numbers = sum(math.prod(_shape(port, sizes)) for port in ports)
    reserve(numbers * TEXT_BYTES, "the example in the self-test of an exported net")


def _feeds(ports: Sequence[Port], sizes: Mapping[str, int], limits: Mapping[str, int]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {port.name: _different(generator, port, _shape(port, sizes), limits.get(port.name)) for port in ports}


def _shape(port: Port, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(evaluate(dim, sizes) for dim in port.shape)


def _different(generator: np.random.Generator, port: Port, shape: tuple[int, ...], highest: int | None) -> np.ndarray:
    """Return a feed whose numbers are distinct, as far as its dtype and limit allow."""
    if port.dtype.startswith("float"):
        return generator.standard_normal(shape).astype(port.dtype)
    count = 2 if port.dtype == "bool" else math.prod(shape) if highest is None else highest + 1
    return (generator.permutation(math.prod(shape)) % max(1, count)).reshape(shape).astype(port.dtype)
