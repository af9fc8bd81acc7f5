"""First phase: what runs together, who computes what, and whether several workers pay.

``arguments`` are what the caller hands over, ``group_kernels`` cuts a fusion group into kernels, ``scan_sharing``
shares a scan's step between workers, ``scan_blocks`` cuts a scan along axes. ``entry_analysis`` goes through all groups
and gives an ``EntryAnalysis``. Memory is not given out yet.
"""
