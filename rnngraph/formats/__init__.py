"""Readers of other formats: they declare a net with the public API, and execute no code from a file.

Parts that all readers share:

- ``script`` declares calls and records them: ``steps`` has its steps and values, ``expressions`` their arguments as
  Python's syntax trees, ``script_writer`` their text. ``own_source`` copies the text of readers' functions and classes
  that a script needs; ``own_cell`` turns a loop of a file into a cell, whose class ``cell_class`` writes.
- ``net`` is a reader's result. ``reading`` opens untrusted files, ``array_bounds`` limits the arrays that a file can
  declare, and ``open_axes`` checks requests for open and fixed axes.
- ``layers`` declares layers that several formats have. ``gates`` splits their arrays by gate, in each format's order;
  ``weights`` is ``rg.weights``, for which ``state_dict`` finds a layer's arrays in a ``state_dict`` of torch.
- ``rolling`` turns unrolled steps into drivers. ``operators`` defines foreign operations once, for all front ends.

Each format has a file or a folder: ``nam`` (Neural Amp Modeler), ``rtneural`` (with AIDA-X and GuitarML), ``gguf`` (of
llama.cpp), ``keras``, ``tensorflow`` (checkpoints), ``onnx`` (also written), ``tf1_graph`` (graphs of TensorFlow 1.x,
through ONNX's reader) and ``torch``.
"""
