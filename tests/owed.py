"""What is owed to the order of rooms: imports that point to a room behind, and circles of files. It only shrinks."""

UPWARD = {
    ("codegen.analysis.kernel_fusion", "codegen.buffers.arena"),
    ("codegen.analysis.kernel_fusion", "codegen.buffers.views"),
    ("codegen.buffers.allocation", "codegen.kernels.loop_nests"),
    ("codegen.buffers.allocation", "codegen.kernels.values"),
    ("codegen.buffers.allocation", "codegen.schedule.entry_writer"),
    ("codegen.buffers.buffer_reuse", "codegen.kernels.values"),
    ("codegen.cost_model.work_sharing", "codegen.kernels.loop_nests"),
    ("codegen.cost_model.work_sharing", "codegen.kernels.matmul"),
    ("codegen.loop_ir.memory_check", "codegen.buffers.arena"),
    ("codegen.loop_ir.memory_check", "codegen.threads.barrier"),
    ("codegen.schedule.plan", "codegen.llvm.module"),
    ("codegen.schedule.scheduler", "codegen.llvm.module"),
}
"""(file, what it imports)"""

CIRCLES = {
    frozenset({"codegen.kernels.active_rows", "codegen.kernels.loop_nests"}),
    frozenset({"codegen.loop_ir.nodes", "codegen.loop_ir.printer"}),
}

LATE_OWED = {
    ("codegen.loop_ir.nodes", "codegen.loop_ir.printer"),
    ("declare.cell", "declare.tensor"),
    ("declare.placeholders", "declare.cell"),
}
"""Late imports that hide a circle, or have no reason."""
