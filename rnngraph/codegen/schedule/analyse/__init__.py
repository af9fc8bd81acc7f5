"""First phase of scheduling: which ops run together, on which workers, and whether several workers pay.

- ``entry_analysis`` visits all fusion groups and returns an ``EntryAnalysis``.
- ``arguments`` describes the caller's arrays.
- ``group_kernels`` divides a fusion group into kernels.
- ``scan_sharing`` splits a scan's step between workers.
- ``scan_blocks`` divides a scan along axes that its steps do not mix.

No memory is allocated in this phase.
"""
