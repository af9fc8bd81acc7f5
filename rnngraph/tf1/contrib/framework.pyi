"""``tf.contrib.framework``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.train.schedules import create_global_step as create_global_step
from rnngraph.tf1.train.schedules import get_global_step as get_global_step
from rnngraph.tf1.train.schedules import get_or_create_global_step as get_or_create_global_step
from rnngraph.tf1 import nest as nest
