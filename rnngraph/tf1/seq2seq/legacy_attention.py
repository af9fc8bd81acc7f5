"""Decoders of ``tf.contrib.legacy_seq2seq`` that attend to their encoder (Vinyals et al. 2015)."""

from __future__ import annotations

from typing import Any

from ...declare.cell import Cell, check_cell
from ...declare.functions import basic as functions
from ...declare.nest import flatten
from ...declare.tensor import Tensor
from ...formats.operators.attention import additive_scores, attend
from ...formats.operators.backend import TensorBackend
from ...support.errors import ArgumentError, ShapeError
from ..cells.subclassing import RNNCell
from ..core.dtypes import dtype_name
from ..core.scopes import get_variable_scope, variable_scope
from ..core.tensors import gives_tensors
from ..core.variables import get_variable
from ..ops.functions import concat, embedding_lookup, expand_dims, matmul, reshape, softmax, zeros
from ..ops.recurrent.contrib_cells import OutputProjectionWrapper
from ..ops.recurrent.drivers import static_rnn
from ..ops.recurrent.linear import linear
from ..ops.shapes import shape
from .legacy import Decoded, Next, Steps, decode_with_feedback, encode_symbols, greedy_feedback
from .losses import check_lists


class _Heads:
    """Additive attention with several heads. Variables are created in the open scope.

    Attributes:
        states: Keys and values [batch, entries, size].
        size: Width of the states, and of each head's context.
        count: Number of heads.
    """

    def __init__(self, states: Tensor, count: int, dtype: str) -> None:
        self.states, self.size, self.count = states, states.width, count
        self._heads = []
        for head in range(count):
            kernel = get_variable(f"AttnW_{head}", [1, 1, self.size, self.size], dtype)
            keys = matmul(states, reshape(kernel, [self.size, self.size]))
            self._heads.append((keys, get_variable(f"AttnV_{head}", [self.size], dtype)))

    def zero_contexts(self, rows: Any) -> list[Tensor]:
        """Return a context [rows, size] of zeros for each head, which the first step reads."""
        return [zeros([rows, self.size], self.states.dtype) for _ in self._heads]

    def contexts(self, state: Any) -> list[Tensor]:
        """Return each head's context [batch, size]. The query is a cell's state, with its Tensors concatenated."""
        leaves = flatten(state)
        query = leaves[0] if len(leaves) == 1 else concat(leaves, 1)
        sums = []
        for head, (keys, v) in enumerate(self._heads):
            with variable_scope(f"Attention_{head}"):
                projected = expand_dims(linear(query, self.size, True), 1)
                scores = additive_scores(TensorBackend(), projected, keys, v)
                sums.append(functions.squeeze(attend(TensorBackend(), scores, self.states, softmax)[0], 1))
        return sums


class _AttentionCell(RNNCell):
    """Cell of a decoder with attention. The state is (state of the inner cell, contexts of the previous step).

    With ``has_attended``, the variables of the attention exist already, and are reused.
    """

    def __init__(self, cell: Any, heads: _Heads, width: int, has_attended: bool) -> None:
        super().__init__()
        self._cell, self._heads, self._width, self._has_attended = cell, heads, width, has_attended

    @property
    def state_size(self) -> Any:
        return self._cell.state_size, (self._heads.size,) * self._heads.count

    @property
    def output_size(self) -> int:
        return self._width

    def __call__(self, inputs: Tensor, state: Any = None, scope: Any = None) -> tuple[Tensor, Any]:
        before, contexts = state
        output, after = self._cell(linear([inputs, *contexts], inputs.width, True), before)
        with variable_scope(get_variable_scope(), reuse=True if self._has_attended else None):
            contexts = tuple(self._heads.contexts(after))
        with variable_scope("AttnOutputProjection"):
            return linear([output, *contexts], self._width, True), (after, contexts)


