"""Second phase: where values lie, how kernels are tiled, and what stages of pipelines need of each other.

``planner`` goes through an analysis, in order, and gives the ``EntryPlan`` of ``entry_plan``. Of a group,
``group_plan`` has the records, ``chunks`` the loop over chunks of time, ``row_tables`` the rows that are active, and
``copy_plan`` what is copied; ``scan_plan`` plans a scan over the memory that ``scan_layout`` describes. No
statement is written yet.
"""
