"""``tf.linalg``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.contractions import einsum as einsum
from rnngraph.tf1.ops.numbers import eye as eye
from rnngraph.tf1.ops.arithmetic import l2_normalize as l2_normalize
from rnngraph.tf1.ops.functions import matmul as matmul
from rnngraph.tf1.ops.numbers import norm as norm
from rnngraph.tf1.ops.contractions import tensordot as tensordot
