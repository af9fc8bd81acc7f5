"""Reads frozen graphs and SavedModels of TensorFlow 1.x without TensorFlow.

``messages`` defines the files' protobuf messages. ``source`` opens a file or a folder, and returns nodes, variables and
the names of a signature. ``order`` finds the nodes that outputs need, and sorts them. ``translation`` writes each node
as nodes of ONNX, by the tables in ``ops`` and ``moves``, and ``folding`` computes nodes whose inputs are constant.
``loops`` converts while-loop frames to Loop nodes, with tensor arrays as sequences, and ``cells`` expands fused cells.
``randomness`` removes dropout that drops nothing, and ``effects`` finds changes of variables that run by control
dependencies. ``operators`` reads ops that ONNX lacks. ``read`` is the entry point; it passes the translated graph to
the reader of ONNX.
"""
