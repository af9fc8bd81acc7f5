"""Programs: a training graph and an inference graph that share parameters. They are independent of trainers.

- ``program``: the user's object, with an ``inference_graph`` and a ``training_graph``. Both extend the class in
  ``callable_graph``, and they share ``parts``.
- ``gradients``, ``sampled_graphs``: further graphs of training; ``seeds`` draws the seeds of masks.
- ``shared_parameters``: parameters taken from another program.
- ``input_specs``: descriptions of feeds; ``columns`` calls a graph with tables.
- ``predict``: runs examples in batches, with the inputs of ``example_inputs``.
- ``generation``: generates tokens, for one caller or many.
- ``reports``: tables of costs and sensitivity; ``held_weights`` warns of weight formats that have no effect.
- ``html_forms``: shows a program in a notebook; ``saved`` stores a program in files.
"""
