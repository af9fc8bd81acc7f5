"""``tf.nest``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.nest import assert_same_structure as assert_same_structure
from rnngraph.tf1.ops.nest import flatten as flatten
from rnngraph.tf1.ops.nest import is_nested as is_nested
from rnngraph.tf1.ops.nest import is_nested as is_sequence
from rnngraph.tf1.ops.nest import map_structure as map_structure
from rnngraph.tf1.ops.nest import pack_sequence_as as pack_sequence_as
