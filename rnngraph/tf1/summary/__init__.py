"""TensorFlow 1.x's ``tf.summary``: values of runs in files that TensorBoard reads.

``messages`` are what a log is made of, ``summaries`` operations that give them, ``drawing`` graphs and pictures, and
``event_file`` writes and reads the files.
"""

from __future__ import annotations

from ..table.modules import names_of

__getattr__, __dir__, __all__ = names_of(__name__)
