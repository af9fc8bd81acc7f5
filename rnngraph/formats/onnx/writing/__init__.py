"""``write_onnx``: an inference graph as an ONNX file.

``model`` is the door. ``recognition``, a room of its own, takes loops apart and finds those that are ONNX's LSTM, GRU
or RNN. ``scope`` holds the nodes of a graph, or of a loop's body, in the making; ``sizes`` computes run-time sizes
there. ``operators`` writes every op of the graph IR, with ``arithmetic``, ``loops`` those that repeat steps, with
``recurrent`` for what was recognised. ``tidy`` names outputs and drops what nothing needs; ``protobuf`` makes
ONNX's messages.
"""
