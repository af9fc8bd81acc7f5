"""TensorFlow's checkpoints without TensorFlow: ``sorted_table`` reads the table of names, ``messages`` the protocol
buffers in it, ``variables`` the arrays. Executes nothing of what it reads.
"""
