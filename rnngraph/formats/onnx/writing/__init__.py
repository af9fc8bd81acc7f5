"""Writes inference graphs as ONNX files.

``model`` is the entry point. The package ``recognition`` splits loops and recognises ONNX's LSTM, GRU, RNN and
LinearAttention. ``scope`` holds the nodes of a graph or loop body under construction; ``sizes``
computes run-time sizes in it. ``operators`` writes all ops of the graph IR, with ``arithmetic``, except loops.
``loops`` writes loops, with ``recurrent`` and ``linear_attention`` for recognised ones; ``convolutions`` writes
windows. ``tidy`` names outputs and drops unused nodes; ``protobuf`` builds ONNX's messages.
"""
