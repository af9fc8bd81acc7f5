"""Reads torch's modules, by running them on tensors without values.

``read`` has ``read_torch``, and is the only file that can be imported without torch. ``tracing`` intercepts the calls
of torch's functions. ``functions`` declares the calls, and ``composed`` computes some functions by other torch
functions. ``runs`` repeats a run until the set of fixed sizes no longer changes. ``opening`` decides which sizes stay
symbolic, and ``cut_axes`` finds outputs that depend on the length of the longest row. ``nested_arguments`` names the
arguments and results of ``forward``. ``exported`` runs the graphs of ``torch.export``, by the tables of ATen's
operators in ``aten`` and ``aten_layers``.
"""
