"""Rolling of loops that a program unrolled: calls of drivers with one step each become one driver.

``cuts`` puts placeholders at any Tensor, ``steps`` finds equal steps, ``links`` matches the nodes between two steps,
and ``feedback`` and ``rolled`` build the driver.
"""
