"""``tf.app``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1 import flags as flags
from rnngraph.tf1.platform.app import run as run
