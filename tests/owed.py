"""What is owed to the order of rooms: imports that point to a room behind, and circles of files. It only shrinks."""

UPWARD = {
    ("batching.input_axes", "program.callable_graph"),
    ("batching.input_axes", "program.program"),
    ("batching.sources", "program.program"),
    ("batching.sources", "training.fit.loop"),
    ("export.step_code", "program.program"),
    ("export.write_net", "program.program"),
    ("program.saved.save_load", "program.program"),
    ("runtime.native.compiled_graph", "runtime.calls.feeds"),
    ("runtime.streams.step_graph", "program.program"),
    ("runtime.streams.stream", "program.program"),
    ("training.fit.class_weights", "training.schedules"),
    ("training.fit.loop", "training.schedules"),
    ("training.fit.loop", "training.trainer"),
    ("training.fit.plan", "training.schedules"),
    ("training.fit.plan", "training.trainer"),
}
"""(file, what it imports)"""

CIRCLES = {
    frozenset(
        {
            "batching.input_axes",
            "batching.sources",
            "export.step_code",
            "export.write_net",
            "program.callable_graph",
            "program.inference_graph",
            "program.predict",
            "program.program",
            "program.sampled_graphs",
            "program.saved.save_load",
            "program.training_graph",
            "runtime.streams.step_graph",
            "runtime.streams.stream",
            "training.checkpoint",
            "training.fit.class_weights",
            "training.fit.evaluation",
            "training.fit.loop",
            "training.fit.plan",
            "training.prepared_train_step",
            "training.step_buffers",
            "training.step_runner",
            "training.step_variants",
            "training.trainable",
            "training.trainer",
        }
    ),
}
