"""Third phase of scheduling: write the loop IR of an entry from its plan.

- ``entry_emitter`` visits the plan and returns a ``ScheduledEntry``, which ``scheduled_entry`` defines.
- ``entry_writer`` adds statements to the entry. It shares functions that do the same work, and adds barriers.
- ``kernel_calls``: calls of kernels, copies, and tables of active rows.
- ``scan_writer``: loops over the steps of a scan. ``step_parts`` adds barriers within a step.
- ``time_loop``: loops over chunks of time, and pipelines.
- ``interleaved_loop``: loops over chunks of time with interleaved scans.
- ``ticks``: timers of a profiled entry.
- ``pack_stages``: packing of many weights in stages.
"""
