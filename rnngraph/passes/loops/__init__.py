"""Helpers shared by passes over scans.

- ``cycles``: groups of carries that depend on each other.
- ``lifting``: turns ops over one step into ops over all steps.
- ``large_values``: values that stay in a loop because of their size.
- ``pieces``: splits a scan.
"""
