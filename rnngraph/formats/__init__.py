"""Nets of other formats, read into declarations.

``script`` declares and writes down what it declares: ``steps`` are what it is made of, ``expressions`` their parts as
Python, ``script_writer`` their text. ``own_source`` is the text of functions and classes that a script needs beside the
public API, ``own_cell`` makes a cell of a loop in a file, and ``cell_class`` writes such cells. ``net`` is what a
reader gives; ``reading`` opens untrusted files, and ``array_bounds`` refuses arrays that few bytes declare. ``gates``
and ``weights`` turn gates from one order into another, for all formats: the first takes a layer apart gate by gate, the
second is ``rg.weights``, one layer's arrays as a cell's parameters, and back, for which ``state_dict`` finds those of
torch's. ``layers`` declares what several formats have; ``rolling`` makes drivers of
steps that are written out.

``open_axes`` checks requests for open and fixed axes, which all readers take.

``operators`` defines foreign operations once, for all front ends, over a facade of their values.

Above them one file, or one room, a format: ``nam`` (Neural Amp Modeler), ``rtneural`` (with AIDA-X and GuitarML),
``keras``, ``tensorflow`` (checkpoints), ``onnx``, which is written, too, ``tf1_graph`` (graphs of TensorFlow 1.x, by
way of ONNX's reader) and ``torch``. Readers declare with the public
API and execute nothing of what they read.
"""
