"""``tf.metrics``: metrics over many runs, which accumulate in local variables.

A metric is a pair of Tensors: its value, and an update. A run that computes the update adds to the metric.
``accumulating`` has the base of all metrics, and ``means`` averages of numbers and errors. ``classes`` compares
classes. ``thresholds`` compares numbers with many thresholds, for example for the area under a curve.
"""
