"""torch's modules, read by running them on tensors without values: ``tracing`` takes their calls, ``meanings`` says
what those mean and ``composed`` of which others some are made, ``runs`` repeats it until all sizes are known,
``opening`` decides which stay open, and ``cut_axes`` finds what depends on sizes that torch takes of values.
``nested_arguments`` names what ``forward`` takes and returns. ``exported`` runs the graphs of torch.export, by
the tables of ATen's operators in ``aten`` and ``aten_layers``. ``read`` is the door, and alone needs no torch to be
imported.
"""
