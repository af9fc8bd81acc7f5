"""Analyses of axes: which axis is time or rows, and how ops map axes.

``by_size`` infers from symbolic sizes which axis counts time steps or rows. ``walk`` maps axes through an op, or
through a graph and its loops. ``unmixed`` lists the axes along which the steps of a loop are independent.
"""
