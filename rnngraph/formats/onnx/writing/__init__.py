"""Writes inference graphs as ONNX files.

``model`` is the entry point. The package ``recognition`` splits loops and recognises ONNX's LSTM, GRU, RNN and
LinearAttention. ``scope`` has the nodes of a graph or loop body under construction, and ``sizes`` computes run-time
sizes. ``operators``, with ``arithmetic``, writes all ops of the graph IR except loops. ``loops`` writes loops, with
``recurrent`` and ``linear_attention`` for recognised ones; ``convolutions`` writes convolutions and pools. ``tidy``
names outputs and drops unused nodes; ``protobuf`` builds ONNX's messages.
"""
