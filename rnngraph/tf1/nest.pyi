"""``tf.nest``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.nest import flatten as flatten
from rnngraph.tf1.ops.nest import map_structure as map_structure
