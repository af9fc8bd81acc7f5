"""Drivers in place of loops that a program writes out.

``cuts`` put placeholders at any Tensor, ``steps`` are equal parts of a program, ``feedback`` leads from each to the
next, and ``rolled`` makes the driver.
"""
