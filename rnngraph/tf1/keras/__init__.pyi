"""``tf.keras``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.keras import initializers as initializers
