"""``tf.metrics``: metrics over many runs, which accumulate in local variables.

A metric consists of its value, and of a Tensor whose fetch updates the metric. ``accumulating`` has the base of all
metrics. ``means`` has averages of numbers and errors, ``classes`` comparisons of classes, and ``thresholds``
comparisons at many thresholds, such as the area under a curve.
"""
