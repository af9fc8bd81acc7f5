"""``tf.contrib.layers``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.train.optimize_loss import OPTIMIZER_CLS_NAMES as OPTIMIZER_CLS_NAMES
from rnngraph.tf1.train.optimize_loss import OPTIMIZER_SUMMARIES as OPTIMIZER_SUMMARIES
from rnngraph.tf1.ops.regularizers import apply_regularization as apply_regularization
from rnngraph.tf1.ops.normalizers import batch_norm as batch_norm
from rnngraph.tf1.ops.normalizers import bias_add as bias_add
from rnngraph.tf1.ops.normalizers import dropout as dropout
from rnngraph.tf1.ops.normalizers import embed_sequence as embed_sequence
from rnngraph.tf1.ops.layers import contrib_flatten as flatten
from rnngraph.tf1.ops.layers import fully_connected as fully_connected
from rnngraph.tf1.ops.regularizers import l1_l2_regularizer as l1_l2_regularizer
from rnngraph.tf1.ops.regularizers import l1_regularizer as l1_regularizer
from rnngraph.tf1.ops.regularizers import l2_regularizer as l2_regularizer
from rnngraph.tf1.ops.normalizers import layer_norm as layer_norm
from rnngraph.tf1.ops.layers import linear as linear
from rnngraph.tf1.ops.normalizers import one_hot_encoding as one_hot_encoding
from rnngraph.tf1.train.optimize_loss import optimize_loss as optimize_loss
from rnngraph.tf1.ops.layers import fully_connected_relu as relu
from rnngraph.tf1.ops.layers import fully_connected_relu6 as relu6
from rnngraph.tf1.ops.regularizers import sum_regularizer as sum_regularizer
from rnngraph.tf1.ops.normalizers import unit_norm as unit_norm
from rnngraph.tf1.ops.initializers import contrib_variance_scaling_initializer as variance_scaling_initializer
from rnngraph.tf1.ops.initializers import xavier_initializer as xavier_initializer
from rnngraph.tf1.ops.initializers import xavier_initializer as xavier_initializer_conv2d
