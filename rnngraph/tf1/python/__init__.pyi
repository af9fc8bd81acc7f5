"""``tf.python``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.python import client as client
