"""``tf.keras.initializers``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.initializers import constant_initializer as Constant
from rnngraph.tf1.ops.initializers import ones_initializer as Ones
from rnngraph.tf1.ops.initializers import orthogonal_initializer as Orthogonal
from rnngraph.tf1.ops.initializers import variance_scaling_initializer as VarianceScaling
from rnngraph.tf1.ops.initializers import zeros_initializer as Zeros
from rnngraph.tf1.ops.initializers import constant_initializer as constant
from rnngraph.tf1.ops.initializers import glorot_normal_initializer as glorot_normal
from rnngraph.tf1.ops.initializers import glorot_uniform_initializer as glorot_uniform
from rnngraph.tf1.ops.initializers import he_normal_initializer as he_normal
from rnngraph.tf1.ops.initializers import he_uniform_initializer as he_uniform
from rnngraph.tf1.ops.initializers import lecun_normal_initializer as lecun_normal
from rnngraph.tf1.ops.initializers import lecun_uniform_initializer as lecun_uniform
from rnngraph.tf1.ops.initializers import ones_initializer as ones
from rnngraph.tf1.ops.initializers import orthogonal_initializer as orthogonal
from rnngraph.tf1.ops.initializers import zeros_initializer as zeros
