"""From a graph to machine code: schedule, loop IR, LLVM IR, engine."""
