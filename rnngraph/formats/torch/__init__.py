"""Reader of torch's modules, which runs them on tensors without values.

``read`` has ``read_torch``, and is the only file that can be imported without torch. ``tracing`` receives the calls of
torch's functions. ``functions`` declares them, and ``composed`` computes some with others of torch's. ``runs`` repeats
a run until all sizes are known, ``opening`` decides which sizes stay open, and ``cut_axes`` finds outputs that depend
on sizes that torch takes from values. ``nested_arguments`` names what ``forward`` takes and returns. ``exported`` runs
the graphs of ``torch.export``, with the tables of ATen's operators in ``aten`` and ``aten_layers``.
"""
