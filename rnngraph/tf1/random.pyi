"""``tf.random``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.random import categorical as categorical
from rnngraph.tf1.ops.random import multinomial as multinomial
from rnngraph.tf1.ops.random import random_normal as normal
from rnngraph.tf1.core.graph import set_random_seed as set_random_seed
from rnngraph.tf1.ops.random import random_shuffle as shuffle
from rnngraph.tf1.ops.random import truncated_normal as truncated_normal
from rnngraph.tf1.ops.random import random_uniform as uniform
