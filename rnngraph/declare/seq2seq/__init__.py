"""Sequence-to-sequence models, as in ``tf.contrib.seq2seq``.

``attention`` has attention over a memory, and ``decode`` a decoder that feeds its outputs back.
"""
