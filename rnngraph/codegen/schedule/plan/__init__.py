"""Second phase of scheduling: memory of values, tiles of kernels, and dependencies of pipeline stages.

- ``planner`` visits an analysis in order and returns an ``EntryPlan``, which ``entry_plan`` defines.
- ``group_plan``: plans of a fusion group and of its loop over time.
- ``chunks``: chunks of time of a loop.
- ``scan_plan``: plan of a scan. ``scan_layout`` describes its memory.
- ``row_tables``: tables of active rows.
- ``copy_plan``: copies of values to other locations.

No statement is written in this phase.
"""
