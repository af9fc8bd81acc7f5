"""Loops and branches that programs write as functions: ``tf.while_loop``, ``scan``, ``map_fn``, ``cond`` and others.

``loop`` declares a step once, and builds a driver for the step with states of any shape. ``tensor_array`` has arrays
that steps read and write by index. ``counting`` derives the number of steps, and reads by the step number.
``while_loops``, ``functional`` and ``branches`` have the functions that programs call. No module here depends on a
cell.
"""
