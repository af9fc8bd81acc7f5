"""First phase of scheduling: which ops run together, on which workers, and whether several workers pay.

``arguments`` are the caller's arrays, ``group_kernels`` cuts a fusion group into kernels, ``scan_sharing`` splits a
scan's step between workers, and ``scan_blocks`` divides a scan along axes. ``entry_analysis`` visits all groups and
returns an ``EntryAnalysis``. No memory is allocated yet.
"""
