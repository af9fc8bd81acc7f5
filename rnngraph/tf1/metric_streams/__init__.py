"""``tf.metrics``: measures over many runs, which add up in local variables.

``accumulating`` is what they share: a value of what has been added up, and a Tensor that adds when it is fetched.
``means`` are averages of numbers and of errors, ``classes`` count how classes were taken, and ``thresholds`` do so for
many thresholds at once, such as the area under a curve.
"""
