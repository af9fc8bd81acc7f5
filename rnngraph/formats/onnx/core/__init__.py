"""What readers of ops are made of. Read ``model``, which takes a file apart; ``sizes`` and ``known``: what follows from
a file and from open sizes; ``values`` and ``tensors``, which declare all else; ``table``: ops, and what their readers
are given; ``functions`` that ONNX names and rnngraph doesn't. Knows no op.
"""
