"""Recurrences with matrix states and diagonal states: rnngraph's cells compared with C, onnxruntime and torch.

``rows`` lists the workloads. ``equations`` defines each recurrence in float64, with NumPy or torch, and ``cells``
declares it with rnngraph. The contenders are ``own``, ``fused`` (C), ``linear_attention`` (onnxruntime) and ``chunked``
(torch). ``checks`` compares each with the equations before it is timed. ``floor`` counts the operations that no
contender can avoid.
"""
