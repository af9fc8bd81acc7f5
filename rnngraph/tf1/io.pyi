"""``tf.io``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1 import gfile as gfile
