"""TensorFlow 1.x's own names: ``from rnngraph import tf1 as tf``.

A TensorFlow 1.x script declares, trains, saves and restores as it is, with positional and keyword arguments as in
TensorFlow 1.15; or what it declares is compiled by ``rg.compile``. What is not offered raises ``NotOfferedError``,
which names what to use instead.

``table`` lists all names of ``tf``, with the object of ours that each stands for, and builds the modules that programs
import. ``core`` has graphs, scopes, variables and sessions, ``platform`` flags and files, ``summary`` logs, ``train``
optimizers and checkpoints, ``cells`` what programs call and subclass, ``ops`` functions, layers and cells, ``flow``
loops and branches, ``seq2seq`` encoders and decoders, ``labelling`` labels of sequences, ``metric_streams`` measures
over runs, ``datasets`` data that runs pull. ``imports`` answers ``import tensorflow`` in scripts that stay unchanged.

The names are read at run time; ``*.pyi`` files, which ``tools/write_tf1_stubs.py`` makes from the table, tell editors
and type checkers what they are.
"""

from __future__ import annotations

from .platform.version import VERSION
from .table.modules import add_modules, names_of

__version__ = VERSION
__getattr__, __dir__, __all__ = names_of(__name__)
add_modules()
