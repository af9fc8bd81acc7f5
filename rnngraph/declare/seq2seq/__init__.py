"""From sequence to sequence, as in ``tf.contrib.seq2seq``: ``attention`` over a memory, ``decode`` that feeds outputs
back.
"""
