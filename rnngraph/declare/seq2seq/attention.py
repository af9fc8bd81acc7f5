"""Attention mechanisms, and a wrapper that adds attention to a cell, as in ``tf.contrib.seq2seq``."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ...ir.types import FLOATS
from ...support.api_guard import api, taking
from ...support.arguments import flag, units
from ...support.attribute_hints import telling
from ...support.errors import DtypeError, ShapeError, Where, shown, user_line
from ..cell import Cell, NestedInitialState, NestedStep, Scope, Wrapper
from ..functions.basic import (
    concat,
    exp,
    expand_dims,
    maximum,
    reduce_max,
    reduce_sum,
    sqrt,
    square,
    tanh,
    transpose,
    where,
)
from ..functions.layers import affine
from ..functions.losses import real_steps
from ..nest import matched
from ..parameters import ScopeName
from ..state import named
from ..taps import tap
from ..tensor import Tensor

FAR_BELOW = -1e30
"""Score of entries beyond a row's length. Their weight is then exactly 0."""


class Attention:
    """Base class of attention mechanisms, which score the entries of a memory against a query [batch, depth].

    The keys, the product of the memory and ``memory_layer/kernel`` [width, num_units], are computed once for each call.
    A subclass defines ``score(p, query)``, which returns scores [batch, entries].

    Args:
        num_units: Width of the keys.
        memory: float [batch, entries, width].
        memory_sequence_length: Number of entries of each row, int [batch]. None: all entries. Later entries are not
            read, and a row of length 0 gets a context of zeros.
    """

    name = "attention"

    def __init__(self, num_units: int, memory: Tensor, memory_sequence_length: Any = None) -> None:
        where_declared = user_line()
        self.num_units = units(num_units, "num_units")
        if not isinstance(memory, Tensor) or memory.dtype not in FLOATS:
            raise DtypeError(f"the memory of attention must be a float Tensor, not {memory!r}", where_declared)
        if memory.rank != 3 or not isinstance(memory.type.shape[2], int):
            raise ShapeError(
                f"the memory of attention must be [batch, entries, width] of a fixed width, not {memory!r}",
                where_declared,
            )
        self.real: Tensor | None = None
        if memory_sequence_length is not None:
            self.real = real_steps(reduce_sum(memory, 2), memory_sequence_length)
            memory = where(expand_dims(self.real, 2), memory, 0.0)
        self.memory = memory
        keys = affine(memory, self.num_units, None, self.memory_scope(where_declared), ("kernel",))
        # Entries are the last axis, so that scores are vectorised over them.
        self.keys = transpose(keys, (0, 2, 1))

    def memory_scope(self, where: Where | None) -> ScopeName:
        """Return the scope of the parameter ``kernel`` that maps the memory to keys."""
        return ScopeName("memory_layer", False, where)

    @property
    def width(self) -> int:
        """Width of the context."""
        return self.memory.width

    def score(self, p: Scope, query: Tensor) -> Tensor:
        raise NotImplementedError

    def context(self, p: Scope, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return (context [batch, width], alignments [batch, entries]).

        Alignments are softmax(score), and the context is the sum of the entries weighted by them. The tap
        ``alignments`` has the alignments of all steps.
        """
        try:
            score = self.score(p, query)
        except TypeError:
            taking(self.score, f"{type(self).__name__}.score", "p", "query")
            raise
        if self.real is not None:
            score = where(self.real, score, FAR_BELOW)
        weights = exp(score - reduce_max(score, 1, keepdims=True))
        if self.real is not None:
            weights = where(self.real, weights, 0.0)
        total = maximum(reduce_sum(weights, 1, keepdims=True), 1e-30)  # 0 only for a row of length 0
        alignments = tap("alignments", weights / total)
        return reduce_sum(expand_dims(alignments, 2) * self.memory, 1), alignments


@api
class BahdanauAttention(Attention):
    """Additive attention: score = v . tanh(memory W + query Q) (Bahdanau et al. 2015).

    Parameters: W is ``memory_layer/kernel`` [width, num_units]. Under the wrapper's scope, Q is
    ``bahdanau_attention/query_layer/kernel`` [depth, num_units], and v is ``bahdanau_attention/attention_v``
    [num_units].

    Args:
        num_units: Width of the keys and of the projected query.
        memory: float [batch, entries, width].
        memory_sequence_length: Number of entries of each row, int [batch]. None: all entries.
        normalize: Replace v by g v / |v| (Salimans and Kingma 2016), and add a bias ``attention_b`` [num_units] inside
            the tanh. The scalar g is ``attention_g``, initially sqrt(1 / num_units).
    """

    name = "bahdanau_attention"

    def __init__(
        self, num_units: int, memory: Tensor, memory_sequence_length: Any = None, normalize: bool = False
    ) -> None:
        super().__init__(num_units, memory, memory_sequence_length)
        self.normalize = flag(normalize, "normalize")

    def score(self, p: Scope, query: Tensor) -> Tensor:
        n = self.num_units
        query = query @ p.kernel(f"{self.name}/query_layer/kernel", (query.width, n))
        v = p.parameter(f"{self.name}/attention_v", (n,))
        if self.normalize:
            g = p.parameter(f"{self.name}/attention_g", (), math.sqrt(1.0 / n))
            query = query + p.bias(f"{self.name}/attention_b", (n,))
            v = g * v / sqrt(reduce_sum(square(v)))
        return reduce_sum(expand_dims(v, 1) * tanh(self.keys + expand_dims(query, 2)), 1)


@api
class LuongAttention(Attention):
    """Multiplicative attention: score = query . memory W (Luong et al. 2015, the general form).

    Parameters: W is ``memory_layer/kernel`` [width, num_units]. With ``scale``, there is the scalar
    ``luong_attention/attention_g`` under the wrapper's scope.

    Args:
        num_units: Width of the keys, which is also the width of the query.
        memory: float [batch, entries, width].
        memory_sequence_length: Number of entries of each row, int [batch]. None: all entries.
        scale: Multiply the score by ``attention_g``, initially 1.
    """

    name = "luong_attention"

    def __init__(self, num_units: int, memory: Tensor, memory_sequence_length: Any = None, scale: bool = False) -> None:
        super().__init__(num_units, memory, memory_sequence_length)
        self.scale = flag(scale, "scale")

    def score(self, p: Scope, query: Tensor) -> Tensor:
        if query.width != self.num_units:
            raise ShapeError(
                f"LuongAttention({self.num_units}) compares its memory with a query of width {query.width}; "
                f"give it num_units={query.width}"
            )
        score = reduce_sum(self.keys * expand_dims(query, 2), 1)
        return score * p.parameter(f"{self.name}/attention_g", (), 1.0) if self.scale else score


@api
@telling
class AttentionWrapperState(NamedTuple):
    """State of an ``AttentionWrapper``.

    Attributes:
        cell_state: State of the cell.
        attention: Attention [batch, width], which is concatenated with the input of the next step.
    """

    cell_state: Any
    attention: Any

    def clone(self, **replaced: Any) -> AttentionWrapperState:
        """Return the state with some entries replaced, as in ``zero_state(…).clone(cell_state=encoder_state)``."""
        return self._replace(**replaced)


class AttentionWrapper(Wrapper):
    """Cell that reads a memory at every step (Luong et al. 2015; TensorFlow's ``tf.contrib.seq2seq``).

        y, cell_state' = cell([x; attention], cell_state);   context = sum of softmax(score(y)) * memory over entries
        attention' = [y; context] A with attention_layer_size, else the context

    The state is AttentionWrapperState(cell_state, attention). Below ``attention_wrapper`` are the parameters of the
    cell and of the attention. A is ``attention_layer/kernel`` [cell's output + memory's width, attention_layer_size].
    ``program.inference.taps(**feeds)["alignments"]`` [batch, time, entries] has the alignments of all steps.

    Args:
        cell: Cell to wrap.
        attention: Attention mechanism.
        attention_layer_size: Width of attention'. None: attention' is the context.
        output_attention: True: the output is attention'. False: it is y.
        initial_cell_state: Nest like the cell's state of Tensors [batch, width], such as an encoder's final state.
            None: the cell's own initial state. The initial attention is zero.

    Raises:
        DtypeError: ``attention`` is not an attention mechanism.
        StructureError: ``initial_cell_state`` does not match the cell's state.
    """

    adds_scope = True

    def __init__(
        self,
        cell: Cell,
        attention: Attention,
        attention_layer_size: int | None = None,
        output_attention: bool = True,
        initial_cell_state: Any = None,
    ) -> None:
        super().__init__(cell)
        if not isinstance(attention, Attention):
            raise DtypeError(f"AttentionWrapper needs an attention such as rg.LuongAttention(…), not {attention!r}")
        self.attention = attention
        self.size = None if attention_layer_size is None else units(attention_layer_size, "attention_layer_size")
        self.output_attention = flag(output_attention, "output_attention")
        self.initial_cell_state = initial_cell_state
        if initial_cell_state is not None:
            self.initial_cell_state = matched(named(cell), initial_cell_state, f"{cell!r}: initial_cell_state")

    @property
    def state_type(self) -> Any:
        return AttentionWrapperState

    def state(self) -> Any:
        return {"cell_state": self.cell, "attention": self.size or self.attention.width}

    def _output(self) -> int | Cell:
        return (self.size or self.attention.width) if self.output_attention else self.cell

    def _cell_input(self, p: Scope, x: Tensor, attention: Tensor) -> Tensor:
        """Return the cell's input: the step's input concatenated with the previous attention."""
        return concat([x, attention])

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        joined = self._cell_input(p, self._one(x, "an input"), state["attention"])
        output, cell_state = yield p.cell("", self.cell), joined, state["cell_state"]
        self._one(output, "an output")
        attention, _ = self.attention.context(p, output)
        if self.size is not None:
            both = concat([output, attention])
            attention = both @ p.kernel("attention_layer/kernel", (both.width, self.size))
        return attention if self.output_attention else output, {"cell_state": cell_state, "attention": attention}

    def _one(self, value: Any, what: str) -> Tensor:
        """Return ``value``. Raise ``DtypeError`` if it is not one Tensor; ``what`` names it in the error."""
        if not isinstance(value, Tensor):
            raise DtypeError(f"AttentionWrapper around {self.cell!r} needs one Tensor as {what}, not {shown(value)}")
        return value

    def nested_initial_state(self, p: Scope) -> NestedInitialState:
        cell_state = self.initial_cell_state
        if cell_state is None:
            cell_state = yield p.cell("", self.cell)
        return {"cell_state": cell_state, "attention": None}
