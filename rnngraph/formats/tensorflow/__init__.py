"""TensorFlow's checkpoints without TensorFlow: ``sorted_table`` reads the table of names, ``messages`` the protocol
buffers in it, ``tensors`` the arrays of its dtypes, ``variables`` whole checkpoints; ``checksums`` tell damage, and
``writing`` writes checkpoints as TensorFlow reads them. Executes nothing of what it reads.
"""
