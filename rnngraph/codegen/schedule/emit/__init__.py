"""Third phase of scheduling: the loop IR of an entry, from its plan.

``entry_emitter`` visits the plan and returns a ``scheduled_entry``, through an ``entry_writer``, which shares equal
functions and adds barriers. ``kernel_calls`` adds calls of kernels and copies, ``scan_writer`` loops over steps, with
barriers between ``step_parts``, ``time_loop`` writes chunks of time and pipelines, and ``interleaved_loop`` interleaved
scans. ``ticks`` are the counters of a profiled entry. ``pack_stages`` cuts packing of many weights in parts.
"""
