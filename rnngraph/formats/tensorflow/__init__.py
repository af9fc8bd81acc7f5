"""Reads and writes TensorFlow's checkpoints without TensorFlow. No code in a file is executed.

``variables`` reads checkpoints. ``sorted_table`` reads the table of names, ``messages`` defines the protocol buffers in
the table, ``tensors`` decodes arrays, and ``checksums`` computes checksums. ``writing`` writes checkpoints.
"""
