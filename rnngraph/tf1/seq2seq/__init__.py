"""From sequence to sequence under TensorFlow 1.x's names.

``legacy`` and ``legacy_attention`` are ``tf.contrib.legacy_seq2seq``, over lists of steps; ``losses`` are those of
sequences, of lists and of Tensors. ``attention``, ``helpers`` and ``decoders`` are ``tf.contrib.seq2seq``.
"""
