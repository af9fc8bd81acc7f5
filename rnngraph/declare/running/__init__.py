"""Drivers, which run cells over time.

``inputs`` checks inputs, ``initial_states`` names the states and makes their initial values, ``run`` traces a step, and
``drivers`` has the functions.
"""
