"""``tf.nn.rnn_cell``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.recurrent.cells import BasicLSTMCell as BasicLSTMCell
from rnngraph.tf1.ops.recurrent.cells import BasicRNNCell as BasicRNNCell
from rnngraph.tf1.ops.recurrent.cells import DropoutWrapper as DropoutWrapper
from rnngraph.tf1.ops.recurrent.cells import GRUCell as GRUCell
from rnngraph.tf1.ops.recurrent.cells import LSTMCell as LSTMCell
from rnngraph.declare.cells.basic import LSTMStateTuple as LSTMStateTuple
from rnngraph.tf1.cells.subclassing import LayerRNNCell as LayerRNNCell
from rnngraph.tf1.ops.recurrent.cells import MultiRNNCell as MultiRNNCell
from rnngraph.tf1.cells.subclassing import RNNCell as RNNCell
from rnngraph.tf1.ops.recurrent.cells import ResidualWrapper as ResidualWrapper
from rnngraph.tf1.ops.recurrent.linear import assert_like_rnncell as assert_like_rnncell
