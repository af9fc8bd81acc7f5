"""Limits on arrays and loops: a small malicious file can declare huge ones, for instance with a resize by 10**8.

The limits are far above the sizes of trained nets. Callers can raise them with the readers' ``max_entries``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..declare.tensor import Tensor
from ..ir.sizes.polynomial import evaluate, symbols_of
from ..ir.types import Dim
from ..support.arguments import whole_number
from .reading import not_readable
from .script import Script, tensors_in
from .steps import Step, Value, leaves_in, unwrap, values_read, wanted_steps, with_inner

MAX_ENTRIES = 1 << 28
"""Maximum entries of an array for one row and step (1 GB of float32), and maximum iterations of a loop."""
FOLDED_SHARE = 4
"""Divisor of the limit for constant arrays that are computed while reading, because computing them makes copies."""
GROWTH = 4
"""An array is always allowed if it has at most this many times the entries of the largest input or parameter."""

_current: ContextVar[int] = ContextVar("max_entries", default=MAX_ENTRIES)


@contextmanager
def entries_up_to(count: object) -> Iterator[int]:
    """Context manager that sets the maximum entries of an array, and yields the validated number as an int."""
    token = _current.set(whole_number(count, "max_entries", 1))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def max_folded() -> int:
    """Return the maximum number of entries of a constant array that is computed while reading."""
    return _current.get() // FOLDED_SHARE


def check_sizes(name: str, script: Script, max_entries: int) -> None:
    """Raise ``NotReadableError`` if a net needs an array or a loop that is larger than allowed.

    Args:
        name: The file's name in errors.
        script: Declaration of the file's net.
        max_entries: Maximum entries of an array, where symbolic sizes count as 1. Also the maximum iterations of
            nested loops together.
    """
    wanted = wanted_steps(script.steps, script.outputs)
    steps = [step for step in script.steps if step in wanted]
    tensors = [tensor for step in with_inner(steps) for tensor in tensors_in(step.result)]
    stored = max((_entries(tensor) for tensor in tensors if _is_stored(tensor)), default=0)
    largest = max((tensor for tensor in tensors if not _is_stored(tensor)), key=_entries, default=None)
    if largest is not None and _entries(largest) > max(max_entries, GROWTH * stored):
        count = _entries(largest)
        what = f"it needs an array of {count:,} entries, {largest.type}; {max_entries:,} at most are read"
        raise not_readable(name, [what], remedy=f"If you trust the file, give max_entries={count}")
    if (iterations := _iterations(steps)) > max_entries:
        what = f"it needs loops of {iterations:,} iterations; {max_entries:,} at most are read"
        raise not_readable(name, [what], remedy=f"If you trust the file, give max_entries={iterations}")


def _is_stored(tensor: Tensor) -> bool:
    return tensor.node.op in ("input", "parameter")


def _entries(tensor: Tensor) -> int:
    return math.prod(map(_at_one, tensor.type.shape))


def _at_one(dim: Dim) -> int:
    """Return a size with every symbol replaced by 1."""
    return evaluate(dim, dict.fromkeys(symbols_of(dim), 1))


def _iterations(steps: Iterable[Step]) -> int:
    """Return the iterations of the most repeated loop body: the product of the lengths of its nested loops."""
    return max((_length(step) * _iterations(inner) for step in steps if (inner := _loop(step))), default=1)


def _loop(step: Step) -> list[Step]:
    """Return the steps of the script that a driver repeats: the bodies of its cells. Empty for other steps."""
    return [inner for value in values_read(step) for inner in value.step.inner]


def _length(step: Step) -> int:
    """Return a driver's number of iterations: the size of its input along time. A symbolic size counts as 1."""
    axis = 0 if unwrap(step.keywords.get("time_major", False)) is True else 1
    operands = (leaf.result for leaf in leaves_in([*step.operands, *step.keywords.values()]) if isinstance(leaf, Value))
    inputs = next((operand for operand in operands if isinstance(operand, Tensor)), None)
    return _at_one(inputs.type.shape[axis]) if inputs is not None and inputs.rank > axis else 1
