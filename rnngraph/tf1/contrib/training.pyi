"""``tf.contrib.training``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.platform.settings import HParams as HParams
