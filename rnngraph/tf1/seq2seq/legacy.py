"""``tf.contrib.legacy_seq2seq``: encoders and decoders over lists with one Tensor per step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from ...declare.cell import Cell, check_cell
from ...declare.functions import basic as functions
from ...declare.nest import flatten, pack
from ...declare.tensor import Tensor
from ...support.errors import ArgumentError, DtypeError, shown
from ..core.dtypes import dtype_name
from ..core.scopes import get_variable_scope, name_scope, variable_scope
from ..core.tensors import gives_tensors
from ..core.variables import get_variable
from ..ops.functions import argmax, embedding_lookup
from ..ops.initializers import random_uniform_initializer
from ..ops.recurrent.contrib_cells import OutputProjectionWrapper
from ..ops.recurrent.drivers import static_rnn
from ..ops.selection import where
from ..ops.shapes import stop_gradient, xw_plus_b
from .losses import Loss, check_lists, legacy_sequence_loss, sequence_loss_by_example

Next = Callable[[Tensor, int], Tensor] | None
"""Loop function of (output of a step, index of the next step) that returns the next step's input; None for none."""

Steps = Sequence[Tensor]
"""List with one Tensor [batch, …] for each step."""

Decoded = tuple[list[Tensor], Any]
"""(list of the steps' outputs, final state)."""


def greedy_feedback(embedding: Tensor, projection: Any = None, update: bool = True) -> Callable[[Tensor, int], Tensor]:
    """Return a loop function that returns the embedding of the previous step's most likely symbol.

    Args:
        embedding: Table [symbols, size].
        projection: (weights, biases) of the projection from outputs to logits of symbols. None: outputs are logits.
        update: True to propagate gradients to the embedding.
    """

    def following(previous: Tensor, step: int) -> Tensor:
        logits = previous if projection is None else xw_plus_b(previous, *projection)
        embedded: Tensor = embedding_lookup(embedding, argmax(logits, 1))
        return embedded if update else stop_gradient(embedded)

    return following


@gives_tensors
def rnn_decoder(
    decoder_inputs: Steps, initial_state: Any, cell: Cell, loop_function: Next = None, scope: Any = None
) -> Decoded:
    """Run a cell over a list of inputs [batch, width]. Return (list of outputs, final state).

    With ``loop_function``, all inputs but the first are computed from the previous output.
    """
    check_lists("rnn_decoder", decoder_inputs=decoder_inputs)
    check_cell(cell, "rnn_decoder")
    call: Any = cell
    with variable_scope(scope or "rnn_decoder"):
        outputs: list[Tensor] = []
        state = initial_state
        for step, x in enumerate(decoder_inputs):
            if loop_function is not None and outputs:
                with variable_scope("loop_function", reuse=True):
                    x = loop_function(outputs[-1], step)
            if step:
                get_variable_scope().reuse_variables()
            output, state = call(x, state)
            outputs.append(output)
    return outputs, state


@gives_tensors
def basic_rnn_seq2seq(
    encoder_inputs: Steps, decoder_inputs: Steps, cell: Cell, dtype: Any = "float32", scope: Any = None
) -> Decoded:
    """Run an encoder, and a decoder from its final state, with separate variables. Return the decoder's results."""
    with variable_scope(scope or "basic_rnn_seq2seq"):
        _, state = static_rnn(copy.deepcopy(cell), list(encoder_inputs), dtype=dtype)
        return rnn_decoder(decoder_inputs, state, cell)


@gives_tensors
def tied_rnn_seq2seq(
    encoder_inputs: Steps,
    decoder_inputs: Steps,
    cell: Cell,
    loop_function: Next = None,
    dtype: Any = "float32",
    scope: Any = None,
) -> Decoded:
    """Run an encoder, and a decoder from its final state, with shared variables. Return the decoder's results."""
    with variable_scope("combined_tied_rnn_seq2seq"):
        name = scope or "tied_rnn_seq2seq"
        _, state = static_rnn(cell, list(encoder_inputs), dtype=dtype, scope=name)
        get_variable_scope().reuse_variables()
        return rnn_decoder(decoder_inputs, state, cell, loop_function, name)


