"""Attention under the names of ``tf.contrib.seq2seq``, with TensorFlow 1.15's arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....declare.cell import Cell
from ....declare.parameters import ScopeName
from ....declare.seq2seq import attention
from ....declare.tensor import Tensor
from ....support.api_guard import api
from ....support.errors import NotOfferedError
from ...cells.calls import TfCell
from ...core.graph import get_default_graph
from ...core.names import dtype_name, refuse
from ...core.scopes import layer_scope
from ..regularizers import penalize_all

_OWN = "write a subclass of rg.Wrapper that attends as you want"
_TAPS = 'leave it out: program.inference.taps(…)["alignments"] has the alignments of every step'


class _Mechanism:
    """The arguments that both kinds of attention take beside ours."""

    keys: Tensor
    _scope: ScopeName

    def memory_scope(self, where: Any) -> ScopeName:
        self._scope = layer_scope("memory_layer", None)
        return self._scope

    def _take(self, probability_fn: Any, score_mask_value: Any, dtype: Any, memory: Tensor) -> None:
        get_default_graph().own(self.keys)
        penalize_all(self._scope)
        refuse(self, _OWN, probability_fn=probability_fn, score_mask_value=score_mask_value)
        if dtype is not None and dtype_name(dtype) != memory.dtype:
            raise NotOfferedError(f"dtype={dtype_name(dtype)} is not the memory's, {memory.dtype}; leave it out")


@api
class BahdanauAttention(_Mechanism, attention.BahdanauAttention):
    """``rg.BahdanauAttention`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        memory: Tensor,
        memory_sequence_length: Any = None,
        normalize: bool = False,
        probability_fn: Callable[..., Any] | None = None,
        score_mask_value: float | None = None,
        dtype: Any = None,
    ) -> None:
        attention.BahdanauAttention.__init__(self, num_units, memory, memory_sequence_length, normalize)
        self._take(probability_fn, score_mask_value, dtype, memory)


@api
class LuongAttention(_Mechanism, attention.LuongAttention):
    """``rg.LuongAttention`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        memory: Tensor,
        memory_sequence_length: Any = None,
        scale: bool = False,
        probability_fn: Callable[..., Any] | None = None,
        score_mask_value: float | None = None,
        dtype: Any = None,
    ) -> None:
        attention.LuongAttention.__init__(self, num_units, memory, memory_sequence_length, scale)
        self._take(probability_fn, score_mask_value, dtype, memory)


class AttentionWrapper(TfCell, attention.AttentionWrapper):
    """``rg.AttentionWrapper`` with TensorFlow's arguments. ``name`` replaces ``attention_wrapper`` in names."""

    def __init__(
        self,
        cell: Cell,
        attention_mechanism: attention.Attention,
        attention_layer_size: int | None = None,
        alignment_history: bool = False,
        cell_input_fn: Callable[..., Any] | None = None,
        output_attention: bool = True,
        initial_cell_state: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(cell, attention_mechanism, attention_layer_size, output_attention, initial_cell_state)
        refuse(self, _TAPS, alignment_history=alignment_history or None)
        refuse(self, _OWN, cell_input_fn=cell_input_fn)
        self.scope_name = name
