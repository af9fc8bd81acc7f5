"""TensorFlow 1.x's own names: ``from rnngraph import tf1 as tf``.

A TensorFlow 1.x script declares, trains, saves and restores unchanged. Positional and keyword arguments are those of
TensorFlow 1.15. ``rg.compile`` also compiles a script's declarations. Reading a name that is not
offered raises an error, which says what to use instead.

Packages:

- ``table``: maps each name of ``tf`` to an object of rnngraph, and builds the modules that programs import.
- ``core``: graphs, scopes, variables and sessions.
- ``platform``: flags and files.
- ``summary``: event files for TensorBoard.
- ``train``: optimizers and checkpoints.
- ``cells``: calls of cells step by step, and cells that programs write.
- ``ops``: functions, layers and cells.
- ``flow``: loops and branches.
- ``seq2seq``: encoders and decoders.
- ``labelling``: CRFs, CTC, sampled losses and sparse Tensors.
- ``metric_streams``: metrics that accumulate over runs.
- ``datasets``: input pipelines.

``imports`` lets unchanged scripts ``import tensorflow``.

Names are looked up at run time. For editors and type checkers, ``tools/write_tf1_stubs.py`` writes ``*.pyi`` files from
the table.
"""

from __future__ import annotations

from .platform.version import VERSION
from .table.modules import add_modules, names_of

__version__ = VERSION
__getattr__, __dir__, __all__ = names_of(__name__)
add_modules()
