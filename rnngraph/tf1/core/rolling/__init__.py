"""Loops that a program writes out, rolled into drivers.

``cuts`` puts placeholders at any Tensor, ``steps`` finds equal steps, ``links`` matches the nodes between two steps,
and ``feedback`` and ``rolled`` build the driver.
"""
