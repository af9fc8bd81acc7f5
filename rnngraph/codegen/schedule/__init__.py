"""The entry: what runs when, in three phases.

``scheduler`` goes through them. ``entry_analysis`` says what runs together and who computes what: ``group_kernels`` cuts a
fusion group into kernels, ``arguments`` are what the caller hands over. ``planner`` makes an ``entry_plan`` of it:
``group_plan``, ``scan_plan`` over a ``scan_layout``, ``row_tables`` of active rows, ``copy_plan``, ``chunks`` of time.
``entry_emitter`` writes it: ``scan_writer`` loops over steps, in whose ``step_parts`` workers wait for each other,
``time_loop`` writes chunks of time and pipelines, ``interleaved_loop`` puts scans beside each other, through
``entry_writer`` and ``kernel_calls``; ``ticks`` are what an entry counts that is profiled. ``plan`` is the result, and
``plan_text`` is ``show("plan")``. Knows no LLVM.
"""
