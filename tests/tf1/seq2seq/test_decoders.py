"""`tf.contrib.seq2seq` and lists of steps, against cells that are called one step at a time, and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.contrib import legacy_seq2seq, seq2seq

SYMBOLS, LONGEST, END = 5, 6, 2
DRAW = np.random.default_rng(11)
MEMORY = DRAW.normal(size=(3, 4, 3))
TARGETS, LENGTHS = DRAW.integers(0, SYMBOLS, (3, LONGEST)), np.array([4, 5, 1])


class Net:
    """Decoder with attention, with its parts and feeds."""

    def __init__(self) -> None:
        kind = tf.float64
        self.memory, self.n = tf.placeholder(kind, [None, 4, 3]), tf.placeholder(tf.int32, [None])
        self.ids = tf.placeholder(tf.int32, [None, LONGEST])
        self.table = tf.get_variable("table", [SYMBOLS, 4], kind)
        self.layer = tf.layers.Dense(SYMBOLS, name="logits")
        attention = seq2seq.BahdanauAttention(5, self.memory)
        self.cell: Any = seq2seq.AttentionWrapper(tf.nn.rnn_cell.GRUCell(6), attention, attention_layer_size=6)
        self.rows = tf.shape(self.memory)[0]
        first = tf.get_variable("first", [6], kind)
        self.state = self.cell.zero_state(self.rows, kind).clone(cell_state=tf.tile(first[None], [self.rows, 1]))
        self.inputs = tf.nn.embedding_lookup(self.table, self.ids)
        self.feed = {self.memory: MEMORY, self.n: LENGTHS, self.ids: TARGETS}

    def decoded(self, helper: Any, **options: Any) -> Any:
        with tf.variable_scope("net", reuse=tf.AUTO_REUSE):
            return seq2seq.dynamic_decode(seq2seq.BasicDecoder(self.cell, helper, self.state, self.layer), **options)

    def by_hand(self, following: Any, steps: int) -> Any:
        """Return logits [batch, steps, symbols] of a Python loop. ``following`` maps logits to the next input."""
        logits, state, inputs = [], self.state, self.inputs[:, 0]
        for step in range(steps):
            with tf.variable_scope("net/decoder", reuse=True):
                output, state = self.cell(inputs, state)
                logits.append(self.layer(output))
            inputs = following(step + 1, logits[-1])
        return tf.stack(logits, 1)


def test_decoders_are_loops_of_their_cells() -> None:
    net = Net()
    taught = seq2seq.TrainingHelper(net.inputs, net.n)
    same = seq2seq.CustomHelper(taught.initialize, taught.sample, taught.next_inputs)
    whole, kept, lengths = net.decoded(taught, impute_finished=True)
    stepped, kept_too, lengths_too = net.decoded(same, impute_finished=True)
    longer, _, _ = net.decoded(taught)
    fewer, _, fewer_lengths = net.decoded(taught, maximum_iterations=tf.reduce_min(net.n) + 1)
    greedy, _, ends = net.decoded(
        seq2seq.GreedyEmbeddingHelper(net.table, net.ids[:, 0], END), maximum_iterations=4, output_time_major=True
    )
    read = net.by_hand(lambda step, logits: net.inputs[:, min(step, LONGEST - 1)], 5)
    own = net.by_hand(lambda step, logits: tf.nn.embedding_lookup(net.table, tf.argmax(logits, 1)), 4)
    names = {variable.op.name for variable in tf.trainable_variables()}
    assert {
        "memory_layer/kernel",
        "net/decoder/attention_wrapper/gru_cell/gates/kernel",
        "net/decoder/logits/bias",
        "net/decoder/attention_wrapper/bahdanau_attention/attention_v",
    } <= names
    losses = [
        seq2seq.sequence_loss(item.rnn_output, net.ids, tf.sequence_mask(net.n, LONGEST, tf.float64))
        for item in (whole, stepped)
    ]
    slopes = tf.gradients(losses[0] - losses[1], [net.table, net.memory])
    fetches = [
        whole,
        stepped,
        longer,
        fewer,
        greedy,
        read,
        own,
        lengths,
        lengths_too,
        fewer_lengths,
        ends,
        kept,
        kept_too,
    ]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        results = session.run(fetches, net.feed)
        for difference in session.run(slopes, net.feed):
            np.testing.assert_allclose(difference, 0, atol=1e-13)
    whole, stepped, longer, fewer, greedy, read, own, lengths, lengths_too, fewer_lengths, ends, kept, kept_too = (
        results
    )
    real = np.arange(LONGEST) < LENGTHS[:, None]
    np.testing.assert_allclose(whole.rnn_output[:, :5], np.where(real[:, :5, None], read, 0), rtol=1e-12)
    np.testing.assert_array_equal(whole.sample_id[:, :5], np.where(real[:, :5], read.argmax(2), 0))
    np.testing.assert_allclose(longer.rnn_output[:, :5], read, rtol=1e-12)  # all rows, up to the end of the longest one
    assert not longer.rnn_output[:, 5].any()
    np.testing.assert_allclose(fewer.rnn_output[:, :2], read[:, :2], rtol=1e-12)
    assert not fewer.rnn_output[:, 2:].any()
    for one, other in zip(tf.nest.flatten([whole, kept]), tf.nest.flatten([stepped, kept_too]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_array_equal([lengths, lengths_too, fewer_lengths], [LENGTHS, LENGTHS, np.minimum(LENGTHS, 2)])
    stops = own.argmax(2) == END
    expected = np.where(stops.any(1), stops.argmax(1) + 1, 4)
    np.testing.assert_array_equal(ends, expected)
    np.testing.assert_allclose(greedy.rnn_output.transpose(1, 0, 2)[:, : expected.max()], own[:, : expected.max()])


@pytest.mark.exhaustive
def test_samples_and_mixtures() -> None:
    net = Net()
    taught, _, _ = net.decoded(seq2seq.TrainingHelper(net.inputs, net.n))
    mixed = [
        net.decoded(seq2seq.ScheduledEmbeddingTrainingHelper(net.inputs, net.n, net.table, rate))[0]
        for rate in (0.0, 1.0)
    ]
    sampled, _, lengths = net.decoded(
        seq2seq.SampleEmbeddingHelper(net.table, net.ids[:, 0], END, softmax_temperature=0.5), maximum_iterations=5
    )
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        taught, (never, always), sampled, lengths = session.run([taught, mixed, sampled, lengths], net.feed)
    np.testing.assert_allclose(never.rnn_output, taught.rnn_output, rtol=1e-12)
    np.testing.assert_array_equal(never.sample_id[:, :5], -1)
    assert (always.sample_id[:, :5] >= 0).all()
    assert np.abs(always.rnn_output - taught.rnn_output).max() > 1e-3
    for ids, length in zip(sampled.sample_id, lengths, strict=True):
        assert END not in ids[: length - 1]
        assert length == 5 or ids[length - 1] == END


def test_losses_of_sequences() -> None:
    logits = DRAW.normal(size=(3, LONGEST, SYMBOLS))
    weights = (np.arange(LONGEST) < LENGTHS[:, None]) * 1.0
    shifted = np.exp(logits - logits.max(2, keepdims=True))
    losses = (
        -np.log(np.take_along_axis(shifted / shifted.sum(2, keepdims=True), TARGETS[:, :, None], 2))[:, :, 0] * weights
    )
    tensors = [tf.constant(item) for item in (logits, TARGETS, weights)]
    lists = [tf.unstack(item, axis=1) for item in tensors]
    fetches = [
        seq2seq.sequence_loss(*tensors),
        seq2seq.sequence_loss(*tensors, average_across_batch=False),
        seq2seq.sequence_loss(*tensors, average_across_timesteps=False),
        seq2seq.sequence_loss(*tensors, average_across_timesteps=False, average_across_batch=False),
        legacy_seq2seq.sequence_loss_by_example(*lists),
        legacy_seq2seq.sequence_loss(*lists),
        legacy_seq2seq.sequence_loss_by_example(*lists, average_across_timesteps=False),
    ]
    expected = [
        losses.sum() / weights.sum(),
        losses.sum(1) / weights.sum(1),
        losses.sum(0) / (weights.sum(0) + 1e-12),
        losses,
        losses.sum(1) / weights.sum(1),
        (losses.sum(1) / weights.sum(1)).mean(),
        losses.sum(1),
    ]
    with tf.Session() as session:
        for one, other in zip(session.run(fetches), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.exhaustive
def test_lists_of_symbols() -> None:
    encoder = [tf.placeholder(tf.int32, [None]) for _ in range(3)]
    decoder = [tf.placeholder(tf.int32, [None]) for _ in range(3)]
    own = tf.placeholder(tf.bool, [])
    cell = tf.nn.rnn_cell.GRUCell(4)

    def outputs(feeds: Any, reuse: Any) -> Any:
        with tf.variable_scope("", reuse=reuse):
            return legacy_seq2seq.embedding_tied_rnn_seq2seq(encoder, decoder, cell, 6, 3, feed_previous=feeds)[0]

    variants = [outputs(False, None), outputs(True, True), outputs(own, True)]
    variables = tf.trainable_variables()
    assert (variables[0].op.name, len(variables)) == ("embedding_tied_rnn_seq2seq/embedding", 7)
    feed = {item: DRAW.integers(0, 6, 4) for item in [*encoder, *decoder]}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for flag in (False, True):
            taught, fed_back, chosen = session.run(variants, {**feed, own: flag})
            np.testing.assert_allclose(chosen, fed_back if flag else taught, rtol=1e-5, atol=1e-6)
        symbols = [np.argmax(item, 1) for item in fed_back[:-1]]  # its own samples, as inputs
        feed |= dict(zip(decoder[1:], symbols, strict=True))
        np.testing.assert_allclose(session.run(variants, {**feed, own: True})[0], fed_back, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda net: net.decoded(seq2seq.GreedyEmbeddingHelper(net.table, net.n, END)), "depends on the data"),
        (lambda net: net.decoded(3), "needs a helper"),
        (lambda net: seq2seq.dynamic_decode(net.cell), "needs a decoder"),
        (lambda net: seq2seq.TrainingHelper(net.ids, net.n), r"\[batch, time, width\]"),
        (
            lambda net: seq2seq.BeamSearchDecoder(net.cell, net.table, net.n[0], END, net.state, 3),
            "start_tokens must be an int Tensor",
        ),
        (lambda net: seq2seq.tile_batch(net.n[0], 3), "not a scalar"),
        (lambda net: seq2seq.sequence_loss(net.memory, net.n, net.n), r"\[batch, time, classes\]"),
        (lambda net: legacy_seq2seq.rnn_decoder(net.inputs, net.state, net.cell), "one per step"),
        (lambda net: legacy_seq2seq.sequence_loss([net.n], [], [net.n]), "one per step"),
        (lambda net: tf.nn.raw_rnn(net.cell, lambda *_: 3), "loop_fn must return"),
    ],
)
def test_mistakes_name_the_line(declare: Any, message: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=rf"test_decoders\.py:\d+: .*{message}"):
        declare(Net())
