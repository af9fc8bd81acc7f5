"""Sequence-to-sequence models, as in ``tf.contrib.seq2seq``.

``attention`` scores a memory, and ``decode`` is a decoder that feeds its outputs back. ``beam`` defines a step of a
beam search, and ``search`` is the decoder that runs one. ``sampling`` draws classes. ``ctc`` is the loss for labels
that are not aligned with the steps.
"""
