"""Reader of torch's modules, which runs them on tensors without values.

``read`` has ``read_torch``, and is the only file that can be imported without torch. ``tracing`` receives the calls of
torch's functions. ``functions`` declares the calls, and ``composed`` computes some functions by other torch functions.
``runs`` repeats a run until all sizes are known. ``opening`` decides which sizes stay symbolic, and ``cut_axes`` finds
outputs that depend on sizes that torch takes from values. ``nested_arguments`` names the arguments and results of
``forward``. ``exported`` runs the graphs of ``torch.export``, by the tables of ATen's operators in ``aten`` and
``aten_layers``.
"""
