"""``tf.metrics``: measures over many runs, which accumulate in local variables.

``accumulating`` has their base: the value of a measure, and a Tensor that updates it when it is fetched. ``means`` are
averages of numbers and of errors, ``classes`` compare classes, and ``thresholds`` do so at many thresholds, such as the
area under a curve.
"""
