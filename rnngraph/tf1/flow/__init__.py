"""Loops and branches that programs write as functions: ``tf.while_loop``, ``scan``, ``map_fn``, ``cond`` and others.

``loop`` declares a step once and builds a driver for it, with states of any shape. ``tensor_array`` has arrays that
steps read and write by index. ``counting`` derives the number of steps, and the slices that steps take by their index.
``while_loops`` and ``functional`` are the functions that programs call, and ``branches`` selects. No module here
depends on a cell.
"""
