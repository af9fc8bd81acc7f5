"""``tf.contrib.slim.model_analyzer``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.core.variables import analyze_vars as analyze_vars
