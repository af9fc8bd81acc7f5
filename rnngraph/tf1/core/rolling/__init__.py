"""Loops that a program writes out, rolled into drivers.

``cuts`` puts placeholders at any Tensor, ``steps`` finds equal steps, ``feedback`` matches the nodes between two steps,
and ``rolled`` builds the driver.
"""
