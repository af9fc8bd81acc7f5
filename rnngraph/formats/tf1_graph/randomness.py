"""Removes dropout that drops nothing, so that its random numbers do not affect the result."""

from __future__ import annotations

from collections.abc import Sequence

from ..operators.errors import UnreadableError
from .translation import Translation


def drops_nothing(t: Translation, op: str, inputs: Sequence[str]) -> str | None:
    """Return the name of a node's result if it is the same for all uniform random numbers u in [0, 1); else None.

    ``floor(1 + u)`` is 1 (dropout by ``keep_prob``), and ``u >= 0`` is True (dropout by ``rate``). ``u * 1 + 0`` and
    ``1 + u`` are recorded as uniform, for the nodes that read them.

    Args:
        t: The translation.
        op: Op of the node.
        inputs: Names of the node's inputs.

    Raises:
        UnreadableError: The result depends on u.
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
