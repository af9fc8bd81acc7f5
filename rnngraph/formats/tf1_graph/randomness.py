"""Removes dropout without effect: random numbers that do not change the result."""

from __future__ import annotations

from collections.abc import Sequence

from ..operators.errors import UnreadableError
from .translation import Translation


def drops_nothing(t: Translation, op: str, inputs: Sequence[str]) -> str | None:
    """Return the result of a node of uniform numbers u in [0, 1) if it is the same for all u; otherwise None.

    ``floor(1 + u)`` is 1 (dropout by ``keep_prob``), ``u >= 0`` is True (dropout by ``rate``), and ``u * 1 + 0`` has
    the distribution of u.
    """
    if op == "Floor" and inputs[0] in t.is_from_one:
        return t.constant(1.0, "float32")
    drawn = [name for name in inputs if name in t.is_uniform]
    if not drawn:
        return None
    others = [t.arrays.get(name) for name in inputs if name not in t.is_uniform]
    number = float(others[0]) if len(others) == 1 and others[0] is not None and others[0].size == 1 else None
    match op, number:
        case ("Mul", 1.0) | ("Add", 0.0):
            return drawn[0]
        case ("Add", 1.0):
            name = f"{drawn[0]}/above~"
            t.is_from_one.add(name)
            return name
        case ("GreaterOrEqual", 0.0) if inputs[0] == drawn[0]:
            return t.constant(True)
    raise UnreadableError("it draws random numbers; fix its keep_prob to 1.0, or the switch of training, with fixed=")
