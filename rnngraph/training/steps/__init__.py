"""Steps of a trainer, as native calls.

``stepper`` is the entrance. ``train_state`` is the state of the next step, ``step_variants`` makes the graph of a step,
``step_runner`` prepares its calls with memory of ``step_buffers``, ``prepared_train_step`` runs them, and ``updates``
commits their results. ``batch_rows`` finds the axis of examples, ``fetches`` are results besides the loss, and
``applied_gradients`` replace gradients in updates. ``double_buffer`` has memory for new values, ``deferred_interrupt``
defers a Ctrl-C while values change together, and ``profiled_step`` profiles steps without committing them. The room
knows neither examples nor files.
"""
