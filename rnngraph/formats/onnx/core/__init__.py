"""What readers of ops are made of. Read ``model``, which takes a file apart by ``messages``, with
``inlining`` of its functions; ``sizes`` and ``known``: what follows from
a file and from open sizes; ``values`` and ``tensors``, which declare all else; ``ranges``: indices that count along an
axis; ``table``: ops, and what their readers are given; ``functions`` that ONNX names and rnngraph doesn't. Knows no op.
"""
