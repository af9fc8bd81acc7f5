"""Native steps of a trainer: ``train_state`` is what the next step depends on, ``step_variants`` makes the graph of a
step, ``step_runner`` runs it in memory of ``step_buffers``, ``updates`` bring it into effect, and ``stepper`` is the
door. ``prepared_train_step`` is a prepared call that changes parameters, ``double_buffer`` has room for new values,
and ``deferred_interrupt`` keeps a Ctrl-C out of what must change as one. Knows neither examples nor files.
"""
