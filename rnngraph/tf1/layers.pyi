"""``tf.layers``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.layers import Dense as Dense
from rnngraph.tf1.cells.subclassing import InputSpec as InputSpec
from rnngraph.tf1.ops.windows import average_pooling1d as average_pooling1d
from rnngraph.tf1.ops.windows import average_pooling2d as average_pooling2d
from rnngraph.tf1.ops.layers import batch_normalization as batch_normalization
from rnngraph.tf1.ops.windows import conv1d as conv1d
from rnngraph.tf1.ops.windows import conv2d as conv2d
from rnngraph.tf1.ops.layers import dense as dense
from rnngraph.tf1.ops.layers import layer_dropout as dropout
from rnngraph.tf1.ops.layers import flatten as flatten
from rnngraph.tf1.ops.windows import max_pooling1d as max_pooling1d
from rnngraph.tf1.ops.windows import max_pooling2d as max_pooling2d
