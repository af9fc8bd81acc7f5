"""Choice of a token from the logits of each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...support.errors import ArgumentError, NonFiniteError, Where
from .draws import Draws, draw_of
from .ports import TokenPorts

Choice = Callable[[np.ndarray], Any]
"""Function that returns a token for each row of logits [rows, classes]."""


def choice_of(
    sampling: Any, number: Any, ports: TokenPorts, begun: np.ndarray, is_single: bool, draws: Draws, where: Where | None
) -> Choice:
    """Return the function from logits [rows, classes] to one token per row: the largest, drawn, or the caller's.

    Args:
        sampling: None for the largest logit, a mapping of arguments of ``rg.sample``, or a function of logits.
        number: Number that selects the draw: an int for all rows, or one for each row.
        ports: Input and output for tokens.
        begun: Number of draws that each row has made before, int64 [rows].
        is_single: True if there is one row, whose logits a function gets without the axis of rows.
        draws: Compiled draws.
        where: Line of the call.
    """
    check_sampling(sampling, number, ports, where)
    if sampling is None:
        return largest
    if callable(sampling):
        return (lambda logits: [sampling(logits[0])]) if is_single else sampling
    draw = draw_of(sampling, ports.classes or 0, where)
    if draw is None:
        return largest
    drawing = draws.stream(draw, number, begun, where)
    return lambda logits: drawing.step({"logits": logits})


def check_sampling(sampling: Any, number: Any, ports: TokenPorts, where: Where | None) -> None:
    """Raise ``ArgumentError`` for ``sampling`` if the net draws tokens, and for ``number`` if nothing is drawn.

    Values of None are accepted.
    """
    if ports.classes is None and sampling is not None:
        output = ports.output or "the output"
        raise ArgumentError(
            f"the net itself draws its tokens ({output}), so sample= has no effect; leave it out", where
        )
    if number is not None and not ports.draws and (sampling is None or callable(sampling)):
        raise ArgumentError(
            "number= selects a draw of rg.sample, but nothing is drawn here; leave it out, or give sample= a "
            "dict such as {'temperature': 0.8}",
            where,
        )


def largest(logits: np.ndarray) -> np.ndarray:
    """Return the class of the largest logit of each row, the first of equal ones."""
    return logits.argmax(-1)


def nan_logits_error(ports: TokenPorts, where: Where | None) -> NonFiniteError:
    """Return the error for a row whose logits contain NaN."""
    output = ports.output or "the output"
    return NonFiniteError(
        f"{output} has NaN among its logits; call program.inference.check to find the first NaN", where
    )
