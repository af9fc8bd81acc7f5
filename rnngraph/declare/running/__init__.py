"""Drivers, which run cells over time.

``inputs`` checks what is fed, ``run`` traces a step, and ``drivers`` has the functions.
"""
