"""Rolling of loops that a program unrolled in Python: a chain of one-step drivers becomes one driver.

``cuts`` puts placeholders in place of fed Tensors, ``steps`` finds equal steps, and ``links`` matches the nodes between
two steps. ``feedback`` and ``rolled`` build the driver.
"""
