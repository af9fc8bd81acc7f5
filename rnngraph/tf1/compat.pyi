"""``tf.compat``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.platform.texts import as_bytes as as_bytes
from rnngraph.tf1.platform.texts import as_text as as_str
from rnngraph.tf1.platform.texts import as_text as as_text
from rnngraph import tf1 as v1
