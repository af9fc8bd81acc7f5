"""``write_onnx``: an inference graph as an ONNX file.

``model`` is the entry point. ``recognition``, a room of its own, takes loops apart and finds those that are ONNX's
LSTM, GRU, RNN or LinearAttention. ``scope`` holds the nodes of a graph, or of a loop's body, in the making; ``sizes``
computes run-time sizes there. ``operators`` writes every op of the graph IR, with ``arithmetic``, and ``loops`` those
that repeat steps, with ``recurrent`` and ``linear_attention`` for recognised ones, and ``convolutions``. ``tidy`` names
outputs and drops what nothing needs; ``protobuf`` makes ONNX's messages.
"""
