"""Reads and writes TensorFlow's checkpoints without TensorFlow, and executes nothing of a file.

``variables`` reads checkpoints. ``sorted_table`` reads the table of names, ``messages`` the protocol buffers in it,
``tensors`` arrays of its dtypes, and ``checksums`` finds damage. ``writing`` writes checkpoints.
"""
