"""Steps of a trainer, as native calls. They are independent of examples and files.

- ``stepper``: the entry point; ``train_state`` is the state of the next step.
- ``step_variants``: makes the graph of a step.
- ``step_runner``: prepares its calls with memory of ``step_buffers``; ``prepared_train_step`` runs them.
- ``updates``: commits results; ``double_buffer`` has memory for new values.
- ``batch_rows``: the axis of examples; ``fetches``: results besides the loss.
- ``applied_gradients``: declared functions of gradients, which updates apply in place of the gradients.
- ``deferred_interrupt``: defers a Ctrl-C while values change together.
- ``profiled_step``: profiles steps without committing them.
"""
