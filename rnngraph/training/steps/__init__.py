"""Native steps of a trainer: ``train_state`` is what the next step depends on, ``step_variants`` makes the graph of a
step, ``step_runner`` gives its calls argument blocks in memory of ``step_buffers``, ``updates`` bring it into effect,
and ``stepper`` is the entrance. ``batch_rows`` says which axis numbers examples, ``fetches`` are what a step gives
beside its loss, ``applied_gradients`` what updates apply in place of gradients.

``prepared_train_step`` runs calls that change parameters. ``double_buffer`` has room for new values,
``deferred_interrupt`` keeps a Ctrl-C out of what must change as one, and ``profiled_step`` is a profile of steps that
come to no effect. Knows neither examples nor files.
"""
