"""TensorFlow 1.x's ``tf.summary``: values of runs in files for TensorBoard.

``messages`` has the protobuf messages of event files, and ``summaries`` the operations that produce messages.
``drawing`` converts graphs and pictures. ``event_file`` writes and reads the files.
"""

from __future__ import annotations

from ..table.modules import names_of

__getattr__, __dir__, __all__ = names_of(__name__)
