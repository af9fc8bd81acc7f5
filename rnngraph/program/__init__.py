"""Programs: a training graph and an inference graph that share parameters.

``program`` has an ``inference_graph`` and a ``training_graph``, each a ``callable_graph``, which share ``parts``.
``gradients`` and ``sampled_graphs`` are further graphs of training, and ``seeds`` draws seeds of masks.
``shared_parameters`` takes those of another program. ``input_specs`` describes feeds, ``columns`` calls the graph with
tables, ``predict`` runs examples (``example_inputs``) in batches, and ``generation`` generates tokens, for one caller
or many. ``reports`` are tables of costs and sensitivity, ``held_weights`` warns of kinds of weights without effect,
``html_forms`` shows a program in a notebook, and ``saved`` stores a program in files. Programs know no trainers.
"""
