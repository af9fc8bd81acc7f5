"""Readers of other formats. A reader declares a net with the public API, and executes no code from a file.

Infrastructure of all readers:

- ``script`` declares calls and records them. ``steps`` defines a script's steps and values, ``expressions`` builds
  syntax trees of arguments, and ``script_writer`` writes Python source. ``own_source`` copies the source of readers'
  functions and classes into scripts. ``own_cell`` converts a loop to a cell, whose class ``cell_class`` writes.
- ``net`` is a reader's result. ``reading`` opens untrusted files, ``array_bounds`` limits the arrays that a file can
  declare, and ``open_axes`` checks requests for symbolic and fixed axes.
- ``layers`` declares layers that several formats have. ``gates`` splits arrays by gate, in each format's order.
  ``weights`` is ``rg.weights``, and ``state_dict`` finds a layer's arrays in a ``state_dict`` of torch.
- ``rolling`` converts unrolled steps to drivers: calls such as ``rg.dynamic_rnn``, which run a cell over time.
  ``operators`` defines foreign operations once, for all front ends.

Each format has a file or a folder:

- ``nam`` for Neural Amp Modeler, ``rtneural`` for RTNeural, AIDA-X and GuitarML, ``gguf`` for llama.cpp's files;
- ``keras``, ``torch`` and ``onnx``, which also writes files;
- ``tensorflow`` for checkpoints, and ``tf1_graph`` for graphs of TensorFlow 1.x, which ONNX's reader reads in the end.
"""
