"""TensorFlow 1.x's ``tf.summary``: values of runs in files for TensorBoard.

``messages`` has the messages of a log, ``summaries`` the operations that produce messages, ``drawing`` graphs and
pictures.
``event_file`` writes and reads the files.
"""

from __future__ import annotations

from ..table.modules import names_of

__getattr__, __dir__, __all__ = names_of(__name__)
