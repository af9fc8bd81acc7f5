"""Alignments of a decoder's steps, as ``AttentionWrapper(alignment_history=True)`` records them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...declare.nest import flatten
from ...declare.seq2seq.attention import AttentionWrapperState
from ...declare.seq2seq.beam import attention_within
from ...declare.tensor import Tensor
from ...support.errors import NotOfferedError
from ..flow.tensor_array import TensorArray
from ..table.missing import GUIDE


class StateWithHistory(NamedTuple):
    """Final state of an ``AttentionWrapper`` whose decoder recorded the alignments.

    Attributes:
        cell_state: State of the cell.
        attention: Attention [batch, width] of the last step.
        alignment_history: ``tf.TensorArray`` of the alignments [batch, entries] of all steps.
    """

    cell_state: Any
    attention: Any
    alignment_history: TensorArray

    def clone(self, **replaced: Any) -> StateWithHistory:
        """Return the state with some entries replaced."""
        return self._replace(**replaced)


def inner_cells(cell: Any) -> Iterator[Any]:
    """Yield a cell and all nested cells."""
    pending = [cell]
    while pending:
        item = pending.pop()
        yield item
        pending += [*([item.cell] if hasattr(item, "cell") else []), *getattr(item, "cells", ())]


def has_history(cell: Any) -> bool:
    """True if the cell or a nested cell is an ``AttentionWrapper`` with ``alignment_history=True``."""
    return any(getattr(item, "alignment_history", False) for item in inner_cells(cell))


def check_history(cell: Any) -> None:
    """Raise ``NotOfferedError`` if a cell records alignments and attends more than once."""
    if has_history(cell) and sum(hasattr(item, "attention") for item in inner_cells(cell)) > 1:
        raise NotOfferedError(
            "alignment_history=True in a cell with several AttentionWrappers is not offered; leave out "
            f"alignment_history= ({GUIDE})"
        )


def alignments_of(step: Any, before: Any) -> Tensor:
    """Return the alignments [rows, entries] of a step of a cell with attention: the softmax over the entries.

    Args:
        step: Nest of the step's results.
        before: Nest of the step's operands.
    """
    nests = ([item.node for item in flatten(nest) if isinstance(item, Tensor)] for nest in (step, before))
    alignments = attention_within(*nests)
    assert alignments is not None, "the cell has attention"
    return alignments


def with_history(state: Any, alignments: Tensor) -> Any:
    """Return a final state with its ``AttentionWrapperState`` replaced by a ``StateWithHistory``.

    Args:
        state: Nested final state.
        alignments: Alignments of all steps [steps, rows, entries].
    """
    if isinstance(state, AttentionWrapperState):
        return StateWithHistory(*state, TensorArray.of(alignments))
    if isinstance(state, tuple | list):
        items = [with_history(item, alignments) for item in state]
        return type(state)(*items) if hasattr(state, "_fields") else type(state)(items)
    return state
