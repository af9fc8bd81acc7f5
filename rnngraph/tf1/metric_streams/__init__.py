"""``tf.metrics``: measures over many runs, which accumulate in local variables.

A measure consists of its value, and of a Tensor whose fetch updates the measure. ``accumulating`` has the base of all
measures. ``means`` has averages of numbers and errors, ``classes`` comparisons of classes, and ``thresholds``
comparisons at many thresholds, such as the area under a curve.
"""
