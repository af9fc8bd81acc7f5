"""Reads frozen graphs and SavedModels of TensorFlow 1.x without TensorFlow.

``read`` is the entry point. It translates the graph to ONNX, and passes it to the reader of ONNX. The other modules, in
the order of the work:

- ``source`` opens a file or a folder, and returns nodes, variables and the names of a signature; ``messages`` defines
  the files' protobuf messages.
- ``order`` finds the nodes that outputs need, and sorts them.
- ``translation`` writes each node as nodes of ONNX, by functions in ``ops``, ``moves``, ``loops`` (while loops and
  tensor arrays) and ``cells`` (fused cells). ``folding`` computes nodes whose inputs are constant, and ``randomness``
  removes dropout that drops nothing.
- ``effects`` finds ops that change variables, and that run by control dependencies only.
- ``operators`` reads ops that ONNX lacks.
"""
