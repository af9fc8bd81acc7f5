"""``tf.losses.Reduction``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.losses import MEAN as MEAN
from rnngraph.tf1.ops.losses import NONE as NONE
from rnngraph.tf1.ops.losses import SUM as SUM
from rnngraph.tf1.ops.losses import SUM_BY_NONZERO_WEIGHTS as SUM_BY_NONZERO_WEIGHTS
from rnngraph.tf1.ops.losses import SUM_OVER_BATCH_SIZE as SUM_OVER_BATCH_SIZE
from rnngraph.tf1.ops.losses import SUM_BY_NONZERO_WEIGHTS as SUM_OVER_NONZERO_WEIGHTS