@gives_tensors
def attention_decoder(
    decoder_inputs: Steps,
    initial_state: Any,
    attention_states: Tensor,
    cell: Cell,
    output_size: int | None = None,
    num_heads: int = 1,
    loop_function: Next = None,
    dtype: Any = None,
    scope: Any = None,
    initial_state_attention: bool = False,
) -> Decoded:
    """Run a cell over a list of inputs, with attention to ``attention_states`` [batch, entries, width] at every step.

    The cell's input is a projection of the step's input and the previous contexts, concatenated. The output is a
    projection of the cell's output and the new contexts, concatenated.

    Args:
        output_size: Width of the outputs, by default that of the cell's output.
        loop_function: Function of (output, index of the next step) that returns the next input.
        initial_state_attention: True if the first step reads the contexts of the initial state; False for zeros.
    """
    check_lists("attention_decoder", decoder_inputs=decoder_inputs)
    check_cell(cell, "attention_decoder")
    if num_heads < 1:
        raise ArgumentError(f"attention_decoder needs num_heads=1 or more, not {num_heads}")
    if attention_states.rank != 3 or not isinstance(attention_states.shape[2], int):
        raise ShapeError(f"attention_states must be [batch, entries, width] of fixed width, not {attention_states!r}")
    width = cell.output_size if output_size is None else output_size
    with variable_scope(scope or "attention_decoder", dtype=None if dtype is None else dtype_name(dtype)) as within:
        heads = _Heads(attention_states, num_heads, within.dtype)
        contexts = heads.zero_contexts(shape(decoder_inputs[0])[0])
        if initial_state_attention:
            contexts = heads.contexts(initial_state)
        step = _AttentionCell(cell, heads, width, initial_state_attention)
        if loop_function is None:
            outputs, (state, _) = static_rnn(step, list(decoder_inputs), (initial_state, tuple(contexts)), scope=within)
            return outputs, state
        outputs, state = [], (initial_state, tuple(contexts))
        for number, x in enumerate(decoder_inputs):
            if number:
                get_variable_scope().reuse_variables()
                with variable_scope("loop_function", reuse=True):
                    x = loop_function(outputs[-1], number)
            output, state = step(x, state)
            outputs.append(output)
    return outputs, state[0]


@gives_tensors
def embedding_attention_decoder(
    decoder_inputs: Steps,
    initial_state: Any,
    attention_states: Tensor,
    cell: Cell,
    num_symbols: int,
    embedding_size: int,
    num_heads: int = 1,
    output_size: int | None = None,
    output_projection: Any = None,
    feed_previous: bool = False,
    update_embedding_for_previous: bool = True,
    dtype: Any = None,
    scope: Any = None,
    initial_state_attention: bool = False,
) -> Decoded:
    """Run ``attention_decoder`` over the embeddings of a list of symbols, int [batch].

    ``feed_previous`` and the arguments of embeddings are those of ``embedding_rnn_decoder``.
    """
    check_lists("embedding_attention_decoder", decoder_inputs=decoder_inputs)
    kind = None if dtype is None else dtype_name(dtype)
    with variable_scope(scope or "embedding_attention_decoder", dtype=kind):
        embedding = get_variable("embedding", [num_symbols, embedding_size])
        loop = greedy_feedback(embedding, output_projection, update_embedding_for_previous) if feed_previous else None
        embedded = [embedding_lookup(embedding, item) for item in decoder_inputs]
        return attention_decoder(
            embedded,
            initial_state,
            attention_states,
            cell,
            output_size,
            num_heads,
            loop,
            initial_state_attention=initial_state_attention,
        )


@gives_tensors
def embedding_attention_seq2seq(
    encoder_inputs: Steps,
    decoder_inputs: Steps,
    cell: Cell,
    num_encoder_symbols: int,
    num_decoder_symbols: int,
    embedding_size: int,
    num_heads: int = 1,
    output_projection: Any = None,
    feed_previous: Any = False,
    dtype: Any = None,
    scope: Any = None,
    initial_state_attention: bool = False,
) -> Decoded:
    """Run ``embedding_rnn_seq2seq`` with ``attention_decoder`` as decoder, which attends to the encoder's outputs."""
    kind = None if dtype is None else dtype_name(dtype)
    with variable_scope(scope or "embedding_attention_seq2seq", dtype=kind) as within:
        outputs, state = encode_symbols(cell, encoder_inputs, num_encoder_symbols, embedding_size, within.dtype)
        states = functions.stack(outputs, 1)
        size = num_decoder_symbols if output_projection is None else None
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols)

        def decode(feeds: bool, update: bool) -> Decoded:
            return embedding_attention_decoder(
                decoder_inputs,
                state,
                states,
                cell,
                num_decoder_symbols,
                embedding_size,
                num_heads,
                size,
                output_projection,
                feeds,
                update,
                initial_state_attention=initial_state_attention,
            )

        return decode_with_feedback(feed_previous, decode)
