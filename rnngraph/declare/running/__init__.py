"""Drivers, which run cells over time.

``inputs`` checks inputs, ``initial_states`` names the states and builds their initial values, ``run`` traces a step,
and ``drivers`` has the public functions.
"""
