"""Second phase of scheduling: memory of values, tiles of kernels, and dependencies of pipeline stages.

``planner`` visits an analysis in order and returns the ``EntryPlan`` of ``entry_plan``. ``group_plan`` has the records
of a group, ``chunks`` the loop over chunks of time, ``row_tables`` the active rows, and ``copy_plan`` the copies.
``scan_plan`` plans a scan over the memory that ``scan_layout`` describes. No statement is written yet.
"""
