"""``tf.python.client``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.python.client import device_lib as device_lib
