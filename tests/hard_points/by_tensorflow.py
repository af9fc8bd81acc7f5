"""Values of TensorFlow 1's functions, computed by TensorFlow 1.15. Runs on Python 3.7."""

from __future__ import annotations

import tensorflow as tf

from .cases import Entry
from .recorded import Arrays
from .tensorflow_values import Graph

HEADING = "TensorFlow " + tf.__version__
tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.FATAL)


def values(entry: Entry) -> Arrays | None:
    """Return TensorFlow's values; None if it raises an error."""
    try:
        return Graph(tf, entry).values()
    except Exception:  # TensorFlow raises several kinds
        return None
