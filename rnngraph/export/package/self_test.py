"""Common parts of the self-tests of exported nets, which are C programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..c_interface.ports import Port
from .description import C_TYPES, Description
from .template import template

_KINDS = {"float32": "f", "float64": "d", "int32": "i", "int64": "l", "bool": "u"}
"""The harness' letters for types of elements."""


@dataclass(frozen=True)
class Example:
    """Feeds and expected results of a self-test, by name, with the sizes of the call.

    ``owed`` are the results that are due when a sequence ends. Of an output without a time axis, only these are known.
    """

    sizes: Mapping[str, int]
    feeds: Mapping[str, np.ndarray]
    results: Mapping[str, np.ndarray]
    owed: Mapping[str, np.ndarray]


def self_test(net: Description, about: str, data: Sequence[str], harness: str) -> str:
    """Return the C program ``NAME_test.c``: the test's ``data``, then the file ``harness`` that runs the net on it.

    Args:
        about: What the program checks.
        data: Declarations that the harness reads.
        harness: File of ``templates`` that checks a net of this form.
    """
    weights = (
        []
        if net.first.embedded
        else [
            f'#define WEIGHTS_FILE "{net.name}.safetensors"',
            f"#define WEIGHTS_SIZE {net.macro}_WEIGHTS_SIZE",
            *function(
                "int set_weights(void *weights, const void *image, size_t bytes)",
                f"return {net.name}_set_weights(weights, image, bytes);",
            ),
        ]
    )
    head = f"/* Checks {net.name} against what the compiled program computed: {about}. Needs the C\n"
    head += " * library alone. Prints ok and the largest difference; exit code 0 if all is well. */"
    declared = [f'#include "{net.name}.h"', "", *data, *weights]
    return "\n".join([head, template("self_test_head.c"), *declared]) + template(harness) + template("self_test_tail.c")


def function(head: str, *body: str) -> list[str]:
    """Return a C function that the test harness calls."""
    return [f"static {head}", "{", *(f"    {line}" for line in body), "}", ""]


def described(
    port: Port,
    bytes_text: str,
    count: int,
    values: str = "NULL",
    memory: Mapping[str, str] | None = None,
    around: tuple[int, int] = (0, 0),
) -> str:
    """Return the description of an array as a C initializer.

    Args:
        bytes_text: Bytes of a step, or of an array without time.
        count: Number of elements in ``values``.
        values: Array of feeds or expected results.
        memory: Arrays that the harness writes, by the names of ``Array``.
        around: Slices before the axis of steps, and elements of a step in each; zeros without such an axis.
    """
    item, (before, after) = f"sizeof({C_TYPES[port.dtype]})", around
    places = [(memory or {}).get(name, "NULL") for name in ("one", "two", "stepped", "block")]
    facts = [f'"{port.symbol}"', f"'{_KINDS[port.dtype]}'", item, str(before), f"{after} * {item}", bytes_text]
    return f"{{{', '.join([*facts, str(count), values, *places])}}}"


def table(name: str, rows: Sequence[str]) -> list[str]:
    """Return a C table of descriptions. An unused last row keeps it from being empty."""
    nothing = "{NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL}"
    return [f"static const Array {name}[] = {{", *(f"    {row}," for row in (*rows, nothing)), "};"]


def array_text(name: str, port: Port, array: np.ndarray) -> str:
    """Return an array as a C constant."""
    numbers = [_number(item) for item in np.ravel(array).tolist()] or ["0"]  # C has no empty arrays
    rows = [", ".join(numbers[first : first + 8]) for first in range(0, len(numbers), 8)]
    body = ",\n    ".join(rows)
    return f"static const {C_TYPES[port.dtype]} {name}[] = {{\n    {body}\n}};"


def _number(value: float | int | bool) -> str:
    if isinstance(value, float):
        if value != value:
            return "NAN"
        if value in (float("inf"), float("-inf")):
            return "INFINITY" if value > 0 else "-INFINITY"
        return repr(value)
    if value == -(2**63):
        return "-9223372036854775807 - 1"  # C has no negative literals, and the positive number does not fit
    return str(int(value))