@gives_tensors
def embedding_rnn_decoder(
    decoder_inputs: Steps,
    initial_state: Any,
    cell: Cell,
    num_symbols: int,
    embedding_size: int,
    output_projection: Any = None,
    feed_previous: bool = False,
    update_embedding_for_previous: bool = True,
    scope: Any = None,
) -> Decoded:
    """Run ``rnn_decoder`` over the embeddings of a list of symbols, int [batch].

    Args:
        num_symbols: Number of rows of the embedding table, which is the variable ``embedding``.
        output_projection: (weights, biases) from outputs to logits. None: outputs are logits.
        feed_previous: True to read the most likely symbol of the previous output, in all steps but the first.
        update_embedding_for_previous: False to stop gradients to the embeddings of these symbols.
    """
    check_lists("embedding_rnn_decoder", decoder_inputs=decoder_inputs)
    with variable_scope(scope or "embedding_rnn_decoder"):
        embedding = get_variable("embedding", [num_symbols, embedding_size])
        loop = greedy_feedback(embedding, output_projection, update_embedding_for_previous) if feed_previous else None
        embedded = [embedding_lookup(embedding, item) for item in decoder_inputs]
        return rnn_decoder(embedded, initial_state, cell, loop)


def encode_symbols(cell: Cell, inputs: Steps, symbols: int, size: int, dtype: str) -> Decoded:
    """Run an encoder over the embeddings of symbols. Return (outputs, final state).

    Variables have the names of TensorFlow's ``EmbeddingWrapper``.

    Args:
        cell: Cell of the encoder.
        inputs: List of symbols, int [batch].
        symbols: Number of symbols.
        size: Width of the embeddings.
        dtype: Dtype of the variables.
    """
    check_lists("an encoder", encoder_inputs=inputs)
    with variable_scope("rnn"), variable_scope("embedding_wrapper"):
        default = random_uniform_initializer(-(3**0.5), 3**0.5)
        initializer = get_variable_scope().initializer or default
        table = get_variable("embedding", [symbols, size], dtype, initializer)
    steps = [embedding_lookup(table, item) for item in inputs]
    outputs, state = static_rnn(copy.deepcopy(cell), steps, dtype=dtype, scope="rnn/embedding_wrapper")
    return outputs, state


@gives_tensors
def embedding_rnn_seq2seq(
    encoder_inputs: Steps,
    decoder_inputs: Steps,
    cell: Cell,
    num_encoder_symbols: int,
    num_decoder_symbols: int,
    embedding_size: int,
    output_projection: Any = None,
    feed_previous: Any = False,
    dtype: Any = None,
    scope: Any = None,
) -> Decoded:
    """Run an encoder of symbols, and a decoder from its final state. Return the decoder's results.

    Outputs are logits of symbols, or the cell's outputs if ``output_projection`` is set.

    Args:
        feed_previous: True to let the decoder read its most likely symbols, except in the first step, in place of
            ``decoder_inputs``: a bool or a scalar bool Tensor.
    """
    with variable_scope(scope or "embedding_rnn_seq2seq", dtype=None if dtype is None else dtype_name(dtype)) as within:
        _, state = encode_symbols(cell, encoder_inputs, num_encoder_symbols, embedding_size, within.dtype)
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols)

        def decode(feeds: bool, update: bool) -> Decoded:
            return embedding_rnn_decoder(
                decoder_inputs, state, cell, num_decoder_symbols, embedding_size, output_projection, feeds, update
            )

        return decode_with_feedback(feed_previous, decode)


@gives_tensors
def embedding_tied_rnn_seq2seq(
    encoder_inputs: Steps,
    decoder_inputs: Steps,
    cell: Cell,
    num_symbols: int,
    embedding_size: int,
    num_decoder_symbols: int | None = None,
    output_projection: Any = None,
    feed_previous: Any = False,
    dtype: Any = None,
    scope: Any = None,
) -> Decoded:
    """Run ``embedding_rnn_seq2seq`` with one embedding and one cell for encoder and decoder."""
    check_lists("embedding_tied_rnn_seq2seq", encoder_inputs=encoder_inputs)
    check_lists("embedding_tied_rnn_seq2seq", decoder_inputs=decoder_inputs)
    kind = None if dtype is None else dtype_name(dtype)
    with variable_scope(scope or "embedding_tied_rnn_seq2seq", dtype=kind) as within:
        embedding = get_variable("embedding", [num_symbols, embedding_size])
        encoder = [embedding_lookup(embedding, item) for item in encoder_inputs]
        decoder = [embedding_lookup(embedding, item) for item in decoder_inputs]
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols or num_symbols)

        def decode(feeds: bool, update: bool) -> Decoded:
            loop = greedy_feedback(embedding, output_projection, update) if feeds else None
            return tied_rnn_seq2seq(encoder, decoder, cell, loop, within.dtype)

        return decode_with_feedback(feed_previous, decode)


