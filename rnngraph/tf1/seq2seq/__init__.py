"""From sequence to sequence under TensorFlow 1.x's names.

``legacy`` and ``legacy_attention`` are ``tf.contrib.legacy_seq2seq``, over lists of steps; ``losses`` are those of
sequences, of lists and of Tensors. ``stepping`` goes on until every row of a batch is finished, as ``raw_rnn``
(``tf.nn.raw_rnn``) and decoders do. ``helpers``, ``decoders`` and ``beam_search`` are ``tf.contrib.seq2seq``, but for
attention, which is in ``tf1/ops/seq2seq.py``.
"""
