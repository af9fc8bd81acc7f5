"""Loops and branches that programs write as functions: ``tf.while_loop``, ``scan``, ``map_fn``, ``cond`` and others.

``loop`` declares a step once, and builds a driver: a node that repeats the step, with states of any shape.
``tensor_array`` has arrays that steps read and write by index. ``counting`` derives the number of steps, and finds
look-ups at the step number.
``while_loops``, ``functional`` and ``branches`` have the functions that programs call. No module here depends on a
cell.
"""