def decode_with_feedback(feed_previous: Any, decode: Callable[[bool, bool], Decoded]) -> Decoded:
    """Return the result of a decoder that reads its own outputs if ``feed_previous`` is True, else its inputs.

    If ``feed_previous`` is a Tensor, both variants are computed with the same variables, and one is selected. Gradients
    then do not reach the embeddings of outputs.

    Args:
        feed_previous: A bool or a scalar bool Tensor.
        decode: Function of two bools that runs the decoder: whether it reads its outputs, and whether gradients reach
            the embeddings of these outputs.
    """
    if not isinstance(feed_previous, Tensor):
        return decode(bool(feed_previous), True)
    if feed_previous.dtype != "bool" or feed_previous.rank:
        raise DtypeError(f"feed_previous must be a bool or a scalar bool Tensor, not {shown(feed_previous)}")
    variants = []
    for feeds in (True, False):
        with variable_scope(get_variable_scope(), reuse=None if feeds else True):
            variants.append(decode(feeds, False))
    leaves = [
        where(functions.broadcast_to(feed_previous, one.type.shape), one, other)
        for one, other in zip(*map(flatten, variants), strict=True)
    ]
    outputs, state = pack(variants[0], leaves)
    return outputs, state


@gives_tensors
def model_with_buckets(
    encoder_inputs: Steps,
    decoder_inputs: Steps,
    targets: Steps,
    weights: Steps,
    buckets: Sequence[tuple[int, int]],
    seq2seq: Callable[[Steps, Steps], Decoded],
    softmax_loss_function: Loss = None,
    per_example_loss: bool = False,
    name: str | None = None,
) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Build a model for several pairs of lengths, the buckets, with shared variables.

    Args:
        encoder_inputs: List of inputs for the longest bucket, as are the next three arguments.
        targets: Labels of each decoder step, int [batch].
        weights: Weights of each decoder step, [batch].
        buckets: (steps of the encoder, steps of the decoder) of each bucket.
        seq2seq: Function of (encoder inputs, decoder inputs), both lists, that returns (outputs, final state).
        softmax_loss_function: Function of ``labels`` and ``logits`` that replaces the cross-entropy.
        per_example_loss: True for a loss of each row [batch], rather than their mean.

    Returns:
        (list of the decoder's outputs for each bucket, loss of each bucket).
    """
    if not isinstance(buckets, list | tuple) or not buckets:
        raise DtypeError(f"buckets must be a list of (encoder steps, decoder steps), not {shown(buckets)}")
    longest = [max(int(bucket[side]) for bucket in buckets) for side in (0, 1)]
    for what, items, min_length in (
        ("encoder_inputs", encoder_inputs, longest[0]),
        ("decoder_inputs", decoder_inputs, longest[1]),
        ("targets", targets, longest[1]),
        ("weights", weights, longest[1]),
    ):
        if not isinstance(items, list | tuple) or len(items) < min_length:
            raise ArgumentError(
                f"model_with_buckets: {what} must be a list of {min_length} Tensors or more, for the longest bucket"
            )
    outputs, losses = [], []
    loss = sequence_loss_by_example if per_example_loss else legacy_sequence_loss
    with name_scope(name, "model_with_buckets"):
        for number, (first, second) in enumerate(buckets):
            with variable_scope(get_variable_scope(), reuse=True if number else None):
                decoded, _ = seq2seq(list(encoder_inputs[:first]), list(decoder_inputs[:second]))
                outputs.append(decoded)
                losses.append(
                    loss(decoded, targets[:second], weights[:second], softmax_loss_function=softmax_loss_function)
                )
    return outputs, losses
