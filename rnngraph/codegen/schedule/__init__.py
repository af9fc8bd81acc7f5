"""The entry: what runs when.

``scheduler`` goes through a graph's fusion groups; ``group_kernels`` cuts one into kernels, ``arguments`` are what the
caller hands over, ``row_tables`` say which rows are active, ``scan_plan`` and ``scan`` loop over steps, in
``step_parts`` workers wait for each other within one, ``time_loop`` makes pipelines of chunks of time,
``interleaved_loop`` puts scans beside each other; ``entry_writer`` and ``kernel_calls`` write, and ``ticks`` are what
an entry counts that is profiled. ``group_plan`` and ``plan`` are the result, ``plan_text`` is ``show("plan")``. Knows
no LLVM.
"""
