"""``write_onnx``: an inference graph as an ONNX file.

``model`` is the entry point. ``recognition``, a package of its own, splits loops and recognises those that are ONNX's
LSTM, GRU, RNN or LinearAttention. ``scope`` holds the nodes of a graph or loop body under construction; ``sizes``
computes run-time sizes in it. ``operators`` writes all ops of the graph IR, with ``arithmetic``, except loops.
``loops`` writes loops, with ``recurrent`` and ``linear_attention`` for recognised ones; ``convolutions`` writes
windows. ``tidy`` names outputs and drops unused nodes; ``protobuf`` builds ONNX's messages.
"""
