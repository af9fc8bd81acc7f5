"""``tf.losses``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.losses import Reduction as Reduction
from rnngraph.tf1.ops.losses import absolute_difference as absolute_difference
from rnngraph.tf1.ops.losses import add_loss as add_loss
from rnngraph.tf1.ops.losses import compute_weighted_loss as compute_weighted_loss
from rnngraph.tf1.ops.losses import cosine_distance as cosine_distance
from rnngraph.tf1.ops.losses import get_losses as get_losses
from rnngraph.tf1.ops.losses import get_regularization_loss as get_regularization_loss
from rnngraph.tf1.ops.losses import get_regularization_losses as get_regularization_losses
from rnngraph.tf1.ops.losses import get_total_loss as get_total_loss
from rnngraph.tf1.ops.losses import hinge_loss as hinge_loss
from rnngraph.tf1.ops.losses import huber_loss as huber_loss
from rnngraph.tf1.ops.losses import log_loss as log_loss
from rnngraph.tf1.ops.losses import mean_squared_error as mean_squared_error
from rnngraph.tf1.ops.losses import sigmoid_cross_entropy as sigmoid_cross_entropy
from rnngraph.tf1.ops.losses import softmax_cross_entropy as softmax_cross_entropy
from rnngraph.tf1.ops.losses import sparse_softmax_cross_entropy as sparse_softmax_cross_entropy
