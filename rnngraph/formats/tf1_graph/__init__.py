"""Frozen graphs and SavedModels of TensorFlow 1.x, read without TensorFlow.

``messages`` are the files' own, ``source`` opens a file or a folder and gives its nodes, the variables' arrays and the
names of a signature. ``order`` finds which nodes the outputs need, and in which order they are translated.
``translation`` writes each as nodes of ONNX by the tables in ``ops`` and ``moves``, and ``folding`` computes those of
known numbers; ``loops`` makes Loop nodes of while-loop frames, with tensor arrays as sequences, and ``cells`` takes
fused cells apart. ``randomness`` finds dropout that drops nothing. ``operators`` reads what ONNX has no node for, and
``read`` hands the result to the reader of ONNX, which declares it.
"""
