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
    ("codegen.kernels.epilogue", "codegen.llvm.vecmath"),
    ("codegen.loop_ir.memory_check", "codegen.buffers.arena"),
    ("codegen.loop_ir.memory_check", "codegen.threads.barrier"),
    ("codegen.schedule.plan", "codegen.llvm.module"),
    ("codegen.schedule.scheduler", "codegen.llvm.module"),
    ("declare.tensor", "declare.functions.activations"),
    ("declare.tensor", "declare.functions.basic"),
    ("declare.tensor", "declare.functions.sequences"),
    ("ir.graph", "ir.text.printer"),
    ("passes.lowering.lower", "passes.split"),
    ("passes.quantization.narrow_products", "passes.split_concats"),
}
"""(file, what it imports)"""

CIRCLES = {
    frozenset({"codegen.kernels.active_rows", "codegen.kernels.loop_nests"}),
    frozenset({"codegen.loop_ir.nodes", "codegen.loop_ir.printer"}),
    frozenset(
        {
            "declare.carried",
            "declare.cell",
            "declare.drivers",
            "declare.functions.activations",
            "declare.functions.basic",
            "declare.functions.layers",
            "declare.functions.sequences",
            "declare.parameter_maps",
            "declare.parameters",
            "declare.tensor",
            "declare.trace",
        }
    ),
    frozenset({"ir.attributes", "ir.graph", "ir.ops", "ir.text.printer"}),
    frozenset({"passes.lowering.lower", "passes.lowering.scan_body"}),
}

LATE_OWED = {
    ("codegen.loop_ir.nodes", "codegen.loop_ir.printer"),
    ("declare.cell", "declare.tensor"),
    ("declare.drivers", "declare.nest"),
    ("declare.placeholders", "declare.cell"),
    ("declare.tensor", "declare.functions.activations"),
    ("declare.tensor", "declare.functions.basic"),
    ("declare.tensor", "declare.functions.sequences"),
    ("ir.graph", "ir.text.printer"),
}
"""Late imports that hide a circle, or have no reason."""
