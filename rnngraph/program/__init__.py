"""What users hold: ``program`` has the ``parts`` that its graphs share, and an ``inference_graph`` and a
``training_graph``, each a ``callable_graph``; ``gradients`` and ``sampled_graphs`` are further graphs of training,
``seeds`` those of masks; ``shared_parameters`` are another program's. ``input_specs`` say what is fed, ``columns``
are calls with tables, ``predict`` runs examples (``example_inputs``) in batches and gives results in their order,
``summary`` and ``memory_report`` say what a graph costs, ``held_weights`` warns of kinds of weights without effect,
``html_forms`` says how a program looks in a notebook, ``saved`` keeps a program in files. Knows no trainers.
"""
