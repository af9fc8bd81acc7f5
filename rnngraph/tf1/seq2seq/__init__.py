"""Encoders, decoders and losses of sequences under TensorFlow 1.x's names.

- ``legacy`` and ``legacy_attention`` are ``tf.contrib.legacy_seq2seq``, over lists of steps.
- ``losses`` has losses over sequences, which are lists of steps or Tensors.
- ``stepping`` has the loop of ``raw_rnn`` (``tf.nn.raw_rnn``) and of decoders, which ends when all rows are finished.
- ``histories`` records alignments, the attention weights of each step.
- ``helpers``, ``decoders`` and ``beam_search`` are ``tf.contrib.seq2seq``. Its attention is in
  ``tf1/ops/recurrent/seq2seq.py``.
"""
