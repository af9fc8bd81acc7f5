"""Generations that continue from a state without a prompt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...runtime.streams.states import SAVED_STREAM, GenerationState
from ...storage.checkpoint_file import read
from ...support.errors import ShapeError, StructureError, Where
from .ports import TokenPorts

LAST, COUNT = "next/last/", "next/count"
"""Names of arrays in a saved generation; the output's path follows ``LAST``."""


def arrays_of(state: GenerationState) -> dict[str, np.ndarray]:
    """Return the arrays of a saved generation besides the stream's state: the last output and the token count."""
    return {LAST + state.output: state.last, COUNT: state.count}


def continuation(state: Any, prompt: np.ndarray, ports: TokenPorts, where: Where | None) -> GenerationState | None:
    """Return the state that chooses the first token after an empty prompt; None after a prompt with tokens.

    Args:
        state: State to start from, as ``generate`` takes it.
        prompt: Tokens [rows, tokens].
        ports: Input and output for tokens.
        where: Line of the call.

    Raises:
        FileError: The file is missing, damaged or of another kind.
        ShapeError: The state belongs to a stream or to another output, or has another number of rows.
        StructureError: The last output or the count has another shape or dtype than the net needs.
    """
    if prompt.size:
        return None
    if isinstance(state, str | os.PathLike):
        state = _generation_state(read(state, SAVED_STREAM)[0], ports)
    if not isinstance(state, GenerationState) or state.output != ports.output:
        raise ShapeError(
            f"generate takes an empty prompt only with the state of a generation by the output {ports.output!r}, which "
            "includes the output after the last token; give at least one token",
            where,
        )
    rows = len(prompt)
    if len(state.count) != rows:
        many = len(state.count)
        raise ShapeError(
            f"the state has {many} rows, and the empty prompt {rows}; give np.zeros(({many}, 0), int) as the prompt",
            where,
        )
    shape = (rows,) if ports.classes is None else (rows, ports.classes)
    kinds = "iu" if ports.classes is None else "f"
    if state.last.shape != shape or state.last.dtype.kind not in kinds or state.count.dtype.kind not in "iu":
        raise StructureError(
            f"the state's last output is {state.last.dtype} {state.last.shape}; this net needs "
            f"{'ints' if ports.classes is None else 'floats'} {shape}; resume with the net that saved the state",
            where,
        )
    return state


def _generation_state(arrays: Mapping[str, np.ndarray], ports: TokenPorts) -> GenerationState | None:
    """Return a saved generation's state without the stream's states; None for a file without such a generation."""
    last, count = arrays.get(LAST + ports.output), arrays.get(COUNT)
    if last is None or count is None or count.ndim != 1:
        return None
    return GenerationState(None, ports.output, last, count)
